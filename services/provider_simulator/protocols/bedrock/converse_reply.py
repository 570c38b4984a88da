"""Puts a script into Converse: the whole message, or the frames of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the events of a stream say the same as the whole message.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallStart, Event, Script
from services.provider_simulator.protocols.anthropic.signatures import signature_of
from services.provider_simulator.protocols.bedrock.errors import (
    error_body,
    error_headers,
    failure_frame,
    reply_headers,
    simulated_message,
)
from services.provider_simulator.protocols.bedrock.frames import event, event_headers, frame
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest

_STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
)
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}
_METRICS = {"metrics": {"latencyMs": 1}}


class ConverseReply:
    """One reply in Converse's words; implements `player.Rendering`."""

    def __init__(self, script: Script, asked: NativeRequest) -> None:
        self._script = script
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._id = secrets.token_hex(10)

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return reply_headers("application/json")

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return reply_headers("application/vnd.amazon.eventstream")

    def whole(self) -> bytes:
        return orjson.dumps(self._reply(self._blocks()))

    def opening(self) -> bytes:
        """The start, and what was thought."""
        opened = event("messageStart", {"role": "assistant"})
        if not self._shown:
            return opened
        deltas: list[dict[str, Any]] = [{"text": thought} for thought in THOUGHTS]
        deltas.append({"signature": signature_of("".join(THOUGHTS))})
        told = [_delta(0, {"reasoningContent": delta}, place) for place, delta in enumerate(deltas)]
        return b"".join([opened, *told, event("contentBlockStop", {"contentBlockIndex": 0})])

    def events(self, start: int, stop: int) -> bytes:
        """The frames of the script's events from `start` up to `stop`, with the blocks they open and close."""
        events = self._script.events
        return b"".join([self._wire(place, events[place]) for place in range(start, min(stop, len(events)))])

    def closing(self) -> bytes:
        events = self._script.events
        closed = event("contentBlockStop", {"contentBlockIndex": self._block(len(events) - 1)}) if events else b""
        return closed + event("messageStop", self._stop_reason()) + event("metadata", {**self._usage(), **_METRICS})

    def failure_event(self) -> bytes:
        return failure_frame(self._script.status)

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        status = self._script.status
        return error_headers(status), error_body(simulated_message(status))

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        broken = orjson.dumps({"contentBlockIndex": 0, "delta": {"text": _STAND_IN}})
        if stream:
            payload = broken[:-5] if kind is Garbage.JSON else broken.replace(_STAND_IN.encode(), _NOT_UTF8)
            frames = self.opening() + frame(payload, event_headers("contentBlockDelta")) + self.closing()
            return self.stream_headers, frames
        body = orjson.dumps(self._reply([{"text": _STAND_IN}]))
        if kind is Garbage.JSON:
            return self.whole_headers, body[: len(body) // 2]
        return self.whole_headers, body.replace(_STAND_IN.encode(), _NOT_UTF8, 1)

    def _wire(self, place: int, said: Event) -> bytes:
        index = self._block(place)
        if isinstance(said, str):
            return _delta(index, {"text": said}, place)
        if not isinstance(said, CallStart):
            return _delta(index, {"toolUse": {"input": said.text}}, place)
        closed = event("contentBlockStop", {"contentBlockIndex": index - 1}) if place else b""
        call = {"toolUse": {"toolUseId": self._call_id(said.index), "name": said.name}}
        return closed + event("contentBlockStart", {"contentBlockIndex": index, "start": call}, place)

    def _block(self, place: int) -> int:
        """The index of the block that an event belongs to: thoughts, then text, then calls."""
        said = self._script.events[place]
        text_blocks = int(self._shown) + int(isinstance(self._script.events[0], str))
        return int(self._shown) if isinstance(said, str) else text_blocks + said.index

    def _blocks(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if self._shown:
            thinking = "".join(THOUGHTS)
            told = {"text": thinking, "signature": signature_of(thinking)}
            blocks.append({"reasoningContent": {"reasoningText": told}})
        words = [said for said in self._script.events if isinstance(said, str)]
        if words:
            blocks.append({"text": "".join(words)})
        names: dict[int, str] = {}
        pieces: dict[int, str] = {}
        for said in self._script.events:
            if isinstance(said, CallStart):
                names[said.index], pieces[said.index] = said.name, ""
            elif not isinstance(said, str):
                pieces[said.index] += said.text
        blocks += [
            {"toolUse": {"toolUseId": self._call_id(index), "name": name, "input": _object(pieces[index])}}
            for index, name in names.items()
        ]
        return blocks

    def _reply(self, blocks: list[dict[str, Any]]) -> dict[str, Any]:
        message = {"role": "assistant", "content": blocks}
        return {"output": {"message": message}, **self._stop_reason(), **self._usage(), **_METRICS}

    def _stop_reason(self) -> dict[str, str]:
        reason = self._script.finish_reason
        return {} if reason is None else {"stopReason": _STOP_REASONS.get(reason, reason)}

    def _usage(self) -> dict[str, Any]:
        if not self._script.report_usage:
            return {}
        given, produced = self._script.prompt_tokens, self._script.completion_tokens + self._thought_tokens
        usage = {
            "inputTokens": given,
            "outputTokens": produced,
            "totalTokens": given + produced,
            "cacheReadInputTokens": 0,
            "cacheWriteInputTokens": 0,
        }
        return {"usage": usage}

    def _call_id(self, index: int) -> str:
        return f"tooluse_{self._id}{index:04}"


def _delta(index: int, delta: Mapping[str, Any], place: int) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}, place)


def _object(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Cut by max_tokens: a whole reply has no form for half an object.
        return {}
