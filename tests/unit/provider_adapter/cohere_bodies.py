"""Bodies and events that both test modules of this format build from."""

from typing import Any

import orjson

from services.provider_adapter.protocols.cohere.protocol import CohereChat
from services.provider_adapter.protocols.port import Prepared, ReplyFacts
from tests.testkit.provider_conformance import attempt
from tests.testkit.provider_wires import data
from tests.testkit.provider_wires_cohere import CohereWire

WIRE = CohereWire()
PLAIN = "command-a-03-2025"
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    },
}
CALL = {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def prepared(
    messages: Any = "hi",
    *,
    model: str = "command-a-reasoning-08-2025",
    limit: int | None = None,
    stream: bool = True,
    **fields: Any,
) -> Prepared:
    listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    unsupported = fields.pop("unsupported", ())
    body = orjson.dumps({"model": "m", "messages": listed, **fields})
    made = attempt(
        WIRE,
        body=body,
        provider_model_id=model,
        max_tokens=limit,
        unsupported_parameters=unsupported,
        stream=stream,
    )
    return CohereChat().prepare(made, "")


def sent(messages: Any = "hi", **fields: Any) -> dict[str, Any]:
    body = orjson.loads(prepared(messages, **fields).body)
    assert isinstance(body, dict)
    return body


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def tool(content: Any, call_id: str = "f_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(map(data, values))


START = {"type": "message-start", "id": "up-1", "delta": {"message": {"role": "assistant", "content": []}}}


def content(index: int, kind: str = "content-delta", logprobs: Any = None, **fields: Any) -> dict[str, Any]:
    event = {"type": kind, "index": index, "delta": {"message": {"content": fields}}}
    return {**event, "logprobs": logprobs} if logprobs is not None else event


def plan(text: str) -> dict[str, Any]:
    return {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": text}}}


def call(*pieces: Any, index: int = 0, name: str = "f", arguments: Any = "") -> list[dict[str, Any]]:
    function = {"name": name, "arguments": arguments}
    return [
        _calling("tool-call-start", index, {"id": f"c{index}", "type": "function", "function": function}),
        *(_calling("tool-call-delta", index, {"function": {"arguments": piece}}) for piece in pieces),
        {"type": "tool-call-end", "index": index},
    ]


def _calling(kind: str, index: int, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": {"tool_calls": value}}}


def citation(start: int, end: int, *sources: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "text": "cited", "sources": list(sources), **fields}


def cite(value: Any, index: int = 0) -> dict[str, Any]:
    return {"type": "citation-start", "index": index, "delta": {"message": {"citations": value}}}


def end(reason: str | None = "COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, **fields}}


def whole(message: Any, reason: str | None = "COMPLETE", *, answer_tool: str = "", **fields: Any) -> Any:
    """The choice and the facts of a whole reply."""
    body = orjson.dumps({"id": "up-1", "message": message, "finish_reason": reason, **fields})
    made, facts = CohereChat().whole(attempt(WIRE), Prepared("", b"", answer_tool=answer_tool), body)
    assert isinstance(facts, ReplyFacts)
    return orjson.loads(made)["choices"][0], facts
