"""Checks a Messages request field by field, and then what its parts ask of one another.

Owns what Anthropic refuses. Does not read the request (messages_format.py). Invariant: unknown and ill-typed fields are
refused, as the real API does; what passes here can be counted and answered.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.anthropic.signatures import is_signed
from services.provider_simulator.protocols.strict import (
    Check,
    InvalidError,
    Path,
    anything,
    base64_text,
    boolean,
    dotted,
    fields,
    filled,
    integer,
    items,
    mapping,
    matching,
    nullable,
    number,
    one_of,
    tagged,
    text,
    text_or,
    wrong,
)

_MOST_TOKENS = 128_000
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")

_KIND: Check = text
_CACHE = fields({"type": one_of("ephemeral"), "ttl": one_of("5m", "1h")}, ["type"])
_MARK: Mapping[str, Check] = {"type": _KIND, "cache_control": _CACHE}


_URL = fields({"type": _KIND, "url": filled}, ["url"])
_FILE = fields({"type": _KIND, "file_id": filled}, ["file_id"])
_IMAGE_TYPES = one_of("image/jpeg", "image/png", "image/gif", "image/webp")
_IMAGE_DATA = fields({"type": _KIND, "media_type": _IMAGE_TYPES, "data": base64_text}, ["media_type", "data"])
_PDF_DATA = fields(
    {"type": _KIND, "media_type": one_of("application/pdf"), "data": base64_text}, ["media_type", "data"]
)
_TEXT_DATA = fields({"type": _KIND, "media_type": one_of("text/plain"), "data": text}, ["media_type", "data"])
_TEXT = fields({**_MARK, "text": filled, "citations": anything}, ["text"])
_IMAGE = fields({**_MARK, "source": tagged({"base64": _IMAGE_DATA, "url": _URL, "file": _FILE})}, ["source"])
_DOCUMENT = fields(
    {
        **_MARK,
        "source": tagged({"base64": _PDF_DATA, "text": _TEXT_DATA, "url": _URL, "file": _FILE}),
        "title": nullable(text),
        "context": nullable(text),
        "citations": nullable(fields({"enabled": boolean})),
    },
    ["source"],
)
_RESULT = fields(
    {
        **_MARK,
        "tool_use_id": matching(_ID),
        "content": text_or(items(tagged({"text": _TEXT, "image": _IMAGE, "document": _DOCUMENT}))),
        "is_error": boolean,
    },
    ["tool_use_id"],
)
_CALL = fields(
    {**_MARK, "id": matching(_ID), "name": matching(_NAME), "input": mapping, "caller": anything},
    ["id", "name", "input"],
)
_THINKING = fields({"type": _KIND, "thinking": text, "signature": filled}, ["thinking", "signature"])
_REDACTED = fields({"type": _KIND, "data": filled}, ["data"])

_USER = {"text": _TEXT, "image": _IMAGE, "document": _DOCUMENT, "tool_result": _RESULT}
_ASSISTANT = {"text": _TEXT, "thinking": _THINKING, "redacted_thinking": _REDACTED, "tool_use": _CALL}
_MESSAGE = tagged(
    {
        role: fields({"role": text, "content": text_or(items(tagged(blocks), least=1))}, ["content"])
        for role, blocks in (("user", _USER), ("assistant", _ASSISTANT))
    },
    tag="role",
)


def _object_schema(where: Path, value: Any) -> None:
    mapping(where, value)
    if value.get("type") != "object":
        raise wrong((*where, "type"), "Input should be 'object'")


def closed_schema(where: Path, value: Any) -> None:
    """Structured output wants every object closed, and knows no bounds of numbers."""
    mapping(where, value)
    if value.get("type") == "object" and value.get("additionalProperties") is not False:
        raise wrong(where, "For 'object' type, 'additionalProperties' must be explicitly set to false")
    for name in ("minimum", "maximum", "minLength", "maxLength", "multipleOf", "oneOf", "$schema"):
        if name in value:
            raise wrong(where, f"property '{name}' is not supported")
    for name in ("properties", "$defs"):
        for key, inner in value.get(name, {}).items():
            closed_schema((*where, name, key), inner)
    if "items" in value:
        closed_schema((*where, "items"), value["items"])


_TOOL = fields(
    {
        **_MARK,
        "type": one_of("custom"),
        "name": matching(_NAME),
        "description": text,
        "input_schema": _object_schema,
        "strict": boolean,
    },
    ["name", "input_schema"],
)
_PARALLEL: Mapping[str, Check] = {"type": _KIND, "disable_parallel_tool_use": boolean}
_TOOL_CHOICE = tagged(
    {
        "auto": fields(_PARALLEL),
        "any": fields(_PARALLEL),
        "tool": fields({**_PARALLEL, "name": filled}, ["name"]),
        "none": fields({"type": _KIND}),
    }
)
_DISPLAY: Mapping[str, Check] = {"type": _KIND, "display": one_of("summarized", "omitted")}
_THINKS = tagged(
    {
        "enabled": fields({**_DISPLAY, "budget_tokens": integer(1024, _MOST_TOKENS)}, ["budget_tokens"]),
        "adaptive": fields(_DISPLAY),
        "disabled": fields({"type": _KIND}),
    }
)
_FORMAT = tagged({"json_schema": fields({"type": _KIND, "schema": closed_schema}, ["schema"])})
_REQUEST = fields(
    {
        "model": filled,
        "max_tokens": integer(1, _MOST_TOKENS),
        "messages": items(_MESSAGE, least=1),
        "system": text_or(items(tagged({"text": _TEXT}))),
        "metadata": fields({"user_id": nullable(text)}),
        "stop_sequences": items(filled, most=8_191),
        "stream": boolean,
        "temperature": number(0, 1),
        "top_p": number(0, 1),
        "top_k": integer(0, 2**31),
        "tools": items(_TOOL),
        "tool_choice": _TOOL_CHOICE,
        "thinking": _THINKS,
        "output_config": fields({"effort": one_of("low", "medium", "high", "xhigh", "max"), "format": _FORMAT}),
        "cache_control": _CACHE,
        "service_tier": one_of("auto", "standard_only"),
    },
    ["model", "max_tokens", "messages"],
)


def check_request(body: Any) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _REQUEST((), body)
    _check_turns(body)
    _check_thinking(body)
    _check_tools(body)
    if "temperature" in body and "top_p" in body:
        raise wrong((), "`temperature` and `top_p` cannot both be specified for this model.")
    marks = _count_marks([body.get("tools", []), body.get("system", []), body["messages"]])
    if marks > 4:
        raise wrong((), f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def refusal_words(error: InvalidError) -> str:
    return f"{dotted(error.where)}: {error.words}" if error.where else error.words


def blocks_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A message's content as blocks."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_turns(body: Mapping[str, Any]) -> None:
    messages = body["messages"]
    if messages[0]["role"] != "user":
        raise wrong(("messages",), "first message must use the user role")
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        where: Path = ("messages", place)
        blocks = blocks_of(message)
        if isinstance(message["content"], str) and not message["content"].strip():
            raise wrong(where, "user messages must have non-empty content")
        _check_results(where, blocks, waiting)
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
        if message["role"] == "assistant":
            _check_signatures(where, blocks)
    last = blocks_of(messages[-1])[-1]
    if messages[-1]["role"] == "assistant" and last["type"] == "text" and last["text"] != last["text"].rstrip():
        raise wrong(("messages",), "final assistant content cannot end with trailing whitespace")
    if waiting:
        raise wrong(("messages", len(messages) - 1), "`tool_use` ids were found without `tool_result` blocks after")


def _check_results(where: Path, blocks: list[Mapping[str, Any]], waiting: set[str]) -> None:
    kinds = [block["type"] for block in blocks]
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    for result in results:
        if result not in waiting:
            raise wrong(where, f"unexpected `tool_use_id` found in `tool_result` blocks: {result}")
    missing = waiting - set(results)
    if missing:
        words = (
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(sorted(missing))}"
        )
        raise wrong(where, words)
    if results and "tool_result" in kinds[len(results) :]:
        raise wrong(where, "`tool_result` blocks must come before any other content")


def _check_signatures(where: Path, blocks: list[Mapping[str, Any]]) -> None:
    kinds = [block["type"] in {"thinking", "redacted_thinking"} for block in blocks]
    if True in kinds[kinds.count(True) :]:
        raise wrong(where, "`thinking` blocks must come first")
    for place, block in enumerate(blocks):
        if block["type"] == "thinking" and not is_signed(block["thinking"], block["signature"]):
            raise wrong((*where, "content", place), "Invalid `signature` in `thinking` block")


def _check_thinking(body: Mapping[str, Any]) -> None:
    thinking = body.get("thinking", {})
    if thinking.get("type") not in {"enabled", "adaptive"}:
        return
    if thinking.get("budget_tokens", 0) >= body["max_tokens"]:
        raise wrong((), "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.get("temperature", 1) != 1 or "top_k" in body:
        raise wrong((), "`temperature` may only be set to 1 when thinking is enabled.")
    if body.get("tool_choice", {}).get("type") in {"any", "tool"}:
        raise wrong((), "Thinking may not be enabled when tool_choice forces tool use.")
    messages = body["messages"]
    if thinking["type"] == "enabled" and blocks_of(messages[-1])[0]["type"] == "tool_result":
        first = blocks_of(messages[-2])[0]["type"]
        if first not in {"thinking", "redacted_thinking"}:
            words = f"Expected `thinking` or `redacted_thinking`, but found `{first}`."
            raise wrong(("messages", len(messages) - 2, "content", 0, "type"), words)


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise wrong(("tools",), "Tool names must be unique.")
    choice = body.get("tool_choice", {})
    if choice and not tools:
        raise wrong((), "tool_choice may only be specified while providing tools.")
    if choice.get("type") == "tool" and choice["name"] not in names:
        raise wrong(("tool_choice",), f"Tool '{choice['name']}' not found in provided tools")
    used = any(block["type"] == "tool_use" for message in body["messages"] for block in blocks_of(message))
    if used and not tools:
        raise wrong((), "Requests which include `tool_use` or `tool_result` blocks must define tools.")


def _count_marks(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_count_marks, value))
    if not isinstance(value, dict):
        return 0
    return int("cache_control" in value) + _count_marks(value.get("content"))
