"""What replies in a foreign format have in common once they are chat: frames, order, and when a stream has begun.

Owns the bytes of chunks and whole replies, field for field those of the chat format's own module. Does not read any
provider's event; a stream's life is `stream_life`'s. Invariant: every choice says its role once, first, and ends once.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import chunk_choice, dumps_reply
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.sse import Event, EventSplitter, Splitter
from services.provider_adapter.protocols.stream_life import MOST_CHOICES, PLAIN_END, PLAIN_START, StreamLife

_REASONING_FIELDS = ("reasoning", "reasoning_details")


def broken_reply(message: str) -> ProviderFailedError:
    """The provider sent what cannot be its format."""
    return ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, message))


def loads_reply(body: bytes) -> dict[str, Any]:
    """A whole reply, or one event, as an object.

    Raises:
        ProviderFailedError: it is none.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise broken_reply("The provider sent invalid JSON.") from error
    if type(value) is not dict:
        raise broken_reply("The reply is not a JSON object.")
    return value


def label(value: Any) -> str:
    """Text worth keeping: of the right type, and not beyond a length."""
    return value[:256] if isinstance(value, str) else ""


def without_reasoning(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in delta.items() if name not in _REASONING_FIELDS}


def whole_message(
    texts: Sequence[str], thoughts: Sequence[str], calls: list[Any], details: list[Any], annotations: list[Any]
) -> dict[str, Any]:
    """The parts of a whole reply as chat's message; parts that are empty are absent."""
    content = "".join(texts)
    message: dict[str, Any] = {"content": content if content or not calls else None}
    reasoning = "".join(thoughts)
    if reasoning:
        message["reasoning"] = reasoning
    if calls:
        message["tool_calls"] = calls
    if details:
        message["reasoning_details"] = details
    if annotations:
        message["annotations"] = annotations
    return message


class TranslatedStream(StreamLife):
    """See `StreamDecoder`; a format adds `_read`, and its own splitter where its events are not server-sent ones."""

    def __init__(self, attempt: Attempt, prepared: Prepared, splitter: Splitter | None = None) -> None:
        super().__init__(attempt, EventSplitter() if splitter is None else splitter, attempt.system_fingerprint)
        self._plain_prefix = self._prefix + PLAIN_START
        self._plain_suffix = PLAIN_END + self._suffix
        self._spoke: set[int] = set()
        self._finished: set[int] = set()
        self._hide_reasoning = prepared.hide_reasoning

    @abstractmethod
    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        """One event as chunks, or nothing.

        Raises:
            ProviderFailedError: the event is an error or makes no sense.
        """

    def _has_finish(self) -> bool:
        return bool(self._finished)

    def _convert(self, event: Event) -> bytes:
        name, data = event
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            stripped = data.strip()
            if stripped == b"[DONE]":
                self.ended = True
            elif stripped:
                raise broken_reply("The provider sent invalid JSON.") from None
            return b""
        if type(value) is list and len(value) == 1:
            # Google wraps errors so.
            value = value[0]
        if type(value) is not dict:
            raise broken_reply("The reply is not a JSON object.")
        return self._read(name, value)

    def _open(self, index: int = 0) -> bytes:
        """The chunk that says the role, once; held back until there is content."""
        if index in self._spoke:
            return b""
        self._speak(index)
        return self._chunk(index, {"role": "assistant", "content": ""})

    def _text(self, text: str) -> bytes:
        """A delta of plain text of the first choice: the hottest path."""
        if self.begun and 0 in self._spoke:
            return b"".join((self._plain_prefix, orjson.dumps(text), self._plain_suffix))
        return self._delta({"content": text})

    def _delta(self, delta: dict[str, Any], index: int = 0, logprobs: Any = None) -> bytes:
        """A delta that holds content."""
        self.facts.has_content = True
        if self._hide_reasoning:
            delta = without_reasoning(delta)
            if not delta:
                return b""
        self.begun = True
        if index not in self._spoke:
            self._speak(index)
            delta = {"role": "assistant", **delta}
        return self._chunk(index, delta, logprobs=logprobs)

    def _finish(self, finish: str, native: str, index: int = 0) -> bytes:
        """The chunk that says why a choice ended, once."""
        if index in self._finished:
            return b""
        self._finished.add(index)
        if index == 0:
            self.facts.finish_reason, self.facts.native_finish_reason = finish, native
        delta = {} if index in self._spoke else {"role": "assistant"}
        self._speak(index)
        return self._chunk(index, delta, finish, native)

    def _speak(self, index: int) -> None:
        if len(self._spoke) >= MOST_CHOICES and index not in self._spoke:
            raise broken_reply("The provider sent too many choices.")
        self._spoke.add(index)

    def _label_tier(self, tier: str) -> None:
        """Chunks from here on name the service tier."""
        if tier and tier != self.facts.service_tier:
            self.facts.service_tier = tier
            self._suffix = b',"service_tier":' + orjson.dumps(tier) + b"}\n\n"
            self._plain_suffix = PLAIN_END + self._suffix

    def _chunk(
        self, index: int, delta: dict[str, Any], finish: str = "", native: str = "", logprobs: Any = None
    ) -> bytes:
        choice = chunk_choice(index, delta, (finish, native), logprobs)
        return b"".join((self._prefix, dumps_reply([choice]), self._suffix))
