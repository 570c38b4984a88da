"""Puts a script into Cohere's chat: the whole reply, or the events of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the events of a stream say the same as the whole reply.

A turn of calls opens with a plan, unless the model thought before it; a call without arguments has none in a stream and
null in a whole reply. What is billed is what was counted; `tokens` adds the template, as the real counts do.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallStart, Event, Script
from services.provider_simulator.protocols.cohere.errors import error_body, error_headers, simulated_message
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest

PLAN = ("I", " will", " use", " the", " tools", ".")

_FINISH_REASONS: Mapping[str, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
    "error": "ERROR",
}
_TEMPLATE_TOKENS = 496
_ENDING_TOKENS = 3
_NO_ARGUMENTS = "{}"
_HEADERS = {"Content-Type": "application/json"}
_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}


class ChatReply:
    """One reply in Cohere's words; implements `player.Rendering`."""

    def __init__(self, script: Script, asked: NativeRequest) -> None:
        self._script = script
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._id = str(uuid.uuid4())
        self._calls = any(isinstance(event, CallStart) for event in script.events)
        self._talks = bool(script.events) and isinstance(script.events[0], str)
        self._plans = self._calls and not self._talks and not self._shown

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return _HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def whole(self) -> bytes:
        return orjson.dumps(self._reply(self._message()))

    def opening(self) -> bytes:
        """The start, and what was thought or planned."""
        nothing: dict[str, Any] = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        start = {"id": self._id, "type": "message-start", "delta": {"message": {**nothing, "citations": []}}}
        written = [_event(start)]
        if self._shown:
            written.append(_content("content-start", 0, {"type": "thinking", "thinking": ""}))
            written += [_content("content-delta", 0, {"thinking": thought}) for thought in THOUGHTS]
            written.append(_event({"type": "content-end", "index": 0}))
        if self._plans:
            written += [
                _event({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}) for piece in PLAN
            ]
        return b"".join(written)

    def events(self, start: int, stop: int) -> bytes:
        """The events of the script's events from `start` up to `stop`, with the blocks they open and close."""
        events = self._script.events
        return b"".join([self._wire(place, events[place]) for place in range(start, min(stop, len(events)))])

    def closing(self) -> bytes:
        delta: dict[str, Any] = {"finish_reason": self._finish_reason()}
        if self._script.report_usage:
            delta["usage"] = self._usage()
        end = {"type": "message-end", "delta": delta}
        return self._closed(len(self._script.events)) + _event(end) + b"data: [DONE]\n\n"

    def failure_event(self) -> bytes:
        delta = {"finish_reason": "ERROR", "error": simulated_message(self._script.status)}
        return _event({"type": "message-end", "delta": delta})

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        status = self._script.status
        return error_headers(status), error_body(simulated_message(status))

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if stream:
            good = _content("content-delta", 0, {"text": _STAND_IN})
            broken = good[:-8] + b"\n\n" if kind is Garbage.JSON else good.replace(_STAND_IN.encode(), _NOT_UTF8)
            return _STREAM_HEADERS, self.opening() + broken + self.closing()
        body = orjson.dumps(self._reply({"role": "assistant", "content": [{"type": "text", "text": _STAND_IN}]}))
        if kind is Garbage.JSON:
            return _HEADERS, body[: len(body) // 2]
        return _HEADERS, body.replace(_STAND_IN.encode(), _NOT_UTF8, 1)

    def _wire(self, place: int, event: Event) -> bytes:
        index = int(self._shown)
        if isinstance(event, str):
            opened = b"" if place else _content("content-start", index, {"type": "text", "text": ""})
            return opened + _content("content-delta", index, {"text": event})
        if isinstance(event, CallStart):
            function = {"name": event.name, "arguments": ""}
            call = {"id": self._call_id(event), "type": "function", "function": function}
            return self._closed(place) + _call("tool-call-start", event.index, call)
        if event.text == _NO_ARGUMENTS:
            return b""
        return _call("tool-call-delta", event.index, {"function": {"arguments": event.text}})

    def _closed(self, place: int) -> bytes:
        """The end of the block that is open before an event."""
        if not place:
            return b""
        before = self._script.events[place - 1]
        if isinstance(before, str):
            return _event({"type": "content-end", "index": int(self._shown)})
        return _event({"type": "tool-call-end", "index": before.index})

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        content: list[dict[str, Any]] = []
        if self._shown:
            content.append({"type": "thinking", "thinking": "".join(THOUGHTS)})
        words = "".join(event for event in self._script.events if isinstance(event, str))
        if words or not self._calls:
            content.append({"type": "text", "text": words})
        if content:
            message["content"] = content
        if self._plans:
            message["tool_plan"] = "".join(PLAN)
        calls = self._called()
        if calls:
            message["tool_calls"] = calls
        return message

    def _called(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        for event in self._script.events:
            if isinstance(event, CallStart):
                function = {"name": event.name, "arguments": ""}
                calls.append({"id": self._call_id(event), "type": "function", "function": function})
            elif not isinstance(event, str):
                calls[event.index]["function"]["arguments"] += event.text
        for call in calls:
            if call["function"]["arguments"] == _NO_ARGUMENTS:
                call["function"]["arguments"] = None
        return calls

    def _reply(self, message: dict[str, Any]) -> dict[str, Any]:
        usage = {"usage": self._usage()} if self._script.report_usage else {}
        return {"id": self._id, "message": message, "finish_reason": self._finish_reason(), **usage}

    def _finish_reason(self) -> str | None:
        reason = self._script.finish_reason
        return None if reason is None else _FINISH_REASONS.get(reason, reason)

    def _usage(self) -> dict[str, Any]:
        billed = {
            "input_tokens": self._script.prompt_tokens,
            "output_tokens": self._script.completion_tokens + self._thought_tokens,
        }
        tokens = {
            "input_tokens": billed["input_tokens"] + _TEMPLATE_TOKENS,
            "output_tokens": billed["output_tokens"] + _ENDING_TOKENS,
            "reasoning_tokens": self._thought_tokens,
        }
        return {"billed_units": billed, "tokens": tokens, "cached_tokens": 0}

    def _call_id(self, event: CallStart) -> str:
        return f"{event.name}_{self._id[:8]}{event.index:04}"


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), orjson.dumps(value))


def _content(kind: str, index: int, content: dict[str, Any]) -> bytes:
    return _event({"type": kind, "index": index, "delta": {"message": {"content": content}}})


def _call(kind: str, index: int, call: dict[str, Any]) -> bytes:
    return _event({"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}})
