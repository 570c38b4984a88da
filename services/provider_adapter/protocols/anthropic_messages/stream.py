"""A streamed Anthropic reply, from the provider's events to chat's chunks.

Owns what each event means. Framing, holding back and the role are `translated.py`'s, blocks `blocks.py`'s. Invariant:
an event of an unknown kind changes nothing.
"""

from typing import Any

from services.provider_adapter.protocols.anthropic_messages.errors import failure_of_event
from services.provider_adapter.protocols.anthropic_messages.messages import REASONING_FORMAT
from services.provider_adapter.protocols.anthropic_messages.response import (
    FINISH_REASONS,
    annotation_of,
    refusal_in,
    tier_of,
)
from services.provider_adapter.protocols.anthropic_messages.usage import Counts
from services.provider_adapter.protocols.blocks import MOST_CITATIONS, Block, BlockStream, finish_of
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import dumps_reply
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import broken_reply, label


class MessagesStreamDecoder(BlockStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared, REASONING_FORMAT)
        self._counts = Counts()

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        kind = value.get("type")
        if kind == "content_block_delta":
            return self._go_on(value)
        match kind:
            case "content_block_start":
                return self._start(_key(value), value.get("content_block"))
            case "content_block_stop":
                return self._end_block(_key(value))
            case "message_start":
                return self._begin(value.get("message"))
            case "message_delta":
                return self._end(value)
            case "message_stop":
                self.ended = True
            case _ if kind == "error" or name == b"error" or "error" in value:
                raise ProviderFailedError(failure_of_event(value))
        return b""

    def _go_on(self, value: dict[str, Any]) -> bytes:
        delta = value.get("delta")
        if type(delta) is not dict:
            raise broken_reply("A delta is no object.")
        if delta.get("type") == "text_delta":
            return self._take_text(delta.get("text"))
        block = self._blocks.get(_key(value))
        return b"" if block is None else self._extend(block, delta)

    def _begin(self, message: Any) -> bytes:
        if type(message) is not dict:
            raise broken_reply("The message is no object.")
        self._blocks.clear()
        self.facts.upstream_id = label(message.get("id")) or self.facts.upstream_id
        self._note_usage(message.get("usage"))
        return self._open()

    def _end(self, value: dict[str, Any]) -> bytes:
        self._note_usage(value.get("usage"))
        delta = value.get("delta")
        if type(delta) is not dict:
            return b""
        refusal = refusal_in(delta)
        said = self._delta({"refusal": refusal}) if refusal else b""
        finish, native = finish_of(
            FINISH_REASONS, delta.get("stop_reason"), called=self._calls > 0, answered=self._answered
        )
        return said + self._finish(finish, native) if finish else said

    def _note_usage(self, usage: Any) -> None:
        self._counts.note(usage)
        self.facts.usage = self._counts.usage()
        self._label_tier(tier_of(usage))

    def _start(self, key: int, content: Any) -> bytes:
        if type(content) is not dict:
            raise broken_reply("A content block is no object.")
        match content.get("type"):
            case "text":
                citations = content.get("citations")
                block = self._begin_text(key)
                if type(citations) is list:
                    block.citations.extend(citations[:MOST_CITATIONS])
                return self._take_text(content.get("text") or "")
            case "thinking":
                block = self._begin_thinking(key)
                return self._think(block, content.get("thinking")) + self._sign(block, content.get("signature"))
            case "redacted_thinking":
                return self._redact(str(content.get("data") or ""), REASONING_FORMAT)
            case "tool_use":
                given = content.get("input")
                whole = dumps_reply(given).decode() if given else ""
                return self._begin_call(key, content.get("id"), content.get("name"), whole)
            case _:
                self._blocks.pop(key, None)
                return b""

    def _extend(self, block: Block, delta: dict[str, Any]) -> bytes:
        match delta.get("type"):
            case "input_json_delta":
                return self._argue(block, delta.get("partial_json"))
            case "thinking_delta":
                return self._think(block, delta.get("thinking"))
            case "signature_delta":
                return self._sign(block, delta.get("signature"))
            case "citations_delta":
                self._cite(block, delta.get("citation"))
                return b""
            case _:
                return b""

    def _annotation(self, citation: Any, start: int, end: int) -> dict[str, Any] | None:
        return annotation_of(citation, start, end)


def _key(value: dict[str, Any]) -> int:
    index = value.get("index")
    return index if type(index) is int else 0
