"""Replies that are made of content blocks, as chat: text, thoughts and calls, each in its drawer.

Owns what formats of that shape share: slots of calls, indexes of thoughts, the answer tool, empty arguments. Does not
read any provider's event. Invariant: a call's slot counts calls alone; a stream's blocks and a whole reply's say the
same.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.openai_chat.response import dumps_reply
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.sse import Splitter
from services.provider_adapter.protocols.translated import TranslatedStream, broken_reply, label, whole_message

MOST_CITATIONS = 1_024
_MOST_BLOCKS = 1_024


def thinking_detail(form: str, index: int, **fields: str) -> dict[str, Any]:
    return {"type": "reasoning.text", **fields, "format": form, "index": index}


def redacted_detail(form: str, index: int, data: str) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "format": form, "index": index}


def url_citation(url: str, title: Any, content: Any, start: int, end: int) -> dict[str, Any]:
    """An annotation of the text from `start` to `end`."""
    return {
        "type": "url_citation",
        "url_citation": {
            "url": url,
            "title": str(title or ""),
            "content": str(content or ""),
            "start_index": start,
            "end_index": end,
        },
    }


class Block:
    """A content block on its way.

    Attributes:
        kind: text, thinking, call, answer, or a format's own.
        slot: of a call, its index; of thinking, the index of its details.
        start: where its text begins in the whole text.
        written: whether anything of its arguments has come.
    """

    __slots__ = ("citations", "kind", "slot", "start", "written")

    def __init__(self, kind: str, slot: int = 0, start: int = 0) -> None:
        self.kind = kind
        self.slot = slot
        self.start = start
        self.written = False
        self.citations: list[Any] = []


class BlockStream(TranslatedStream):
    """See `StreamDecoder`; a format adds `_read` and `_annotation`."""

    def __init__(
        self, attempt: Attempt, prepared: Prepared, reasoning_format: str, splitter: Splitter | None = None
    ) -> None:
        super().__init__(attempt, prepared, splitter)
        self._reasoning_format = reasoning_format
        self._answer_tool = prepared.answer_tool
        self._blocks: dict[int, Block] = {}
        self._calls = 0
        self._details = 0
        self._length = 0
        self._answered = False

    @abstractmethod
    def _annotation(self, citation: Any, start: int, end: int) -> dict[str, Any] | None:
        """What a citation of the text from `start` to `end` is in chat; None: it has no form there."""

    def _begin_block(self, key: int, block: Block) -> Block:
        if len(self._blocks) >= _MOST_BLOCKS:
            raise broken_reply("The provider sent too many content blocks.")
        self._blocks[key] = block
        return block

    def _begin_text(self, key: int) -> Block:
        return self._begin_block(key, Block("text", start=self._length))

    def _begin_thinking(self, key: int) -> Block:
        return self._begin_block(key, Block("thinking", self._take_detail()))

    def _begin_call(self, key: int, call_id: Any, name: Any, arguments: str = "") -> bytes:
        """Opens a call; the answer tool's is the answer."""
        if self._answer_tool and name == self._answer_tool:
            self._answered = True
            return self._argue(self._begin_block(key, Block("answer")), arguments)
        block = self._begin_block(key, Block("call", self._calls))
        self._calls += 1
        function = {"name": label(name), "arguments": ""}
        call = {"index": block.slot, "id": label(call_id), "type": "function", "function": function}
        return self._delta({"tool_calls": [call]}) + self._argue(block, arguments)

    def _take_text(self, text: Any) -> bytes:
        if type(text) is not str:
            raise broken_reply("A delta's text is no text.")
        self._length += len(text)
        return self._text(text) if text else b""

    def _argue(self, block: Block, text: Any) -> bytes:
        """A piece of a call's arguments."""
        if type(text) is not str or not text:
            return b""
        block.written = True
        if block.kind == "answer":
            return self._take_text(text)
        if block.kind != "call":
            return b""
        return self._delta({"tool_calls": [{"index": block.slot, "function": {"arguments": text}}]})

    def _think(self, block: Block, text: Any) -> bytes:
        if type(text) is not str or not text or block.kind != "thinking":
            return b""
        detail = thinking_detail(self._reasoning_format, block.slot, text=text)
        return self._delta({"reasoning": text, "reasoning_details": [detail]})

    def _sign(self, block: Block, signature: Any) -> bytes:
        if type(signature) is not str or not signature or block.kind != "thinking":
            return b""
        detail = thinking_detail(self._reasoning_format, block.slot, signature=signature)
        return self._delta({"reasoning_details": [detail]})

    def _redact(self, data: str, form: str) -> bytes:
        return self._delta({"reasoning_details": [redacted_detail(form, self._take_detail(), data)]})

    def _cite(self, block: Block, citation: Any) -> None:
        if len(block.citations) < MOST_CITATIONS:
            block.citations.append(citation)

    def _end_block(self, key: int) -> bytes:
        block = self._blocks.pop(key, None)
        if block is None:
            return b""
        if block.kind in {"call", "answer"} and not block.written:
            # A call without arguments has no deltas, and yet its arguments are an object.
            return self._argue(block, "{}")
        found = [self._annotation(citation, block.start, self._length) for citation in block.citations]
        annotations = [annotation for annotation in found if annotation is not None]
        return self._delta({"annotations": annotations}) if annotations else b""

    def _take_detail(self) -> int:
        self._details += 1
        return self._details - 1


class GatheredBlocks:
    """The blocks of one whole message, in chat's drawers."""

    def __init__(self, answer_tool: str, reasoning_format: str) -> None:
        self._answer_tool = answer_tool
        self._reasoning_format = reasoning_format
        self._length = 0
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.answered = False

    def add_text(self, text: str) -> tuple[int, int]:
        """Where it stands in the whole text."""
        start, self._length = self._length, self._length + len(text)
        self._texts.append(text)
        return start, self._length

    def add_annotation(self, annotation: dict[str, Any] | None) -> None:
        if annotation is not None and len(self._annotations) < MOST_CITATIONS:
            self._annotations.append(annotation)

    def add_thought(self, text: Any, signature: Any) -> None:
        text = text if isinstance(text, str) else ""
        self._thoughts.append(text)
        fields = {"text": text}
        if isinstance(signature, str) and signature:
            fields["signature"] = signature
        self._details.append(thinking_detail(self._reasoning_format, len(self._details), **fields))

    def add_redacted(self, data: str, form: str) -> None:
        self._details.append(redacted_detail(form, len(self._details), data))

    def add_call(self, call_id: Any, name: Any, given: Any) -> None:
        arguments = given if isinstance(given, str) else dumps_reply(given if given is not None else {}).decode()
        if self._answer_tool and name == self._answer_tool:
            self.answered = True
            self._texts.append(arguments)
            return
        function = {"name": label(name), "arguments": arguments}
        self.calls.append({"id": label(call_id), "type": "function", "function": function})

    def message(self) -> dict[str, Any]:
        return whole_message(self._texts, self._thoughts, self.calls, self._details, self._annotations)


def finish_of(reasons: Mapping[str, str], native: Any, *, called: bool, answered: bool = False) -> tuple[str, str]:
    """The normalised and the native finish reason; both empty when there is none.

    Args:
        reasons: chat's words by the format's.
        native: what the provider said.
        called: the reply holds calls of the caller's tools.
        answered: it holds the call of an answer tool, which is an answer to the caller.
    """
    if not isinstance(native, str) or not native:
        return "", ""
    normal = reasons.get(native, "stop")
    if called and normal == "stop":
        normal = "tool_calls"
    elif answered and not called and normal == "tool_calls":
        normal = "stop"
    return normal, native[:64]
