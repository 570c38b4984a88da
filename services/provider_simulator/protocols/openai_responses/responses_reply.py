"""Puts a script into a response: the whole object, or the events of a stream.

Owns the bytes. Does not own pace or sockets. Invariant: the events of a stream say the same as the whole response.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import CallPiece, CallStart, Event, Script
from services.provider_simulator.protocols.native import THOUGHTS, NativeRequest
from services.provider_simulator.protocols.openai.errors import error_headers, simulated_error
from services.provider_simulator.protocols.openai_responses.sealing import seal

_INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_CREATED_S = 1_760_000_000
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
)
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}


class ResponsesReply:
    """One reply in the words of Responses; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, asked: NativeRequest) -> None:
        self._script = script
        self._model = model
        self._shown = asked.shows_thoughts
        self._thought_tokens = len(THOUGHTS) if asked.thinks else 0
        self._id = secrets.token_hex(20)
        self._sequence = 0
        self._written = ""

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return {"Content-Type": "application/json", "x-request-id": f"req_{self._id[:32]}"}

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "x-request-id": f"req_{self._id[:32]}",
        }

    def whole(self) -> bytes:
        return orjson.dumps(self._ended())

    def opening(self) -> bytes:
        """The start, and what was thought."""
        begun = self._response([], "in_progress")
        events = [self._event("response.created", response=begun), self._event("response.in_progress", response=begun)]
        if self._shown:
            item = self._thought()
            at = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
            whole = "".join(THOUGHTS)
            empty = {**item, "summary": [], "encrypted_content": None}
            events += [
                self._event("response.output_item.added", output_index=0, item=empty),
                self._event("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""}),
                *(self._event("response.reasoning_summary_text.delta", **at, delta=thought) for thought in THOUGHTS),
                self._event("response.reasoning_summary_text.done", **at, text=whole),
                self._event("response.reasoning_summary_part.done", **at, part=item["summary"][0]),
                self._event("response.output_item.done", output_index=0, item=item),
            ]
        return b"".join(events)

    def events(self, start: int, stop: int) -> bytes:
        """The events of the script's events from `start` up to `stop`, with the items they open and close."""
        events = self._script.events
        return b"".join([self._wire(place, events[place]) for place in range(start, min(stop, len(events)))])

    def closing(self) -> bytes:
        events = self._script.events
        closed = self._close(len(events) - 1) if events else b""
        ended = self._ended()
        return closed + self._event(f"response.{ended['status']}", response=ended)

    def failure_event(self) -> bytes:
        """An error, and then the response that failed of it; nothing follows."""
        error = simulated_error(self._script.status)
        code = "rate_limit_exceeded" if self._script.status == 429 else "server_error"
        failed = self._response([], "failed") | {"error": {"code": code, "message": error["message"]}}
        told = self._event("error", code=code, message=error["message"], param=None)
        return told + self._event("response.failed", response=failed)

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        body = orjson.dumps({"error": simulated_error(self._script.status)})
        return error_headers(self._script.status), body

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if stream:
            delta = self._event("response.output_text.delta", output_index=0, content_index=0, delta=_STAND_IN)
            broken = delta[:-9] if kind is Garbage.JSON else delta.replace(_STAND_IN.encode(), _NOT_UTF8)
            return self.stream_headers, self.opening() + broken.rstrip(b"\n") + b"\n\n" + self.closing()
        body = orjson.dumps(self._response([self._message(_STAND_IN)], "completed"))
        if kind is Garbage.JSON:
            return self.whole_headers, body[: len(body) // 2]
        return self.whole_headers, body.replace(_STAND_IN.encode(), _NOT_UTF8, 1)

    def _wire(self, place: int, event: Event) -> bytes:
        before = self._script.events[place - 1] if place else None
        index = self._index(event)
        if isinstance(event, str):
            opened = b"" if isinstance(before, str) else self._open_text(index)
            self._written += event
            return opened + self._event("response.output_text.delta", **self._at(index), delta=event, logprobs=[])
        if isinstance(event, CallStart):
            closed = b"" if before is None else self._close(place - 1)
            self._written = ""
            item = self._call(event, "", "in_progress")
            return closed + self._event("response.output_item.added", output_index=index, item=item)
        self._written += event.text
        at = {"item_id": self._item_id("fc", event.index), "output_index": index}
        return self._event("response.function_call_arguments.delta", **at, delta=event.text)

    def _open_text(self, index: int) -> bytes:
        self._written = ""
        item = self._message("") | {"content": [], "status": "in_progress"}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return self._event("response.output_item.added", output_index=index, item=item) + self._event(
            "response.content_part.added", **self._at(index), part=part
        )

    def _close(self, place: int) -> bytes:
        """Ends the item to which the event at a place belongs."""
        event = self._script.events[place]
        index = self._index(event)
        if isinstance(event, str):
            item = self._message(self._written)
            at = self._at(index)
            return b"".join(
                [
                    self._event("response.output_text.done", **at, text=self._written, logprobs=[]),
                    self._event("response.content_part.done", **at, part=item["content"][0]),
                    self._event("response.output_item.done", output_index=index, item=item),
                ]
            )
        start = next(e for e in self._script.events if isinstance(e, CallStart) and e.index == event.index)
        item = self._call(start, self._written, "completed")
        at = {"item_id": item["id"], "output_index": index}
        done = self._event("response.function_call_arguments.done", **at, name=item["name"], arguments=self._written)
        return done + self._event("response.output_item.done", output_index=index, item=item)

    def _index(self, event: Event) -> int:
        """The place of the item that an event belongs to: thoughts, then text, then calls."""
        texts = int(self._shown) + int(isinstance(self._script.events[0], str))
        return int(self._shown) if isinstance(event, str) else texts + event.index

    def _at(self, index: int) -> dict[str, Any]:
        return {"item_id": self._item_id("msg", 0), "output_index": index, "content_index": 0}

    def _thought(self) -> dict[str, Any]:
        item_id = self._item_id("rs", 0)
        summary = [{"type": "summary_text", "text": "".join(THOUGHTS)}]
        return {"id": item_id, "type": "reasoning", "summary": summary, "encrypted_content": seal(item_id)}

    def _message(self, text: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item_id = self._item_id("msg", 0)
        return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}

    def _call(self, start: CallStart, arguments: str, status: str) -> dict[str, Any]:
        return {
            "id": self._item_id("fc", start.index),
            "type": "function_call",
            "status": status,
            "call_id": f"call_{self._id[-20:]}{start.index:04}",
            "name": start.name,
            "arguments": arguments,
        }

    def _item_id(self, kind: str, index: int) -> str:
        return f"{kind}_{self._id}{index:04}"

    def _items(self) -> list[dict[str, Any]]:
        items = [self._thought()] if self._shown else []
        words = [event for event in self._script.events if isinstance(event, str)]
        if words:
            items.append(self._message("".join(words)))
        for start in self._script.events:
            if isinstance(start, CallStart):
                pieces = [e.text for e in self._script.events if isinstance(e, CallPiece) and e.index == start.index]
                items.append(self._call(start, "".join(pieces), "completed"))
        return items

    def _ended(self) -> dict[str, Any]:
        finish = self._script.finish_reason
        reason = _INCOMPLETE.get(finish or "")
        status = "completed" if finish and reason is None else "incomplete"
        details = {"incomplete_details": {"reason": reason}} if reason else {}
        return self._response(self._items(), status) | details | self._usage()

    def _response(self, items: list[dict[str, Any]], status: str) -> dict[str, Any]:
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": _CREATED_S,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": self._model,
            "output": items,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "service_tier": "default",
            "store": False,
            "usage": None,
        }

    def _usage(self) -> dict[str, Any]:
        if not self._script.report_usage:
            return {}
        output = self._script.completion_tokens + self._thought_tokens
        usage = {
            "input_tokens": self._script.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": min(self._thought_tokens, output)},
            "total_tokens": self._script.prompt_tokens + output,
        }
        return {"usage": usage}

    def _event(self, kind: str, **fields: Any) -> bytes:
        told = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(told))
