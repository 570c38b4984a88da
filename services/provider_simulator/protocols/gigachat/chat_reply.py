"""Puts a script into GigaChat's chat: the whole reply, or the events of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the events of a stream say the same as the whole reply; a call is
given out whole, with the last of its events.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallStart, Script
from services.provider_simulator.protocols.gigachat.errors import simulated_body
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest
from services.provider_simulator.protocols.openai.errors import error_headers

_FINISH_REASONS: Mapping[str, str] = {"tool_calls": "function_call", "content_filter": "blacklist"}
_HEADERS = {"Content-Type": "application/json"}
_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}


class ChatReply:
    """One reply in GigaChat's words; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, asked: NativeRequest) -> None:
        self._script = script
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._state = str(uuid.uuid4())
        self._about = {"created": int(time.time()), "model": f"{model}:1.0.26.20"}

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return _HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def whole(self) -> bytes:
        words = "".join(event for event in self._script.events if isinstance(event, str))
        return self._whole({"role": "assistant", "content": words, **self._thoughts(), **self._call()})

    def opening(self) -> bytes:
        """What was thought."""
        return b"".join(self._event({"role": "assistant", "reasoning_content": t}) for t in THOUGHTS if self._shown)

    def events(self, start: int, stop: int) -> bytes:
        """The chunks of the script's events from `start` up to `stop`."""
        events = self._script.events
        written: list[bytes] = []
        for place in range(start, min(stop, len(events))):
            event = events[place]
            if isinstance(event, str):
                written.append(self._event({"role": "assistant", "content": event}))
            elif place == len(events) - 1:
                written.append(self._event({"role": "assistant", "content": "", **self._call()}))
        return b"".join(written)

    def closing(self) -> bytes:
        usage = {"usage": self._usage()} if self._script.report_usage else {}
        return self._event({"content": ""}, self._finish_reason(), usage) + b"data: [DONE]\n\n"

    def failure_event(self) -> bytes:
        return b"data: %b\n\n" % simulated_body(self._script.status)

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._script.status), simulated_body(self._script.status)

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if stream:
            good = self._event({"role": "assistant", "content": _STAND_IN})
            broken = good[:-8] + b"\n\n" if kind is Garbage.JSON else good.replace(_STAND_IN.encode(), _NOT_UTF8)
            return _STREAM_HEADERS, broken + self.closing()
        body = self._whole({"role": "assistant", "content": _STAND_IN})
        return _HEADERS, body[: len(body) // 2] if kind is Garbage.JSON else body.replace(
            _STAND_IN.encode(), _NOT_UTF8, 1
        )

    def _event(self, delta: dict[str, Any], finish: str | None = None, more: Mapping[str, Any] | None = None) -> bytes:
        choice: dict[str, Any] = {"delta": delta, "index": 0}
        if finish is not None:
            choice["finish_reason"] = finish
        chunk = {"choices": [choice], **self._about, "object": "chat.completion", **(more or {})}
        return b"data: %b\n\n" % orjson.dumps(chunk)

    def _whole(self, message: dict[str, Any]) -> bytes:
        usage = {"usage": self._usage()} if self._script.report_usage else {}
        choice = {"message": message, "index": 0, "finish_reason": self._finish_reason()}
        return orjson.dumps({"choices": [choice], **self._about, "object": "chat.completion", **usage})

    def _thoughts(self) -> dict[str, Any]:
        return {"reasoning_content": "".join(THOUGHTS)} if self._shown else {}

    def _call(self) -> dict[str, Any]:
        name = next((event.name for event in self._script.events if isinstance(event, CallStart)), None)
        if name is None:
            return {}
        text = "".join(event.text for event in self._script.events if not isinstance(event, str | CallStart))
        try:
            arguments = orjson.loads(text)
        except orjson.JSONDecodeError:
            # The limit cut them.
            arguments = {}
        return {"function_call": {"name": name, "arguments": arguments}, "functions_state_id": self._state}

    def _finish_reason(self) -> str | None:
        reason = self._script.finish_reason
        return None if reason is None else _FINISH_REASONS.get(reason, reason)

    def _usage(self) -> dict[str, int]:
        prompt, completion = self._script.prompt_tokens, self._script.completion_tokens + self._thought_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "precached_prompt_tokens": 0,
        }
