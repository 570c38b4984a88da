"""Replies in the bytes of watsonx.ai, as its SDKs' recordings have them and not by our code."""

from typing import Any

import orjson

from services.provider_adapter.protocols.port import WireProtocol
from services.provider_adapter.protocols.watsonx.protocol import WatsonxChat
from tests.testkit.provider_wires import OpenAiChatWire, Reply, ServerSentEvents, data

ABOUT = {"model_id": "ibm/granite-4-h-small", "model_version": "4.0.0", "created_at": "2025-06-12T21:45:35.150Z"}


class WatsonxWire(OpenAiChatWire):
    """The chat format's chunks as numbered, named events, and no end mark."""

    protocol: WireProtocol = WatsonxChat()
    model = "ibm/granite-4-h-small"

    def stream(self, reply: Reply) -> bytes:
        events = ServerSentEvents().frames(super().stream(reply))[:-1]
        values = [orjson.loads(event[6:]) for event in events]
        return b"".join(_numbered(place, {**value, **ABOUT}) for place, value in enumerate(values, 1))

    def whole(self, reply: Reply) -> bytes:
        warning = {"message": "This model is a Non-IBM Product", "id": "disclaimer_warning"}
        return orjson.dumps({**orjson.loads(super().whole(reply)), **ABOUT, "system": {"warnings": [warning]}})

    def noise(self) -> bytes:
        return b"id: 0\nevent: message\n" + data({**ABOUT, "choices": []})

    def error_event(self) -> bytes:
        return b"id: 9\nevent: error\n" + data(_error(500, "boom"))

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps(_error(status, message))


def _error(status: int, message: str) -> dict[str, Any]:
    error = {"code": "some_error", "message": message, "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai"}
    return {"errors": [error], "trace": "a1b2", "status_code": status}


def _numbered(place: int, value: Any) -> bytes:
    return b"id: %d\nevent: message\n" % place + data(value)
