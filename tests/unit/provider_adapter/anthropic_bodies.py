"""Bodies and events that both test modules of this format build from."""

from typing import Any

import orjson

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.port import Prepared
from tests.testkit.provider_conformance import attempt
from tests.testkit.provider_wires import AnthropicWire, data

WIRE = AnthropicWire()
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}


def prepared(
    messages: Any = "hi", *, model: str = "claude-sonnet-4-5", limit: int | None = None, **fields: Any
) -> Prepared:
    listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    unsupported = fields.pop("unsupported", ())
    flags = fields.pop("flags", "")
    body = orjson.dumps({"model": "m", "messages": listed, **fields})
    made = attempt(
        WIRE,
        body=body,
        provider_model_id=model,
        max_tokens=limit,
        unsupported_parameters=unsupported,
        anthropic_beta=flags,
    )
    return AnthropicMessages().prepare(made, "")


def sent(messages: Any = "hi", **fields: Any) -> dict[str, Any]:
    body = orjson.loads(prepared(messages, **fields).body)
    assert isinstance(body, dict)
    return body


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def tool(content: Any, call_id: str = "toolu_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(map(data, values))


START = {"type": "message_start", "message": {"id": "up-1", "usage": {"input_tokens": 3, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


def block(content: dict[str, Any], *deltas: dict[str, Any], index: int = 0) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def end(reason: str | None = "end_turn", **fields: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}, **fields}
