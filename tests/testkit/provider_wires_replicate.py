"""Predictions in the bytes of Replicate, written from its documentation and not by our code."""

from typing import Any, ClassVar

import orjson

from services.provider_adapter.protocols.port import Usage, WireProtocol
from services.provider_adapter.protocols.replicate.protocol import Replicate
from services.provider_adapter.protocols.replicate.request import Asked
from tests.testkit.provider_wires import Reply

API = "https://api.replicate.com/v1/predictions/up-1"
STREAM = "https://stream-b.svc.rno2.c.replicate.net/v1/streams/eot4"
METRICS: dict[str, Any] = {"input_token_count": 10, "output_token_count": 6, "predict_time": 0.5}


class ReplicateWire:
    """A model that leaves its thoughts in the output, for the format has no other place."""

    protocol: WireProtocol = Replicate()
    model = "deepseek-ai/deepseek-r1"
    native_ends: ClassVar[dict[str, str]] = {"stop": "succeeded"}
    usage = Usage(10, 6)
    signs = False
    most_calls = 0
    is_plain = True
    asked = Asked(None, think_tags=True)
    later = orjson.dumps({"id": "up-1", "status": "succeeded", "metrics": METRICS})

    def stream(self, reply: Reply) -> bytes:
        thoughts = ("<think>", *reply.thoughts, "</think>", "\n\n") if reply.thoughts else ()
        pieces = [*thoughts, *reply.words]
        events = [_output(place, piece) for place, piece in enumerate(pieces)]
        return b"".join(events) + b"event: done\nid: 1690212299:0\ndata: {}\n\n"

    def whole(self, reply: Reply) -> bytes:
        thoughts = ["<think>", *reply.thoughts, "</think>", "\n\n"] if reply.thoughts else []
        return orjson.dumps(prediction("succeeded", output=[*thoughts, *reply.words], metrics=METRICS))

    def noise(self) -> bytes:
        return b": hi\n\nevent: logs\nid: 1:0\ndata: Generated in 9.8sec\n\nevent: of_the_future\ndata: {}\n\n"

    def error_event(self) -> bytes:
        return b'event: error\ndata: {"detail":"boom"}\n\n'

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"title": "Something", "detail": message, "status": status})


def prediction(status: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "up-1",
        "model": "deepseek-ai/deepseek-r1",
        "version": "hidden",
        "input": {"prompt": "hi"},
        "logs": "",
        "output": None,
        "data_removed": False,
        "error": None,
        "status": status,
        "created_at": "2025-05-01T07:07:09.829Z",
        "urls": {"get": API, "cancel": API + "/cancel", "stream": STREAM, "web": "https://replicate.com/p/up-1"},
        **fields,
    }


def _output(place: int, text: str) -> bytes:
    lines = b"".join(b"data: %b\n" % line.encode() for line in text.split("\n"))
    return b"event: output\nid: 1690212292:%d\n%b\n" % (place, lines)
