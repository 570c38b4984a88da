"""Puts a script into a prediction: its output as a whole, or the events of its stream.

Owns the bytes, and what is known of a prediction once it was played. Does not own pace or sockets. Invariant: the events of
a stream say the same as the whole output; counts are told with the prediction, never in the stream.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import Script
from services.provider_simulator.protocols.openai.errors import error_headers, simulated_error

_HEADERS = {"Content-Type": "application/json"}
_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_NOT_UTF8 = b"\xff\xfe\xc3("
_STAND_IN = "not-utf8"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}


@dataclass(slots=True)
class Prediction:
    """What is known of one; `base` is the address of the API it is behind."""

    id: str
    model: str
    base: str
    status: str = "starting"
    body: bytes = b""
    output: tuple[str, ...] = ()
    metrics: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        address = f"{self.base}/predictions/{self.id}"
        return {
            "id": self.id,
            "model": self.model,
            "version": "hidden",
            "input": {},
            "logs": "",
            "output": list(self.output) if self.status == "succeeded" else None,
            "data_removed": False,
            "error": None,
            "status": self.status,
            "urls": {"get": address, "cancel": f"{address}/cancel", "stream": f"{self.base}/streams/{self.id}"},
            **({"metrics": self.metrics} if self.metrics is not None else {}),
        }


class PredictionReply:
    """One reply in Replicate's words; implements `player.Rendering`."""

    def __init__(self, script: Script, prediction: Prediction) -> None:
        self._script = script
        self._prediction = prediction

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return _HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def whole(self) -> bytes:
        self._succeed()
        return orjson.dumps(self._prediction.document())

    def opening(self) -> bytes:
        self._prediction.status = "processing"
        return b""

    def events(self, start: int, stop: int) -> bytes:
        events = self._script.events
        return b"".join([_output(place, str(events[place])) for place in range(start, min(stop, len(events)))])

    def closing(self) -> bytes:
        self._succeed()
        return b"event: done\nid: 1690212299:0\ndata: {}\n\n"

    def failure_event(self) -> bytes:
        self._prediction.status = "failed"
        detail = orjson.dumps({"detail": simulated_error(self._script.status)["message"]})
        return b'event: error\ndata: %b\n\nevent: done\ndata: {"reason":"error"}\n\n' % detail

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        status = self._script.status
        return error_headers(status), error_body(status, simulated_error(status)["message"])

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        if kind is Garbage.HTML:
            return _HTML_HEADERS, _HTML
        if stream:
            broken = b"event: done\ndata: {\n\n" if kind is Garbage.JSON else b"event: output\ndata: %b\n\n" % _NOT_UTF8
            return _STREAM_HEADERS, broken
        self._prediction.output, self._prediction.status = (_STAND_IN,), "succeeded"
        body = orjson.dumps(self._prediction.document())
        return _HEADERS, body[:40] if kind is Garbage.JSON else body.replace(_STAND_IN.encode(), _NOT_UTF8)

    def _succeed(self) -> None:
        script, prediction = self._script, self._prediction
        prediction.status = "succeeded"
        prediction.output = tuple(str(event) for event in script.events)
        if script.report_usage:
            prediction.metrics = {
                "input_token_count": script.prompt_tokens,
                "output_token_count": script.completion_tokens,
                "predict_time": 0.1,
            }


def error_body(status: int, message: str) -> bytes:
    return orjson.dumps({"title": "Request failed", "detail": message, "status": status})


def _output(place: int, text: str) -> bytes:
    lines = b"".join(b"data: %b\n" % line.encode() for line in text.split("\n"))
    return b"event: output\nid: 1690212292:%d\n%b\n" % (place, lines)
