"""The replies of provider_wires.py in Bedrock's bytes, written from the format's documentation and not by our code."""

import struct
import zlib
from typing import Any, ClassVar

import orjson

from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.port import Usage, WireProtocol
from tests.testkit.provider_wires import Reply, ServerSentEvents, pieces


def frame(payload: bytes, **headers: str) -> bytes:
    """One message of Amazon's event stream; `event_type` stands for `:event-type`."""
    written = b"".join(
        struct.pack("!B", len(name) + 1) + b":" + name.encode() + struct.pack("!BH", 7, len(value.encode())) + value.encode()
        for name, value in ((name.replace("_", "-"), value) for name, value in headers.items())
    )  # fmt: skip
    prelude = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + written + payload
    return message + struct.pack("!I", zlib.crc32(message))


def event(kind: str, value: Any) -> bytes:
    return frame(orjson.dumps(value), event_type=kind, content_type="application/json", message_type="event")


def exception(kind: str, value: Any) -> bytes:
    return frame(orjson.dumps(value), exception_type=kind, content_type="application/json", message_type="exception")


class EventStream(ServerSentEvents):
    """Frames instead of lines."""

    def frames(self, raw: bytes) -> list[bytes]:
        frames = []
        while raw:
            length = int.from_bytes(raw[:4])
            frames.append(raw[:length])
            raw = raw[length:]
        return frames

    def value(self, frame: bytes) -> Any:
        return orjson.loads(frame[12 + int.from_bytes(frame[4:8]) : -4])

    def with_value(self, frame: bytes, value: Any) -> bytes:
        headers = frame[12 : 12 + int.from_bytes(frame[4:8])]
        kind_bytes = headers[len(b"\x0b:event-type\x07\x00\x00") :]
        kind = kind_bytes[: headers[len(b"\x0b:event-type\x07\x00")]]
        return event(kind.decode(), value)

    def spelt(self, raw: bytes, line_end: bytes) -> bytes:
        """Frames have one spelling."""
        return raw


class BedrockWire:
    protocol: WireProtocol = BedrockConverse()
    framing = EventStream()
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    upstream_id = ""
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "guardrail_intervened",
    }
    usage = Usage(10, 6, cache_read_tokens=4, cache_write_tokens=3)
    signs = True
    _usage: ClassVar[dict[str, Any]] = {
        "inputTokens": 3,
        "outputTokens": 6,
        "totalTokens": 16,
        "cacheReadInputTokens": 4,
        "cacheWriteInputTokens": 3,
    }

    def stream(self, reply: Reply) -> bytes:
        events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
        for index, (start, deltas) in enumerate(self._streamed(reply)):
            here = {"contentBlockIndex": index}
            if start is not None:
                events.append(("contentBlockStart", {**here, "start": start}))
            events += [("contentBlockDelta", {**here, "delta": delta}) for delta in deltas]
            events.append(("contentBlockStop", here))
        events.append(("messageStop", {"stopReason": self.native_ends[reply.end]}))
        events.append(("metadata", {"usage": self._usage, "metrics": {"latencyMs": 7}}))
        return b"".join(event(kind, {**value, "p": "abcdef"[: len(kind) % 7]}) for kind, value in events)

    def _streamed(self, reply: Reply) -> list[tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
        blocks: list[tuple[dict[str, Any] | None, list[dict[str, Any]]]] = []
        if reply.thoughts:
            deltas: list[dict[str, Any]] = [{"reasoningContent": {"text": t}} for t in reply.thoughts]
            blocks.append((None, [*deltas, {"reasoningContent": {"signature": "c2ln"}}]))
        if reply.words:
            blocks.append((None, [{"text": word} for word in reply.words]))
        for place, call in enumerate(reply.calls):
            told = [{"toolUse": {"input": piece}} for piece in ("", *pieces(call)) if call.arguments]
            blocks.append(({"toolUse": {"toolUseId": f"c{place}", "name": call.name}}, told))
        return blocks

    def whole(self, reply: Reply) -> bytes:
        blocks: list[dict[str, Any]] = []
        if reply.thoughts:
            told = {"text": "".join(reply.thoughts), "signature": "c2ln"}
            blocks.append({"reasoningContent": {"reasoningText": told}})
        if reply.words:
            blocks.append({"text": "".join(reply.words)})
        for place, call in enumerate(reply.calls):
            blocks.append({"toolUse": {"toolUseId": f"c{place}", "name": call.name, "input": call.arguments}})
        return orjson.dumps(
            {
                "output": {"message": {"role": "assistant", "content": blocks}},
                "stopReason": self.native_ends[reply.end],
                "usage": self._usage,
                "metrics": {"latencyMs": 7},
            }
        )

    def noise(self) -> bytes:
        unknown = event("ofTheFuture", {"p": "abc"})
        return unknown + event("contentBlockDelta", {"contentBlockIndex": 99, "delta": {"newKind": {"a": 1}}})

    def error_event(self) -> bytes:
        return exception("internalServerException", {"message": "boom"})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"message": message})
