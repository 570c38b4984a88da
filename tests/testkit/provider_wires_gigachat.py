"""Replies in the bytes of GigaChat, written from the format's documentation and not by our code."""

from typing import Any, ClassVar

import orjson

from services.provider_adapter.protocols.gigachat.protocol import GigaChat
from services.provider_adapter.protocols.port import Usage, WireProtocol
from tests.testkit.provider_wires import Call, Reply, data

STATE = "77d3fb14-457a-46ba-937e-8d856156d003"


class GigaChatWire:
    protocol: WireProtocol = GigaChat()
    model = "GigaChat-2-Max"
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "function_call",
        "content_filter": "blacklist",
    }
    usage = Usage(10, 6, cache_read_tokens=4)
    signs = False
    upstream_id = ""
    most_calls = 1
    _usage: ClassVar[dict[str, Any]] = {
        "prompt_tokens": 6,
        "completion_tokens": 6,
        "total_tokens": 12,
        "precached_prompt_tokens": 4,
    }

    def stream(self, reply: Reply) -> bytes:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "reasoning_content": t} for t in reply.thoughts]
        deltas += [{"role": "assistant", "content": word} for word in reply.words]
        deltas += [{"role": "assistant", "content": "", **_call(call)} for call in reply.calls[:1]]
        events = [self._event(delta) for delta in deltas[:-1]]
        last = deltas[-1] if reply.calls else {"content": ""}
        if deltas and not reply.calls:
            events.append(self._event(deltas[-1]))
        events.append({**self._event(last, self.native_ends[reply.end]), "usage": self._usage})
        return b"".join(map(data, events)) + b"data: [DONE]\n\n"

    def _event(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice: dict[str, Any] = {"delta": delta, "index": 0}
        if finish is not None:
            choice["finish_reason"] = finish
        return {
            "choices": [choice],
            "created": 1_700_000_000,
            "model": "GigaChat-2-Max:2.0.28.2",
            "object": "chat.completion",
        }

    def whole(self, reply: Reply) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.words)}
        if reply.thoughts:
            message["reasoning_content"] = "".join(reply.thoughts)
        for call in reply.calls[:1]:
            message |= _call(call)
        choice = {"message": message, "index": 0, "finish_reason": self.native_ends[reply.end]}
        return orjson.dumps(
            {
                "choices": [choice],
                "created": 1_700_000_000,
                "model": "GigaChat-2-Max:2.0.28.2",
                "object": "chat.completion",
                "usage": self._usage,
            }
        )

    def noise(self) -> bytes:
        return b": comment\n\n" + data({"choices": [], "model": "x", "object": "of.the.future"})

    def error_event(self) -> bytes:
        return data({"status": 500, "message": "boom"})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"status": status, "message": message})


def _call(call: Call) -> dict[str, Any]:
    return {"function_call": {"name": call.name, "arguments": call.arguments}, "functions_state_id": STATE}
