"""Puts a script into Gemini's format: one response, or the responses of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the responses of a stream together say the same as the one.

A call leaves whole, as Gemini sends it, with the last event of its arguments; the events before that send nothing.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallPiece, CallStart, Event, Script
from services.provider_simulator.protocols.gemini.errors import HEADERS, error_body, simulated_message
from services.provider_simulator.protocols.gemini.signatures import signature_of_call, signature_of_text
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest

_FINISH_REASONS: Mapping[str | None, str] = {
    None: "FINISH_REASON_UNSPECIFIED",
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = b"<!DOCTYPE html>\n<html lang=en><title>Error 502 (Server Error)!!1</title><p>That\xe2\x80\x99s an error.\n"
_HTML_HEADERS = {"Content-Type": "text/html; charset=UTF-8"}


class ContentReply:
    """One reply in Gemini's words; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, asked: NativeRequest) -> None:
        self._script = script
        self._model = model
        self._signs = asked.thinks or not model.startswith(("gemini-1", "gemini-2"))
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._id = secrets.token_urlsafe(16)

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def whole(self) -> bytes:
        events = self._script.events
        parts: list[dict[str, Any]] = [{"text": "".join(THOUGHTS), "thought": True}] if self._shown else []
        words = "".join(event for event in events if isinstance(event, str))
        if words:
            parts.append({"text": words, **self._text_signature()})
        calls = [self._call(place) for place in range(len(events))]
        parts.extend(part for part in calls if part is not None)
        return orjson.dumps(self._response(parts, len(events), last=True))

    def opening(self) -> bytes:
        """What was thought; nothing else comes before the first event."""
        if not self._shown:
            return b""
        return b"".join([_event(self._response([{"text": thought, "thought": True}], 0)) for thought in THOUGHTS])

    def events(self, start: int, stop: int) -> bytes:
        """The responses of the script's events from `start` up to `stop`."""
        events = self._script.events
        return b"".join([self._wire(place, events[place]) for place in range(start, min(stop, len(events)))])

    def closing(self) -> bytes:
        events = self._script.events
        ends = {"text": "", **self._text_signature()}
        parts = [ends] if len(ends) > 1 and any(isinstance(event, str) for event in events) else []
        return _event(self._response(parts, len(events), last=True))

    def failure_event(self) -> bytes:
        status = self._script.status
        return b"data: %b\r\n\r\n" % error_body(status, simulated_message(status))

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        status = self._script.status
        return HEADERS, error_body(status, simulated_message(status))

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        body = orjson.dumps(self._response([{"text": _STAND_IN}], 1, last=not stream))
        broken = body[: len(body) // 2] if kind is Garbage.JSON else body.replace(_STAND_IN.encode(), _NOT_UTF8, 1)
        if not stream:
            return HEADERS, broken
        return _STREAM_HEADERS, b"data: " + broken + b"\r\n\r\n" + self.closing()

    def _wire(self, place: int, event: Event) -> bytes:
        if isinstance(event, str):
            return _event(self._response([{"text": event}], place + 1))
        call = self._call(place)
        return b"" if call is None else _event(self._response([call], place + 1))

    def _call(self, place: int) -> dict[str, Any] | None:
        """The call that this event completes."""
        events = self._script.events
        event = events[place]
        if isinstance(event, str):
            return None
        following = events[place + 1] if place + 1 < len(events) else None
        if isinstance(following, CallPiece):
            return None
        start = place
        while not isinstance(events[start], CallStart):
            start -= 1
        opened = events[start]
        assert isinstance(opened, CallStart)
        written = "".join(piece.text for piece in events[start + 1 : place + 1] if isinstance(piece, CallPiece))
        try:
            args = orjson.loads(written or "{}")
        except orjson.JSONDecodeError:
            # Cut by max_tokens: Gemini does not give out half a call.
            return None
        part: dict[str, Any] = {"functionCall": {"name": opened.name, "args": args}}
        if self._signs and opened.index == 0:
            part["thoughtSignature"] = signature_of_call(opened.name, args)
        return part

    def _text_signature(self) -> dict[str, str]:
        return {"thoughtSignature": signature_of_text()} if self._signs else {}

    def _response(self, parts: list[dict[str, Any]], events: int, *, last: bool = False) -> dict[str, Any]:
        content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        candidate: dict[str, Any] = {"content": content, "index": 0}
        if last:
            reason = self._script.finish_reason
            candidate["finishReason"] = _FINISH_REASONS.get(reason, reason)
        response: dict[str, Any] = {"candidates": [candidate]}
        if self._script.report_usage:
            response["usageMetadata"] = self._usage(events)
        return {**response, "modelVersion": self._model, "responseId": self._id}

    def _usage(self, completion: int) -> dict[str, Any]:
        """Running counts; like all of Google's, a zero is left out."""
        prompt, thoughts = self._script.prompt_tokens, self._thought_tokens
        counts = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": completion,
            "totalTokenCount": prompt + completion + thoughts,
            "thoughtsTokenCount": thoughts,
        }
        details = {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}]}
        return {name: count for name, count in counts.items() if count} | details


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % orjson.dumps(value)
