"""Puts a script into OpenAI's chat format: the whole body, or the chunks of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the chunks of a stream say the same as the whole body.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallStart, Event, Script
from services.provider_simulator.protocols.openai.errors import error_headers, simulated_error

FINGERPRINT = "switchyard-simulator"
DONE = b"data: [DONE]\n\n"

_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center></body></html>\n"
)
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}
_JSON_HEADERS = {"Content-Type": "application/json"}
_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class ChatReply:
    """One reply in OpenAI's words; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, *, include_usage: bool, created_s: int) -> None:
        self._script = script
        self._model = model
        self._created_s = created_s
        self._id = f"chatcmpl-{secrets.token_hex(14)}"
        self._usage_chunk = include_usage and script.report_usage
        self._before = (
            b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,"system_fingerprint":"%b",'
            % (self._id.encode(), created_s, orjson.dumps(model), FINGERPRINT.encode())
        )
        self._after = b',"usage":null}\n\n' if self._usage_chunk else b"}\n\n"

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return _JSON_HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def whole(self) -> bytes:
        return orjson.dumps(self._whole(_content(self._script.events)))

    def opening(self) -> bytes:
        """The role chunk."""
        content: str | None = None if self._script.events and not isinstance(self._script.events[0], str) else ""
        return self._chunk(orjson.dumps({"role": "assistant", "content": content, "refusal": None}))

    def events(self, start: int, stop: int) -> bytes:
        """The chunks of the script's events from `start` up to `stop`."""
        events = self._script.events[start:stop]
        before, after = self._chunk_frame(b"null")
        glue = after + before
        return before + glue.join([self._delta(event) for event in events]) + after if events else b""

    def closing(self) -> bytes:
        """The finish chunk, the usage chunk where it is wanted, and the end mark."""
        finish = self._chunk(b"{}", orjson.dumps(self._script.finish_reason))
        if not self._usage_chunk:
            return finish + DONE
        return b'%b%b"choices":[],"usage":%b}\n\n%b' % (finish, self._before, orjson.dumps(self._usage()), DONE)

    def failure_event(self) -> bytes:
        """The error in the middle of a stream; no end mark follows it."""
        return b"data: %b\n\n" % orjson.dumps({"error": simulated_error(self._script.status)})

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of the error status."""
        body = orjson.dumps({"error": simulated_error(self._script.status)})
        return error_headers(self._script.status), body

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        """Headers and the broken body."""
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if not stream:
            return _JSON_HEADERS, self._broken_whole(kind)
        if kind is Garbage.JSON:
            broken = self._before[:-1] + b"\n\n"
        else:
            broken = self._chunk(b'{"content":"' + _NOT_UTF8 + b'"}')
        return _STREAM_HEADERS, self.opening() + broken + self.closing()

    def _broken_whole(self, kind: Garbage) -> bytes:
        body = orjson.dumps(self._whole(_STAND_IN))
        if kind is Garbage.JSON:
            return body[: len(body) // 2]
        return body.replace(b'"content":"' + _STAND_IN.encode(), b'"content":"' + _NOT_UTF8, 1)

    def _chunk_frame(self, finish_reason: bytes) -> tuple[bytes, bytes]:
        before = self._before + b'"choices":[{"index":0,"delta":'
        return before, b',"logprobs":null,"finish_reason":%b}]%b' % (finish_reason, self._after)

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        before, after = self._chunk_frame(finish_reason)
        return before + delta + after

    def _delta(self, event: Event) -> bytes:
        if isinstance(event, str):
            return b'{"content":%b}' % orjson.dumps(event)
        if isinstance(event, CallStart):
            function = {"name": event.name, "arguments": ""}
            call = {"index": event.index, "id": self._call_id(event.index), "type": "function", "function": function}
        else:
            call = {"index": event.index, "function": {"arguments": event.text}}
        return orjson.dumps({"tool_calls": [call]})

    def _whole(self, content: str | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
        calls = self._calls()
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._script.finish_reason,
        }
        reply: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created_s,
            "model": self._model,
            "choices": [choice],
        }
        if self._script.report_usage:
            reply["usage"] = self._usage()
        reply["system_fingerprint"] = FINGERPRINT
        return reply

    def _calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        for event in self._script.events:
            if isinstance(event, str):
                continue
            if isinstance(event, CallStart):
                function = {"name": event.name, "arguments": ""}
                calls.append({"id": self._call_id(event.index), "type": "function", "function": function})
            else:
                calls[event.index]["function"]["arguments"] += event.text
        return calls

    def _call_id(self, index: int) -> str:
        return f"call_{self._id[-20:]}{index:04}"

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self._script.prompt_tokens, self._script.completion_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def _content(events: Sequence[Event]) -> str | None:
    """The text of the answer; None where it holds calls alone, as OpenAI has it."""
    words = [event for event in events if isinstance(event, str)]
    return "".join(words) if words or not events else None
