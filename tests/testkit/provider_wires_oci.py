"""Replies in the bytes of Oracle's kinds of chat, written from its SDK and other clients' tests and not by our code."""

from typing import Any, ClassVar

import orjson

from services.provider_adapter.protocols.oci.forms import Form
from services.provider_adapter.protocols.oci.protocol import OciChat
from services.provider_adapter.protocols.port import Usage, WireProtocol
from tests.testkit.provider_wires import Call, Reply, data


def _text(text: str) -> dict[str, Any]:
    return {"type": "TEXT", "text": text}


def _arguments(call: Call) -> str:
    return orjson.dumps(call.arguments).decode()


class OciWire:
    """The generic kind; the usage's total holds thoughts that its completion leaves out."""

    protocol: WireProtocol = OciChat()
    model = "google.gemini-2.5-flash"
    asked = Form.GENERIC
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "stop",
        "length": "max_tokens",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
    }
    usage = Usage(10, 6, cache_read_tokens=4, reasoning_tokens=2)
    signs = False
    upstream_id = ""
    _usage: ClassVar[dict[str, Any]] = {
        "promptTokens": 10,
        "completionTokens": 4,
        "totalTokens": 16,
        "promptTokensDetails": {"cachedTokens": 4},
        "completionTokensDetails": {"reasoningTokens": 2, "acceptedPredictionTokens": 0},
    }

    def stream(self, reply: Reply) -> bytes:
        events: list[dict[str, Any]] = [self._said(reasoningContent=thought) for thought in reply.thoughts]
        events += [self._said(content=[_text(word)]) for word in reply.words]
        for place, call in enumerate(reply.calls):
            told = _arguments(call)
            begun = {"type": "FUNCTION", "id": f"call_{place}", "name": call.name, "arguments": ""}
            events.append(self._said(toolCalls=[begun]))
            events += [self._said(toolCalls=[{"type": "FUNCTION", "arguments": t}]) for t in (told[:3], told[3:]) if t]
        events.append({"finishReason": self.native_ends[reply.end], "pad": "aa"})
        return b"".join(map(data, [*events, {"usage": self._usage}]))

    def whole(self, reply: Reply) -> bytes:
        message: dict[str, Any] = {"role": "ASSISTANT", "content": [_text(w) for w in reply.words], "refusal": None}
        if reply.thoughts:
            message["reasoningContent"] = "".join(reply.thoughts)
        if reply.calls:
            message["toolCalls"] = [
                {"type": "FUNCTION", "id": f"call_{place}", "name": call.name, "arguments": _arguments(call)}
                for place, call in enumerate(reply.calls)
            ]
        choice = {"index": 0, "message": message, "finishReason": self.native_ends[reply.end], "logprobs": {}}
        chat = {"apiFormat": "GENERIC", "timeCreated": "2026-07-27T17:27:25.871Z", "choices": [choice]}
        return self._result({**chat, "usage": self._usage})

    def noise(self) -> bytes:
        return b": comment\n\n" + data({"index": 0, "pad": "aaaaaaa"})

    def error_event(self) -> bytes:
        return data({"code": "InternalServerError", "message": "boom"})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"code": "SomeCode", "message": message})

    def _result(self, chat: dict[str, Any]) -> bytes:
        return orjson.dumps({"modelId": self.model, "modelVersion": "1.0.0", "chatResponse": chat})

    def _said(self, **message: Any) -> dict[str, Any]:
        return {"index": 0, "message": {"role": "ASSISTANT", **message}, "pad": "aaa"}


class OciCohereWire(OciWire):
    """Cohere's second kind: calls come whole."""

    model = "cohere.command-a-reasoning-08-2025"
    asked = Form.COHERE_V2
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "tool_calls": "TOOL_CALL",
        "content_filter": "ERROR_TOXIC",
    }

    def stream(self, reply: Reply) -> bytes:
        events = [self._told(content=[{"type": "THINKING", "thinking": t}]) for t in reply.thoughts]
        events += [self._told(content=[_text(word)]) for word in reply.words]
        if reply.calls:
            events.append(self._told(toolCalls=self._calls(reply)))
        end = {"apiFormat": "COHEREV2", "finishReason": self.native_ends[reply.end], "usage": self._usage}
        return b"".join(map(data, [*events, end]))

    def whole(self, reply: Reply) -> bytes:
        thoughts = [{"type": "THINKING", "thinking": "".join(reply.thoughts)}] if reply.thoughts else []
        message: dict[str, Any] = {"role": "ASSISTANT", "content": [*thoughts, *(_text(w) for w in reply.words)]}
        if reply.calls:
            message["toolCalls"] = self._calls(reply)
        chat = {"apiFormat": "COHEREV2", "message": message, "finishReason": self.native_ends[reply.end]}
        return self._result({**chat, "usage": self._usage})

    def noise(self) -> bytes:
        return b": comment\n\n" + data({"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", "citations": []}})

    def _calls(self, reply: Reply) -> list[dict[str, Any]]:
        named = [{"name": call.name, "arguments": _arguments(call)} for call in reply.calls]
        return [{"id": f"call_{at}", "type": "FUNCTION", "function": one} for at, one in enumerate(named)]

    def _told(self, **message: Any) -> dict[str, Any]:
        return {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", **message}}


class OciFirstCohereWire(OciWire):
    """Cohere's first kind: the last event says all of it again; calls have no ids, and nothing is thought."""

    model = "cohere.command-r-plus-08-2024"
    asked = Form.COHERE
    thinks = False
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "tool_calls": "COMPLETE",
        "content_filter": "ERROR_TOXIC",
    }
    usage = Usage(10, 6)
    _usage: ClassVar[dict[str, Any]] = {"promptTokens": 10, "completionTokens": 6, "totalTokens": 16}

    def stream(self, reply: Reply) -> bytes:
        events: list[dict[str, Any]] = [{"apiFormat": "COHERE", "text": word} for word in reply.words]
        if reply.calls:
            events.append({"apiFormat": "COHERE", **self._calls(reply)})
        return b"".join(map(data, [*events, {**self._chat(reply), "pad": "a"}]))

    def whole(self, reply: Reply) -> bytes:
        return self._result(self._chat(reply))

    def noise(self) -> bytes:
        return b": comment\n\n" + data({"apiFormat": "COHERE", "isSearchRequired": False})

    def _chat(self, reply: Reply) -> dict[str, Any]:
        text = "".join(reply.words)
        history = [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": text}]
        end = {"finishReason": self.native_ends[reply.end], "usage": self._usage}
        return {"apiFormat": "COHERE", "text": text, "chatHistory": history, **self._calls(reply), **end}

    def _calls(self, reply: Reply) -> dict[str, Any]:
        calls = [{"name": call.name, "parameters": call.arguments} for call in reply.calls]
        return {"toolCalls": calls} if calls else {}
