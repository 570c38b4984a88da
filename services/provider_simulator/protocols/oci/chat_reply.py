"""Puts a script into Oracle's chat: the whole reply, or the events of a stream, in each of its kinds.

Owns the bytes. Does not own pace or sockets. Invariant: the events of a stream say the same as the whole reply; the last
event of Cohere's first kind says it all again.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallStart, Script
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest
from services.provider_simulator.protocols.oci.errors import simulated_body
from services.provider_simulator.protocols.oci.validation import COHERE, COHERE_V2, GENERIC
from services.provider_simulator.protocols.openai.errors import error_headers

_COHERES: Mapping[str, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
}
_HEADERS = {"Content-Type": "application/json"}
_STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}


class ChatReply:
    """One reply in Oracle's words; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, asked: NativeRequest, kind: str) -> None:
        self._script = script
        self._model = model
        self._kind = kind
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._ids = [f"call_{secrets.token_hex(8)}" for event in script.events if isinstance(event, CallStart)]

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return _HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def whole(self) -> bytes:
        return self._whole(self._words(), self._calls())

    def opening(self) -> bytes:
        """What was thought."""
        return b"".join(self._event(self._thinking(thought)) for thought in THOUGHTS if self._shown)

    def events(self, start: int, stop: int) -> bytes:
        """The events of the script's from `start` up to `stop`; Cohere's calls come whole, with the last of them."""
        events = self._script.events
        written: list[bytes] = []
        called = sum(isinstance(event, CallStart) for event in events[:start])
        for place in range(start, min(stop, len(events))):
            event = events[place]
            if isinstance(event, str):
                written.append(self._event(self._saying(event)))
            elif self._kind != GENERIC:
                if place == len(events) - 1:
                    written.append(self._event(self._calling(self._calls())))
            elif isinstance(event, CallStart):
                begun = {"type": "FUNCTION", "id": self._ids[called], "name": event.name, "arguments": ""}
                written.append(self._event(self._calling([begun])))
                called += 1
            else:
                written.append(self._event(self._calling([{"type": "FUNCTION", "arguments": event.text}])))
        return b"".join(written)

    def closing(self) -> bytes:
        reason = self._finish_reason()
        last: dict[str, Any] = {"finishReason": reason} if reason is not None else {}
        if self._kind == COHERE and last:
            last |= {"text": self._words(), "chatHistory": []}
            if self._calls():
                last["toolCalls"] = self._calls()
        usage = {"usage": self._usage()} if self._script.report_usage else {}
        # Usage of the generic kind comes after the end, in an event of its own.
        told = [last, usage] if self._kind == GENERIC else [{**last, **usage}]
        return b"".join(self._event(one) for one in told if one) + b"data: [DONE]\n\n"

    def failure_event(self) -> bytes:
        return b"data: %b\n\n" % simulated_body(self._script.status)

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._script.status), simulated_body(self._script.status)

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if stream:
            good = self._event(self._saying(_STAND_IN))
            broken = good[:-8] + b"\n\n" if kind is Garbage.JSON else good.replace(_STAND_IN.encode(), _NOT_UTF8)
            return _STREAM_HEADERS, broken + self.closing()
        body = self._whole(_STAND_IN, [])
        if kind is Garbage.JSON:
            return _HEADERS, body[: len(body) // 2]
        return _HEADERS, body.replace(_STAND_IN.encode(), _NOT_UTF8, 1)

    def _event(self, value: dict[str, Any]) -> bytes:
        about = {"index": 0} if self._kind == GENERIC else {"apiFormat": self._kind}
        return b"data: %b\n\n" % orjson.dumps({**about, **value, "pad": "aaaa"})

    def _saying(self, text: str) -> dict[str, Any]:
        if self._kind == COHERE:
            return {"text": text}
        return {"message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}]}}

    def _thinking(self, text: str) -> dict[str, Any]:
        if self._kind == COHERE_V2:
            return {"message": {"role": "ASSISTANT", "content": [{"type": "THINKING", "thinking": text}]}}
        return {"message": {"role": "ASSISTANT", "reasoningContent": text}}

    def _calling(self, calls: list[dict[str, Any]]) -> dict[str, Any]:
        return {"toolCalls": calls} if self._kind == COHERE else {"message": {"role": "ASSISTANT", "toolCalls": calls}}

    def _whole(self, words: str, calls: list[dict[str, Any]]) -> bytes:
        usage = {"usage": self._usage()} if self._script.report_usage else {}
        reason = self._finish_reason()
        if self._kind == COHERE:
            reply: dict[str, Any] = {"text": words, "chatHistory": [], "finishReason": reason}
            if calls:
                reply["toolCalls"] = calls
        else:
            message = self._message(words, calls)
            if self._kind == COHERE_V2:
                reply = {"id": secrets.token_hex(8), "message": message, "finishReason": reason}
            else:
                choice = {"index": 0, "message": message, "finishReason": reason, "logprobs": {}}
                reply = {"timeCreated": "2026-01-01T00:00:00.000Z", "choices": [choice]}
        told = {"apiFormat": self._kind, **reply, **usage}
        return orjson.dumps({"modelId": self._model, "modelVersion": "1.0.0", "chatResponse": told})

    def _message(self, words: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
        content: list[dict[str, str]] = [{"type": "TEXT", "text": words}] if words else []
        message: dict[str, Any] = {"role": "ASSISTANT", "content": content}
        if self._shown and self._kind == COHERE_V2:
            message["content"] = [{"type": "THINKING", "thinking": "".join(THOUGHTS)}, *content]
        elif self._shown:
            message["reasoningContent"] = "".join(THOUGHTS)
        if calls:
            message["toolCalls"] = calls
        return message

    def _words(self) -> str:
        return "".join(event for event in self._script.events if isinstance(event, str))

    def _calls(self) -> list[dict[str, Any]]:
        made: list[tuple[str, list[str]]] = []
        for event in self._script.events:
            if isinstance(event, CallStart):
                made.append((event.name, []))
            elif not isinstance(event, str):
                made[-1][1].append(event.text)
        return [self._call(place, name, "".join(texts)) for place, (name, texts) in enumerate(made)]

    def _call(self, place: int, name: str, arguments: str) -> dict[str, Any]:
        if self._kind == COHERE:
            try:
                parameters = orjson.loads(arguments)
            except orjson.JSONDecodeError:
                # The limit cut them.
                parameters = {}
            return {"name": name, "parameters": parameters}
        named = {"name": name, "arguments": arguments}
        told = {"id": self._ids[place], "type": "FUNCTION"}
        return {**told, "function": named} if self._kind == COHERE_V2 else {**told, **named}

    def _finish_reason(self) -> str | None:
        reason = self._script.finish_reason
        if reason is None or self._kind == GENERIC:
            return reason
        if self._kind == COHERE and reason == "tool_calls":
            return "COMPLETE"
        return _COHERES.get(reason, reason)

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self._script.prompt_tokens, self._script.completion_tokens + self._thought_tokens
        usage: dict[str, Any] = {
            "promptTokens": prompt,
            "completionTokens": completion,
            "totalTokens": prompt + completion,
        }
        if self._kind != COHERE:
            usage["completionTokensDetails"] = {"reasoningTokens": self._thought_tokens}
        return usage
