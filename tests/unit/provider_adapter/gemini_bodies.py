"""Bodies and events that both test modules of this format build from."""

from typing import Any

import orjson

from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.port import Prepared
from tests.testkit.provider_conformance import Decoded, attempt
from tests.testkit.provider_wires import GeminiWire, data

WIRE = GeminiWire()
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"properties": {"a": {"type": "string"}}}}}  # fmt: skip
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}


def prepared(
    messages: Any = "hi", *, model: str = "gemini-2.5-flash", limit: int | None = None, **fields: Any
) -> Prepared:
    listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    stream = fields.pop("stream", True)
    body = orjson.dumps({"model": "m", "messages": listed, **fields})
    return Gemini().prepare(attempt(WIRE, body=body, provider_model_id=model, max_tokens=limit, stream=stream), "")


def sent(messages: Any = "hi", **fields: Any) -> dict[str, Any]:
    body = orjson.loads(prepared(messages, **fields).body)
    assert isinstance(body, dict)
    return body


def config(**fields: Any) -> dict[str, Any]:
    made = sent(**fields).get("generationConfig", {})
    assert isinstance(made, dict)
    return made


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def tool(content: Any, call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def candidate(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **fields}]}


def decode(*events: dict[str, Any], **prepared: Any) -> Decoded:
    return Decoded(WIRE, b"".join(map(data, events)), **prepared)


def whole(reply: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made, _ = Gemini().whole(attempt(WIRE), Prepared("", b"", **fields), orjson.dumps(reply))
    choice = orjson.loads(made)["choices"][0]
    assert isinstance(choice, dict)
    return choice


END = candidate(finishReason="STOP")
