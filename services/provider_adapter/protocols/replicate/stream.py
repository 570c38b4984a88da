"""Replicate's streams of output as chat's chunks.

Owns the reading of events, whose data is plain text. Does not write chunks: blocks.py and translated.py do. Invariant: an
end goes out only once the stream said that it is done, and what is said of the prediction after it has been taken or
given up.

Source: replicate.com/docs/topics/predictions/streaming: events `output` (plain text), `error` (`{"detail"}`), `done` (`{}`, or
`{"reason": "error" | "canceled"}`); others (`logs`) are not for callers.
"""

from typing import Any

import orjson

from services.provider_adapter.protocols.blocks import Block, BlockStream
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.think_tags import ThinkTags
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.replicate.errors import failure_of_event, failure_of_prediction
from services.provider_adapter.protocols.replicate.response import (
    REASONING_FORMAT,
    asked_of,
    finish_of,
    is_under_way,
    prediction_in,
)
from services.provider_adapter.protocols.replicate.usage import usage_of
from services.provider_adapter.protocols.sse import Event
from services.provider_adapter.protocols.translated import broken_reply, label


class PredictionStreamDecoder(BlockStream):
    """See `StreamDecoder` and `SettlesLater`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared, REASONING_FORMAT)
        self._asked = asked_of(prepared)
        self._tags = ThinkTags() if self._asked.think_tags else None
        self._thought: Block | None = None

    def settle(self, body: bytes) -> bool:
        """Takes a later look at the prediction; False: it is not over yet."""
        try:
            prediction = prediction_in(body)
        except ProviderFailedError:
            return True
        self.facts.upstream_id = self.facts.upstream_id or label(prediction.get("id"))
        if is_under_way(prediction):
            return False
        self.facts.usage = usage_of(prediction.get("metrics"))
        return True

    def finish(self) -> bytes:
        given = super().finish()
        if self.failure is not None:
            return given
        ending = self._finish(*finish_of(self.facts, self._asked))
        return given + ending

    def _take_rest(self) -> bytes:
        """Text that lacks its blank line may have been cut in the middle."""
        return self._take([event for event in self._splitter.finish() if event.name == b"done"])

    def _convert(self, event: Event) -> bytes:
        name, data = event
        if name == b"output":
            try:
                return self._open() + self._say(data.decode())
            except UnicodeDecodeError:
                raise broken_reply("The provider sent invalid text.") from None
        if name == b"error":
            raise ProviderFailedError(failure_of_event(data))
        return self._end(data) if name == b"done" else b""

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:  # noqa: ARG002 (events are not objects here)
        return b""

    def _end(self, data: bytes) -> bytes:
        try:
            told = orjson.loads(data)
        except orjson.JSONDecodeError:
            return b""
        reason = told.get("reason") if isinstance(told, dict) else None
        if reason in {"error", "canceled"}:
            raise ProviderFailedError(failure_of_prediction(f"The prediction ended: {reason}."))
        self.ended = True
        return self._open() + (self._split(*self._tags.finish()) if self._tags is not None else b"")

    def _say(self, text: str) -> bytes:
        if self._tags is None:
            return self._take_text(text)
        return self._split(*self._tags.feed(text))

    def _split(self, thought: str, text: str) -> bytes:
        given = b""
        if thought:
            self._thought = self._thought or self._begin_thinking(0)
            given = self._think(self._thought, thought)
        return given + self._take_text(text)

    def _annotation(self, citation: Any, start: int, end: int) -> None:  # noqa: ARG002 (nothing is cited)
        return None
