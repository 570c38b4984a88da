"""The life of a streamed reply, whatever its format: what is held back, when it has begun, ended or been cut.

Owns the order of chunks, their frame, and what a stream that stops means. Does not read any provider's event. Invariant:
how the bytes were split changes neither the chunks nor the facts; nothing is given out before the first content.
"""

from abc import ABC, abstractmethod

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt, ReplyFacts
from services.provider_adapter.protocols.sse import Event, EventTooLargeError, Splitter

PLAIN_START = b'[{"index":0,"delta":{"content":'
PLAIN_END = b'},"finish_reason":null,"native_finish_reason":null,"logprobs":null}]'
"""Around the text of a chunk that holds nothing else."""
MOST_CHOICES = 128
# Room for a role and a finish of every choice.
_MOST_HELD = 2 * MOST_CHOICES


class StreamLife(ABC):
    """See `StreamDecoder`; a format says what an event is in chunks, and whether a choice has finished.

    Whoever converts sets `begun` with the first content and `ended` after the last event.

    Args:
        fingerprint: of every chunk, where the format's events hold none.
    """

    def __init__(self, attempt: Attempt, splitter: Splitter, fingerprint: str = "") -> None:
        head = {
            "id": attempt.generation_id,
            "object": "chat.completion.chunk",
            "created": attempt.created_s,
            "model": attempt.model,
            "provider": attempt.provider_name,
        }
        if fingerprint:
            head["system_fingerprint"] = fingerprint
        self._prefix = b"data: " + orjson.dumps(head)[:-1] + b',"choices":'
        self._suffix = b"}\n\n"
        self._splitter = splitter
        self._held: list[bytes] = []
        self.facts = ReplyFacts()
        self.facts.system_fingerprint = fingerprint
        self.begun = False
        self.ended = False
        self.failure: Failure | None = None

    @abstractmethod
    def _convert(self, event: Event) -> bytes:
        """One event as chunks, or nothing.

        Raises:
            ProviderFailedError: the event is an error or cannot be read.
        """

    @abstractmethod
    def _has_finish(self) -> bool:
        """Whether a choice has said why it ended."""

    def _end_unsaid(self) -> bytes:
        """Finishes for a host that does not say them."""
        return b""

    def feed(self, data: bytes) -> bytes:
        try:
            events = self._splitter.feed(data)
        except EventTooLargeError:
            return self._fail_as_too_large()
        return self._take(events)

    def finish(self) -> bytes:
        given = b"" if self.ended else self._take_rest()
        if self.failure is not None:
            return given
        given += self._end_unsaid()
        if not self.ended and not self._has_finish():
            self.failure = Failure(FailureClass.UPSTREAM, 200, "The provider cut the stream.")
            return given
        # An empty reply is a reply: its role and finish go out after all.
        given += b"".join(self._held)
        self._held.clear()
        return given

    def _take_rest(self) -> bytes:
        """The last event may lack its blank line; one that cannot be read was cut in the middle and never came."""
        try:
            events = self._splitter.finish()
        except EventTooLargeError:
            return self._fail_as_too_large()
        return self._take([event for event in events if _is_whole(event.data)])

    def _fail_as_too_large(self) -> bytes:
        self.failure = Failure(FailureClass.UPSTREAM, 200, "The provider sent an event that is too large.")
        self.ended = True
        return b""

    def _take(self, events: list[Event]) -> bytes:
        given: list[bytes] = []
        try:
            for event in events:
                if self.ended:
                    break
                chunk = self._convert(event)
                if self.begun:
                    if self._held:
                        given.extend(self._held)
                        self._held.clear()
                    given.append(chunk)
                elif chunk:
                    del self._held[_MOST_HELD - 1 :]
                    self._held.append(chunk)
        except ProviderFailedError as error:
            self.failure = error.failure
            self.ended = True
        return b"".join(given)


def _is_whole(data: bytes) -> bool:
    if data.strip() == b"[DONE]":
        return True
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
