"""A streamed Converse reply, from the provider's frames to chat's chunks.

Owns what each event means. Frames are `event_stream.py`'s, holding back and the role `translated.py`'s, blocks
`blocks.py`'s. Invariant: the counts come after the end of the message, and end the reply; an event of an unknown kind
changes nothing.
"""

from typing import Any

from services.provider_adapter.protocols.bedrock_converse.errors import failure_of_event
from services.provider_adapter.protocols.bedrock_converse.messages import BEDROCK_FORMAT, reasoning_format
from services.provider_adapter.protocols.bedrock_converse.models import traits_of
from services.provider_adapter.protocols.bedrock_converse.response import (
    FINISH_REASONS,
    annotation_of,
    image_of,
    tier_of,
)
from services.provider_adapter.protocols.bedrock_converse.usage import usage_of
from services.provider_adapter.protocols.blocks import Block, BlockStream, finish_of
from services.provider_adapter.protocols.event_stream import BROKEN, EXCEPTION, FrameSplitter
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import dumps_reply
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import broken_reply, label


class ConverseStreamDecoder(BlockStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        form = reasoning_format(traits_of(attempt.provider_model_id))
        super().__init__(attempt, prepared, form, FrameSplitter())
        self._images = 0

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        match name:
            case b"contentBlockDelta":
                return self._go_on(value)
            case b"contentBlockStart":
                return self._start(_key(value), value.get("start"))
            case b"contentBlockStop":
                return self._end_block(_key(value))
            case b"messageStart":
                self._blocks.clear()
                return self._open()
            case b"messageStop":
                finish, native = finish_of(
                    FINISH_REASONS, value.get("stopReason"), called=self._calls > 0, answered=self._answered
                )
                return self._finish(finish, native) if finish else b""
            case b"metadata":
                self.facts.usage = usage_of(value.get("usage"))
                self._label_tier(tier_of(value))
                self.ended = True
            case _ if name.startswith(EXCEPTION):
                exception = name[len(EXCEPTION) :].decode("utf-8", "replace")
                raise ProviderFailedError(failure_of_event(exception, value))
            case _ if name == BROKEN:
                raise broken_reply(label(value.get("message")))
        return b""

    def _go_on(self, value: dict[str, Any]) -> bytes:
        delta = value.get("delta")
        if type(delta) is not dict:
            raise broken_reply("A delta is no object.")
        key = _key(value)
        if "text" in delta:
            if key not in self._blocks:
                # The start of a text is not told.
                self._begin_text(key)
            return self._take_text(delta["text"])
        for kind, inner in delta.items():
            if type(inner) is dict:
                return self._extend(key, kind, inner)
        return b""

    def _start(self, key: int, start: Any) -> bytes:
        if type(start) is not dict:
            raise broken_reply("A content block is no object.")
        self._blocks.pop(key, None)
        call, image = start.get("toolUse"), start.get("image")
        if type(call) is dict:
            if call.get("type") == "server_tool_use":
                self._begin_block(key, Block("server"))
                return b""
            given = call.get("input")
            return self._begin_call(key, call.get("toolUseId"), call.get("name"), _written(given))
        if type(image) is dict:
            # The format, of which the deltas do not speak.
            self._begin_block(key, Block(f"image/{label(image.get('format'))}"))
        return b""

    def _extend(self, key: int, kind: str, delta: dict[str, Any]) -> bytes:
        block = self._blocks.get(key)
        match kind:
            case "toolUse":
                return b"" if block is None else self._argue(block, delta.get("input"))
            case "reasoningContent":
                return self._reason(key, block, delta)
            case "citation":
                self._cite(block or self._begin_text(key), delta)
                return b""
            case "image" if block is not None:
                image = image_of(block.kind.removeprefix("image/"), delta.get("source"), self._images)
                if image is not None:
                    self._images += 1
                    return self._delta({"images": [image]})
        return b""

    def _reason(self, key: int, block: Block | None, delta: dict[str, Any]) -> bytes:
        redacted = delta.get("redactedContent")
        if type(redacted) is str and redacted:
            return self._redact(redacted, BEDROCK_FORMAT)
        if block is None:
            block = self._begin_thinking(key)
        return self._think(block, delta.get("text")) + self._sign(block, delta.get("signature"))

    def _annotation(self, citation: Any, start: int, end: int) -> dict[str, Any] | None:
        return annotation_of(citation, start, end)


def _key(value: dict[str, Any]) -> int:
    index = value.get("contentBlockIndex")
    return index if type(index) is int else 0


def _written(given: Any) -> str:
    """Arguments that stand in a block's start already."""
    if type(given) is str:
        return given
    return dumps_reply(given).decode() if given else ""
