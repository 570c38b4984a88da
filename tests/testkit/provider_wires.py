"""The same replies in the bytes of each provider format, written from the formats' documentation and not by our code."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import orjson

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.port import Usage, WireProtocol
from services.provider_adapter.protocols.vertex.protocol import VertexClaude, VertexGemini


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a model said, in no format's terms; `end` is stop, length, tool_calls or content_filter."""

    thoughts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    calls: tuple[Call, ...] = field(default=())
    end: str = "stop"


class Wire(Protocol):
    """One format; `usage` is what its replies count."""

    protocol: WireProtocol
    model: str
    native_ends: ClassVar[dict[str, str]]
    usage: Usage
    signs: bool

    def stream(self, reply: Reply) -> bytes: ...

    def whole(self, reply: Reply) -> bytes: ...

    def noise(self) -> bytes:
        """Events that mean nothing."""
        ...

    def error_event(self) -> bytes: ...

    def error(self, status: int, message: str) -> bytes: ...


class ServerSentEvents:
    """How most formats put events into bytes; a wire of another framing has one of its own as `framing`."""

    def frames(self, raw: bytes) -> list[bytes]:
        end = b"\r\n\r\n" if b"\r\n\r\n" in raw else b"\n\n"
        return [frame + end for frame in raw.split(end) if frame]

    def value(self, frame: bytes) -> Any:
        """What an event holds; None: no object."""
        line = next((line for line in frame.splitlines() if line.startswith(b"data: {")), None)
        return None if line is None else orjson.loads(line[6:])

    def with_value(self, frame: bytes, value: Any) -> bytes:
        return data(value)

    def spelt(self, raw: bytes, line_end: bytes) -> bytes:
        """The same stream in another spelling."""
        return raw.replace(b"\r\n", b"\n").replace(b"\n", line_end)


SERVER_SENT_EVENTS = ServerSentEvents()


def data(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


class OpenAiChatWire:
    protocol: WireProtocol = OpenAiChat()
    model = "gpt-4o"
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
    }
    usage = Usage(10, 6, cache_read_tokens=4, reasoning_tokens=2)
    signs = False
    _usage: ClassVar[dict[str, Any]] = {
        "prompt_tokens": 10,
        "completion_tokens": 6,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }

    def stream(self, reply: Reply) -> bytes:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas.extend({"reasoning_content": thought} for thought in reply.thoughts)
        deltas += [{"content": word} for word in reply.words]
        for place, call in enumerate(reply.calls):
            function = {"name": call.name, "arguments": ""}
            deltas.append(
                {"tool_calls": [{"index": place, "id": f"c{place}", "type": "function", "function": function}]}
            )
            for piece in pieces(call):
                deltas.append({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
        events: list[dict[str, Any]] = [
            {"id": "up-1", "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
        ]
        events.append({"id": "up-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reply.end}]})
        events.append({"id": "up-1", "choices": [], "usage": self._usage})
        return b"".join(map(data, events)) + b"data: [DONE]\n\n"

    def whole(self, reply: Reply) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.words) if reply.words else None}
        if reply.thoughts:
            message["reasoning_content"] = "".join(reply.thoughts)
        if reply.calls:
            message["tool_calls"] = [
                {"id": f"c{place}", "type": "function", "function": {"name": c.name, "arguments": text(c)}}
                for place, c in enumerate(reply.calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": reply.end}
        return orjson.dumps({"id": "up-1", "choices": [choice], "usage": self._usage})

    def noise(self) -> bytes:
        return b": keep-alive\n\n"

    def error_event(self) -> bytes:
        return data({"error": {"message": "boom", "type": "server_error", "code": None}})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"error": {"message": message, "type": "some_error", "param": None, "code": None}})


class AnthropicWire:
    protocol: WireProtocol = AnthropicMessages()
    model = "claude-sonnet-4-5"
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
    }
    usage = Usage(10, 6, cache_read_tokens=4, cache_write_tokens=3, reasoning_tokens=2)
    signs = True
    _input: ClassVar[dict[str, Any]] = {
        "input_tokens": 3,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 3,
    }
    _output: ClassVar[dict[str, Any]] = {"output_tokens": 6, "output_tokens_details": {"thinking_tokens": 2}}

    def stream(self, reply: Reply) -> bytes:
        message: dict[str, Any] = {"id": "up-1", "type": "message", "role": "assistant", "content": []}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**message, "usage": {**self._input, "output_tokens": 1}}}
        ]
        for index, (block, deltas) in enumerate(self._streamed(reply)):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        delta = {"stop_reason": self.native_ends[reply.end], "stop_sequence": None}
        events += [{"type": "message_delta", "delta": delta, "usage": self._output}, {"type": "message_stop"}]
        return b"".join(b"event: " + event["type"].encode() + b"\n" + data(event) for event in events)

    def _streamed(self, reply: Reply) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        if reply.thoughts:
            deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": t} for t in reply.thoughts]
            deltas.append({"type": "signature_delta", "signature": "c2ln"})
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
        if reply.words:
            blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": w} for w in reply.words]))
        for place, call in enumerate(reply.calls):
            told = [{"type": "input_json_delta", "partial_json": p} for p in ("", *pieces(call)) if call.arguments]
            blocks.append(({"type": "tool_use", "id": f"c{place}", "name": call.name, "input": {}}, told))
        return blocks

    def whole(self, reply: Reply) -> bytes:
        blocks: list[dict[str, Any]] = []
        if reply.thoughts:
            blocks.append({"type": "thinking", "thinking": "".join(reply.thoughts), "signature": "c2ln"})
        if reply.words:
            blocks.append({"type": "text", "text": "".join(reply.words)})
        for place, call in enumerate(reply.calls):
            blocks.append({"type": "tool_use", "id": f"c{place}", "name": call.name, "input": call.arguments})
        return orjson.dumps(
            {
                "id": "up-1",
                "type": "message",
                "role": "assistant",
                "content": blocks,
                "stop_reason": self.native_ends[reply.end],
                "usage": {**self._input, **self._output},
            }
        )

    def noise(self) -> bytes:
        return b'event: ping\ndata: {"type":"ping"}\n\n: comment\n\ndata: {"type":"of_the_future","error_free":1}\n\n'

    def error_event(self) -> bytes:
        return b"event: error\n" + data({"type": "error", "error": {"type": "api_error", "message": "boom"}})

    def error(self, status: int, message: str) -> bytes:
        error = {"type": "some_error", "message": message}
        return orjson.dumps({"type": "error", "error": error, "request_id": "req_1"})


