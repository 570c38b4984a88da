"""Replies in the bytes of Cohere v2, written from the format's documentation and not by our code."""

from typing import Any, ClassVar

import orjson

from services.provider_adapter.protocols.cohere.protocol import CohereChat
from services.provider_adapter.protocols.port import Usage, WireProtocol
from tests.testkit.provider_wires import Call, Reply, data, pieces, text


class CohereWire:
    protocol: WireProtocol = CohereChat()
    model = "command-a-reasoning-08-2025"
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "tool_calls": "TOOL_CALL",
        "content_filter": "ERROR_TOXIC",
    }
    usage = Usage(10, 6, reasoning_tokens=2)
    signs = False
    _usage: ClassVar[dict[str, Any]] = {
        "billed_units": {"input_tokens": 10, "output_tokens": 6.0},
        "tokens": {"input_tokens": 542, "output_tokens": 9, "reasoning_tokens": 2},
        "cached_tokens": 448,
    }

    def stream(self, reply: Reply) -> bytes:
        nothing: dict[str, Any] = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        events: list[dict[str, Any]] = [{"id": "up-1", "type": "message-start", "delta": {"message": nothing}}]
        for index, (kind, words) in enumerate(self._blocks(reply)):
            events.append(_content("content-start", index, {"type": kind, kind: ""}))
            events += [_content("content-delta", index, {kind: word}) for word in words]
            events.append({"type": "content-end", "index": index})
        for place, call in enumerate(reply.calls):
            events += self._call(place, call)
        delta = {"finish_reason": self.native_ends[reply.end], "usage": self._usage}
        events.append({"type": "message-end", "delta": delta})
        return b"".join(_named(event) for event in events) + b"data: [DONE]\n\n"

    def _blocks(self, reply: Reply) -> list[tuple[str, tuple[str, ...]]]:
        blocks = [("thinking", reply.thoughts), ("text", reply.words)]
        return [block for block in blocks if block[1]]

    def _call(self, place: int, call: Call) -> list[dict[str, Any]]:
        started = {"id": f"c{place}", "type": "function", "function": {"name": call.name, "arguments": ""}}
        told = pieces(call) if call.arguments else []
        return [
            _calling("tool-call-start", place, started),
            *(_calling("tool-call-delta", place, {"function": {"arguments": piece}}) for piece in told),
            {"type": "tool-call-end", "index": place},
        ]

    def whole(self, reply: Reply) -> bytes:
        message: dict[str, Any] = {"role": "assistant"}
        content = [{"type": kind, kind: "".join(words)} for kind, words in self._blocks(reply)]
        if content:
            message["content"] = content
        if reply.calls:
            message["tool_calls"] = [
                {
                    "id": f"c{place}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": text(call) if call.arguments else "null"},
                }
                for place, call in enumerate(reply.calls)
            ]
        return orjson.dumps(
            {
                "id": "up-1",
                "message": message,
                "finish_reason": self.native_ends[reply.end],
                "usage": self._usage,
            }
        )

    def noise(self) -> bytes:
        return b": comment\n\n" + _named({"type": "debug", "prompt": "x"}) + _named({"type": "of-the-future"})

    def error_event(self) -> bytes:
        return _named({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "boom"}})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"id": "some-id", "message": message, "status": status})


def _named(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\n".encode() + data(event)


def _content(kind: str, index: int, content: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": {"content": content}}}


def _calling(kind: str, index: int, call: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}}
