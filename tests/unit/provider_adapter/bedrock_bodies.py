"""Models and messages that both test modules of Bedrock's requests build from."""

from typing import Any

import orjson

from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.port import Attempt, Prepared

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "us.anthropic.claude-opus-4-7"
OLDER = "anthropic.claude-3-5-sonnet-20241022-v2:0"
NOVA = "amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
TITAN = "amazon.titan-text-express-v1"
OSS = "openai.gpt-oss-120b-1:0"
QWEN = "qwen.qwen3-32b-v1:0"
WRITER = "us.writer.palmyra-x5-v1:0"
GPT = "us.openai.gpt-5.6-sol"

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "description": "Looks", "parameters": {"properties": {}}},
}
OTHER_TOOL = {"type": "function", "function": {"name": "tell"}}
MARK = {"type": "ephemeral"}
POINT = {"cachePoint": {"type": "default"}}


def prepared(
    model: str = SONNET, *, stream: bool = False, attempt: dict[str, Any] | None = None, **fields: Any
) -> Prepared:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return BedrockConverse().prepare(
        Attempt("gen-1", "Amazon Bedrock", model, "maker/model", 1, stream, orjson.dumps(body), **(attempt or {})), ""
    )


def sent(model: str = SONNET, **fields: Any) -> Any:
    return orjson.loads(prepared(model, **fields).body)


def extra(model: str = SONNET, **fields: Any) -> Any:
    return sent(model, **fields).get("additionalModelRequestFields", {})


def messages(*listed: dict[str, Any], model: str = SONNET, **fields: Any) -> Any:
    return sent(model, messages=list(listed), **fields)["messages"]


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts) if len(parts) > 1 or not isinstance(parts[0], str) else parts[0]}


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(name: str, data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def calling(*ids: str, **fields: Any) -> dict[str, Any]:
    calls = [{"id": one, "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **fields}


def result(call_id: str, content: Any = "seen") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}
