"""Puts a script into Anthropic's Messages: the whole message, or the events of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the events of a stream say the same as the whole message.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallStart, Event, Script
from services.provider_simulator.protocols.anthropic.errors import (
    error_body,
    error_headers,
    request_id,
    simulated_message,
)
from services.provider_simulator.protocols.anthropic.signatures import signature_of
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest

_STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
)
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}


class MessagesReply:
    """One reply in Anthropic's words; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, asked: NativeRequest) -> None:
        self._script = script
        self._model = model
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._id = secrets.token_hex(12)
        self._text_before = self._delta_before(int(self._shown))

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return {"Content-Type": "application/json", "request-id": request_id()}

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "request-id": request_id(),
        }

    def whole(self) -> bytes:
        message = self._message(self._blocks(), self._stop_reason(), self._usage(self._output_tokens()))
        return orjson.dumps({**message, **self._stop_details()})

    def opening(self) -> bytes:
        """The start, a ping, and what was thought."""
        start = {
            "type": "message_start",
            "message": self._message([], None, self._usage(min(1, self._output_tokens()))),
        }
        opened = _event(start) + _event({"type": "ping"})
        if not self._shown:
            return opened
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": thought} for thought in THOUGHTS]
        deltas.append({"type": "signature_delta", "signature": signature_of("".join(THOUGHTS))})
        return b"".join(
            [
                opened,
                _event({"type": "content_block_start", "index": 0, "content_block": empty}),
                *(_event({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
                _event({"type": "content_block_stop", "index": 0}),
            ]
        )

    def events(self, start: int, stop: int) -> bytes:
        """The events of the script's events from `start` up to `stop`, with the blocks they open and close."""
        events = self._script.events
        return b"".join([self._wire(place, events[place]) for place in range(start, min(stop, len(events)))])

    def closing(self) -> bytes:
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": None, **self._stop_details()}
        end: dict[str, Any] = {"type": "message_delta", "delta": delta}
        if self._script.report_usage:
            end["usage"] = self._usage(self._output_tokens())["usage"]
        events = self._script.events
        closed = _event({"type": "content_block_stop", "index": self._block(len(events) - 1)}) if events else b""
        return closed + _event(end) + _event({"type": "message_stop"})

    def failure_event(self) -> bytes:
        status = self._script.status
        return b"event: error\ndata: %b\n\n" % error_body(status, simulated_message(status))

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        status = self._script.status
        return error_headers(status), error_body(status, simulated_message(status))

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if stream:
            broken = self._text_before[:-1] if kind is Garbage.JSON else self._text_before + b'"%b"}}' % _NOT_UTF8
            return self.stream_headers, self.opening() + broken + b"\n\n" + self.closing()
        block = {"type": "text", "text": _STAND_IN}
        body = orjson.dumps(self._message([block], self._stop_reason(), self._usage(1)))
        if kind is Garbage.JSON:
            return self.whole_headers, body[: len(body) // 2]
        return self.whole_headers, body.replace(_STAND_IN.encode(), _NOT_UTF8, 1)

    def _wire(self, place: int, event: Event) -> bytes:
        before = self._script.events[place - 1] if place else None
        if isinstance(event, str):
            written = b"%b%b}}\n\n" % (self._text_before, orjson.dumps(event))
            return written if isinstance(before, str) else self._start(place, {"type": "text", "text": ""}) + written
        index = self._block(place)
        if isinstance(event, CallStart):
            closed = b"" if before is None else _event({"type": "content_block_stop", "index": index - 1})
            call = {"type": "tool_use", "id": self._call_id(event.index), "name": event.name, "input": {}}
            return closed + self._start(place, call) + _argument(index, "")
        return _argument(index, event.text)

    def _start(self, place: int, block: dict[str, Any]) -> bytes:
        return _event({"type": "content_block_start", "index": self._block(place), "content_block": block})

    def _block(self, place: int) -> int:
        """The index of the block that an event belongs to: thoughts, then text, then calls."""
        event = self._script.events[place]
        text_blocks = int(self._shown) + int(isinstance(self._script.events[0], str))
        return int(self._shown) if isinstance(event, str) else text_blocks + event.index

    def _blocks(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if self._shown:
            thinking = "".join(THOUGHTS)
            blocks.append({"type": "thinking", "thinking": thinking, "signature": signature_of(thinking)})
        words = [event for event in self._script.events if isinstance(event, str)]
        if words:
            blocks.append({"type": "text", "text": "".join(words)})
        pieces: dict[int, str] = {}
        for event in self._script.events:
            if isinstance(event, CallStart):
                call = {"type": "tool_use", "id": self._call_id(event.index), "name": event.name, "input": {}}
                blocks.append(call)
                pieces[event.index] = ""
            elif not isinstance(event, str):
                pieces[event.index] += event.text
        for call, written in zip([b for b in blocks if b["type"] == "tool_use"], pieces.values(), strict=True):
            call["input"] = _object(written)
        return blocks

    def _message(self, blocks: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"msg_{self._id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": blocks,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            **usage,
        }

    def _stop_reason(self) -> str | None:
        reason = self._script.finish_reason
        return None if reason is None else _STOP_REASONS.get(reason, reason)

    def _stop_details(self) -> dict[str, Any]:
        if self._stop_reason() != "refusal":
            return {}
        words = "The request was refused (simulated)."
        return {"stop_details": {"type": "refusal", "category": None, "explanation": words}}

    def _output_tokens(self) -> int:
        return self._script.completion_tokens + self._thought_tokens

    def _usage(self, output_tokens: int) -> dict[str, Any]:
        if not self._script.report_usage:
            return {}
        usage = {
            "input_tokens": self._script.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"thinking_tokens": min(self._thought_tokens, output_tokens)},
            "service_tier": "standard",
        }
        return {"usage": usage}

    def _call_id(self, index: int) -> str:
        return f"toolu_{self._id[:20]}{index:04}"

    def _delta_before(self, index: int) -> bytes:
        return (
            b"event: content_block_delta\n"
            b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":' % index
        )


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), orjson.dumps(value))


def _argument(index: int, text: str) -> bytes:
    delta = {"type": "input_json_delta", "partial_json": text}
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _object(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Cut by max_tokens: a whole reply has no form for half an object.
        return {}
