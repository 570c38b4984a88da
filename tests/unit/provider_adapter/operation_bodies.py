"""Attempts at operations beside chat, and what a protocol makes of a reply."""

from typing import Any

import orjson

from services.provider_adapter.protocols.port import Attempt, ReplyFacts, WireProtocol


def attempt(operation: str, body: dict[str, Any], **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "generation_id": "gen-1-a",
        "provider_name": "P",
        "provider_model_id": "native-model",
        "model": "maker/model",
        "created_s": 1,
        "stream": False,
        "operation": operation,
        "body": orjson.dumps({"model": "maker/model", **body}),
    }
    return Attempt(**{**fields, **changes})


def sent(protocol: WireProtocol, asked: Attempt, dialect: str = "") -> dict[str, Any]:
    value = orjson.loads(protocol.prepare(asked, dialect).body)
    assert isinstance(value, dict)
    return value


def received(
    protocol: WireProtocol, asked: Attempt, reply: Any, dialect: str = ""
) -> tuple[dict[str, Any], ReplyFacts]:
    body = reply if isinstance(reply, bytes) else orjson.dumps(reply)
    json, facts = protocol.whole(asked, protocol.prepare(asked, dialect), body)
    value = orjson.loads(json)
    assert isinstance(value, dict)
    return value, facts
