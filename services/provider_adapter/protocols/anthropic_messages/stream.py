"""A streamed Anthropic reply, from the provider's events to chat's chunks.

Owns what each event means. Framing, holding back and the role are `translated.py`'s. Invariant: a call's slot counts
calls alone; an event of an unknown kind changes nothing.
"""

from typing import Any

from services.provider_adapter.protocols.anthropic_messages.errors import failure_of_event
from services.provider_adapter.protocols.anthropic_messages.response import (
    annotation_of,
    finish_of,
    redacted_detail,
    refusal_in,
    thinking_detail,
    tier_of,
)
from services.provider_adapter.protocols.anthropic_messages.usage import Counts
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import dumps_reply
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import TranslatedStream, broken_reply, label

_MOST_BLOCKS = 1_024
_MOST_CITATIONS = 1_024


class _Block:
    """A content block on its way.

    Attributes:
        slot: of a call, its index; of thinking, the index of its details.
        start: where its text begins in the whole text.
    """

    __slots__ = ("citations", "kind", "slot", "start", "written")

    def __init__(self, kind: str, slot: int = 0, start: int = 0) -> None:
        self.kind = kind
        self.slot = slot
        self.start = start
        self.written = False
        self.citations: list[Any] = []


class MessagesStreamDecoder(TranslatedStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared)
        self._answer_tool = prepared.answer_tool
        self._blocks: dict[Any, _Block] = {}
        self._counts = Counts()
        self._calls = 0
        self._details = 0
        self._length = 0
        self._answered = False

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        kind = value.get("type")
        if kind == "content_block_delta":
            return self._go_on(value)
        match kind:
            case "content_block_start":
                return self._start(_key(value), value.get("content_block"))
            case "content_block_stop":
                return self._stop(self._blocks.pop(_key(value), None))
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
        finish, native = finish_of(delta.get("stop_reason"), called=self._calls > 0, answered=self._answered)
        return said + self._finish(finish, native) if finish else said

    def _note_usage(self, usage: Any) -> None:
        self._counts.note(usage)
        self.facts.usage = self._counts.usage()
        self._label_tier(tier_of(usage))

    def _take_text(self, text: Any) -> bytes:
        if type(text) is not str:
            raise broken_reply("A delta's text is no text.")
        self._length += len(text)
        return self._text(text) if text else b""

    def _start(self, key: Any, content: Any) -> bytes:
        if type(content) is not dict:
            raise broken_reply("A content block is no object.")
        if len(self._blocks) >= _MOST_BLOCKS:
            raise broken_reply("The provider sent too many content blocks.")
        match content.get("type"):
            case "text":
                return self._start_text(key, content)
            case "thinking":
                block = self._blocks[key] = _Block("thinking", self._take_detail())
                return self._think(block, content.get("thinking")) + self._sign(block, content.get("signature"))
            case "redacted_thinking":
                data = str(content.get("data") or "")
                return self._delta({"reasoning_details": [redacted_detail(self._take_detail(), data)]})
            case "tool_use":
                return self._start_call(key, content)
            case _:
                self._blocks.pop(key, None)
                return b""

    def _start_text(self, key: Any, content: dict[str, Any]) -> bytes:
        block = self._blocks[key] = _Block("text", start=self._length)
        citations = content.get("citations")
        if type(citations) is list:
            block.citations.extend(citations[:_MOST_CITATIONS])
        return self._take_text(content.get("text") or "")

    def _start_call(self, key: Any, content: dict[str, Any]) -> bytes:
        given = content.get("input")
        whole = dumps_reply(given).decode() if given else ""
        if self._answer_tool and content.get("name") == self._answer_tool:
            self._answered = True
            block = self._blocks[key] = _Block("answer")
            return self._argue(block, whole)
        block = self._blocks[key] = _Block("call", self._calls)
        self._calls += 1
        function = {"name": label(content.get("name")), "arguments": ""}
        call = {"index": block.slot, "id": label(content.get("id")), "type": "function", "function": function}
        return self._delta({"tool_calls": [call]}) + self._argue(block, whole)

    def _extend(self, block: _Block, delta: dict[str, Any]) -> bytes:
        match delta.get("type"):
            case "input_json_delta":
                return self._argue(block, delta.get("partial_json"))
            case "thinking_delta":
                return self._think(block, delta.get("thinking"))
            case "signature_delta":
                return self._sign(block, delta.get("signature"))
            case "citations_delta":
                if len(block.citations) < _MOST_CITATIONS:
                    block.citations.append(delta.get("citation"))
                return b""
            case _:
                return b""

    def _stop(self, block: _Block | None) -> bytes:
        if block is None:
            return b""
        if block.kind in {"call", "answer"} and not block.written:
            # A call without arguments has no deltas, and yet its arguments are an object.
            return self._argue(block, "{}")
        found = [annotation_of(citation, block.start, self._length) for citation in block.citations]
        annotations = [annotation for annotation in found if annotation is not None]
        return self._delta({"annotations": annotations}) if annotations else b""

    def _argue(self, block: _Block, text: Any) -> bytes:
        if type(text) is not str or not text:
            return b""
        block.written = True
        if block.kind == "answer":
            return self._take_text(text)
        if block.kind != "call":
            return b""
        return self._delta({"tool_calls": [{"index": block.slot, "function": {"arguments": text}}]})

    def _think(self, block: _Block, text: Any) -> bytes:
        if type(text) is not str or not text or block.kind != "thinking":
            return b""
        return self._delta({"reasoning": text, "reasoning_details": [thinking_detail(block.slot, text=text)]})

    def _sign(self, block: _Block, signature: Any) -> bytes:
        if type(signature) is not str or not signature or block.kind != "thinking":
            return b""
        return self._delta({"reasoning_details": [thinking_detail(block.slot, signature=signature)]})

    def _take_detail(self) -> int:
        self._details += 1
        return self._details - 1


def _key(value: dict[str, Any]) -> int:
    index = value.get("index")
    return index if type(index) is int else 0