class GeminiWire:
    protocol: WireProtocol = Gemini()
    model = "gemini-2.5-flash"
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "STOP",
        "length": "MAX_TOKENS",
        "tool_calls": "STOP",
        "content_filter": "SAFETY",
    }
    usage = Usage(10, 6, cache_read_tokens=4, reasoning_tokens=2)
    signs = True
    _usage: ClassVar[dict[str, Any]] = {
        "promptTokenCount": 9,
        "toolUsePromptTokenCount": 1,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 16,
    }

    def stream(self, reply: Reply) -> bytes:
        parts: list[list[dict[str, Any]]] = [[{"text": thought, "thought": True}] for thought in reply.thoughts]
        parts += [[{"text": word}] for word in reply.words]
        parts += [[part] for part in self._calls(reply)]
        running = {"promptTokenCount": 9, "totalTokenCount": 9}
        events = [
            {"candidates": [{"content": {"parts": p, "role": "model"}, "index": 0}], "usageMetadata": running}
            for p in parts
        ]
        last = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": self.native_ends[reply.end]}
        events.append({"candidates": [last], "usageMetadata": self._usage})
        return b"".join(data({**event, "responseId": "up-1"}).replace(b"\n", b"\r\n") for event in events)

    def _calls(self, reply: Reply) -> list[dict[str, Any]]:
        signature = {"thoughtSignature": "c2ln"} if reply.thoughts else {}
        parts: list[dict[str, Any]] = []
        for place, call in enumerate(reply.calls):
            signed = signature if place == 0 else {}
            parts.append({"functionCall": {"name": call.name, "args": call.arguments}, **signed})
        return parts

    def whole(self, reply: Reply) -> bytes:
        parts: list[dict[str, Any]] = []
        if reply.thoughts:
            parts.append({"text": "".join(reply.thoughts), "thought": True})
        if reply.words:
            parts.append({"text": "".join(reply.words)})
        parts += self._calls(reply)
        content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        candidate = {"content": content, "finishReason": self.native_ends[reply.end], "index": 0}
        return orjson.dumps({"candidates": [candidate], "usageMetadata": self._usage, "responseId": "up-1"})

    def noise(self) -> bytes:
        return b": comment\n\n" + data({"modelVersion": "x", "of_the_future": 1})

    def error_event(self) -> bytes:
        return data({"error": {"code": 500, "message": "boom", "status": "INTERNAL"}})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps([{"error": {"code": status, "message": message, "status": "SOME_STATUS"}}])


class VertexGeminiWire(GeminiWire):
    protocol: WireProtocol = VertexGemini()


class VertexClaudeWire(AnthropicWire):
    protocol: WireProtocol = VertexClaude()
    model = "claude-sonnet-4-5@20250929"


def text(call: Call) -> str:
    return orjson.dumps(call.arguments).decode()


def pieces(call: Call) -> list[str]:
    written = text(call)
    return [written[start : start + 5] for start in range(0, len(written), 5)]
