"""GigaChat's streams as chat's chunks.

Owns the reading of events. Does not write chunks: blocks.py and translated.py do. Invariant: how the bytes were split
changes nothing.

Source: the SDK's `LegacyChatCompletionChunk`; a call comes whole in one delta, usage with the finish reason, then `[DONE]`
(GigaChat's documentation, «Streaming Response Messages»).
"""

from typing import Any

from services.provider_adapter.protocols.blocks import Block, BlockStream, finish_of
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.gigachat.errors import failure_of_event, is_error
from services.provider_adapter.protocols.gigachat.response import (
    FINISH_REASONS,
    REASONING_FORMAT,
    arguments_of,
    call_id_of,
)
from services.provider_adapter.protocols.gigachat.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared

_MOST_CALLS = 128


class GigaChatStreamDecoder(BlockStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared, REASONING_FORMAT)
        self._attempt = attempt
        self._thought: Block | None = None
        self._state: Any = None

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:  # noqa: ARG002 (events have no names)
        if is_error(value):
            raise ProviderFailedError(failure_of_event(value))
        usage = usage_of(value.get("usage"))
        if usage is not None:
            self.facts.usage = usage
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return b""
        delta = choice.get("delta")
        given = self._open() + self._take_delta(delta if isinstance(delta, dict) else {})
        finish = finish_of(FINISH_REASONS, choice.get("finish_reason"), called=self._calls > 0, answered=self._answered)
        return given + self._finish(*finish) if finish[0] else given

    def _take_delta(self, delta: dict[str, Any]) -> bytes:
        given = b""
        self._state = delta.get("functions_state_id") or self._state
        thought, text, call = delta.get("reasoning_content"), delta.get("content"), delta.get("function_call")
        if isinstance(thought, str) and thought:
            self._thought = self._thought or self._begin_thinking(0)
            given += self._think(self._thought, thought)
        if isinstance(text, str) and text:
            given += self._take_text(text)
        if isinstance(call, dict) and self._calls < _MOST_CALLS:
            call_id = call_id_of(self._state, self._attempt, self._calls)
            given += self._begin_call(1, call_id, call.get("name"), arguments_of(call.get("arguments")))
        return given

    def _annotation(self, citation: Any, start: int, end: int) -> None:  # noqa: ARG002 (nothing is cited)
        return None
