"""Checks a Responses request field by field, and then what its items ask of one another.

Owns what OpenAI refuses. Does not read the request (responses_format.py). Invariant: unknown and ill-typed fields are
refused, as the real API does; what passes here can be counted and answered.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.openai_responses.sealing import is_sealed
from services.provider_simulator.protocols.strict import (
    Check,
    InvalidError,
    Path,
    Problem,
    anything,
    boolean,
    bracketed,
    fields,
    filled,
    integer,
    items,
    mapping,
    nullable,
    number,
    one_of,
    tagged,
    text,
    text_or,
    wrong,
)

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_TOKENS = 2**31 - 1
_LEAST_OUTPUT = 16
_CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
_INCLUDABLE = ("reasoning.encrypted_content", "message.output_text.logprobs")


def _name(where: Path, value: Any) -> None:
    text(where, value)
    if _NAME.fullmatch(value) is None:
        raise wrong(where, "string does not match pattern. Expected '^[a-zA-Z0-9_-]+$', 64 characters at most.")


def _call_id(where: Path, value: Any) -> None:
    filled(where, value)
    if len(value) > 64:
        raise wrong(where, "string too long. Expected a string with maximum length 64.")


_KIND: Check = text
_INPUT_TEXT = fields({"type": _KIND, "text": text}, ["text"])
_INPUT_IMAGE = fields(
    {
        "type": _KIND,
        "image_url": nullable(filled),
        "file_id": nullable(filled),
        "detail": one_of("auto", "low", "high"),
    }
)
_INPUT_FILE = fields(
    {"type": _KIND, "file_id": filled, "file_url": filled, "file_data": filled, "filename": filled},
)
_INPUT = {"input_text": _INPUT_TEXT, "input_image": _INPUT_IMAGE, "input_file": _INPUT_FILE}
_SAID = {
    "output_text": fields({"type": _KIND, "text": text, "annotations": items(mapping), "logprobs": anything}, ["text"]),
    "refusal": fields({"type": _KIND, "refusal": text}, ["refusal"]),
}
_MESSAGE_FIELDS: Mapping[str, Check] = {"type": _KIND, "id": filled, "status": text, "role": text, "phase": anything}
_MESSAGE = tagged(
    {
        role: fields({**_MESSAGE_FIELDS, "content": text_or(items(tagged(parts)))}, ["content"])
        for role, parts in (
            ("user", _INPUT),
            ("assistant", _SAID),
            ("system", {"input_text": _INPUT_TEXT}),
            ("developer", {"input_text": _INPUT_TEXT}),
        )
    },
    tag="role",
)
_REASONING = fields(
    {
        "type": _KIND,
        "id": filled,
        "summary": items(tagged({"summary_text": fields({"type": _KIND, "text": text}, ["text"])})),
        "content": items(tagged({"reasoning_text": fields({"type": _KIND, "text": text}, ["text"])})),
        "encrypted_content": nullable(filled),
        "status": text,
    },
    ["summary"],
)
_ANSWER: Mapping[str, Check] = {
    "type": _KIND,
    "id": filled,
    "call_id": _call_id,
    "output": text_or(items(tagged(_INPUT))),
    "status": text,
}
_CALL: Mapping[str, Check] = {"type": _KIND, "id": filled, "call_id": _call_id, "name": _name, "status": text}
_ITEM = tagged(
    {
        "message": _MESSAGE,
        "reasoning": _REASONING,
        "function_call": fields({**_CALL, "arguments": text}, ["call_id", "name", "arguments"]),
        "function_call_output": fields(_ANSWER, ["call_id", "output"]),
        "custom_tool_call": fields({**_CALL, "input": text}, ["call_id", "name", "input"]),
        "custom_tool_call_output": fields(_ANSWER, ["call_id", "output"]),
    }
)


def _item(where: Path, value: Any) -> None:
    if isinstance(value, dict) and "type" not in value and "role" in value:
        _MESSAGE(where, value)
    else:
        _ITEM(where, value)


def _strict_schema(where: Path, value: Any) -> None:
    """What OpenAI asks of a schema that is held to the letter."""
    mapping(where, value)
    if value.get("type") == "object" or "properties" in value:
        if value.get("additionalProperties") is not False:
            raise wrong(where, "'additionalProperties' is required to be supplied and to be false.")
        if set(value.get("required", ())) != set(value.get("properties", {})):
            raise wrong(where, "'required' is required to be supplied and to be an array including every key.")
    for name in ("properties", "$defs"):
        for key, inner in value.get(name, {}).items():
            _strict_schema((*where, name, key), inner)
    if isinstance(value.get("items"), dict):
        _strict_schema((*where, "items"), value["items"])


_FUNCTION = fields(
    {
        "type": _KIND,
        "name": _name,
        "description": nullable(text),
        "parameters": nullable(mapping),
        "strict": nullable(boolean),
    },
    ["name", "parameters", "strict"],
)
_CUSTOM = fields({"type": _KIND, "name": _name, "description": text, "format": mapping}, ["name"])
_NAMED = fields({"type": _KIND, "name": _name}, ["name"])
_CHOICE = tagged(
    {
        "function": _NAMED,
        "custom": _NAMED,
        "allowed_tools": fields(
            {"type": _KIND, "mode": one_of("auto", "required"), "tools": items(mapping, least=1)}, ["mode", "tools"]
        ),
    }
)


def _tool_choice(where: Path, value: Any) -> None:
    if isinstance(value, str):
        one_of("none", "auto", "required")(where, value)
    else:
        _CHOICE(where, value)


_FORMAT = tagged(
    {
        "text": fields({"type": _KIND}),
        "json_object": fields({"type": _KIND}),
        "json_schema": fields(
            {"type": _KIND, "name": _name, "schema": mapping, "strict": nullable(boolean), "description": text},
            ["name", "schema"],
        ),
    }
)
_REQUEST = fields(
    {
        "model": filled,
        "input": text_or(items(_item)),
        "instructions": nullable(text),
        "max_output_tokens": nullable(integer(_LEAST_OUTPUT, _MOST_TOKENS)),
        "stream": nullable(boolean),
        "stream_options": nullable(fields({"include_obfuscation": boolean})),
        "store": nullable(boolean),
        "background": nullable(boolean),
        "previous_response_id": nullable(text),
        "include": nullable(items(one_of(*_INCLUDABLE))),
        "reasoning": nullable(
            fields(
                {
                    "effort": nullable(one_of("none", "minimal", "low", "medium", "high", "xhigh")),
                    "summary": nullable(one_of("auto", "concise", "detailed")),
                }
            )
        ),
        "text": fields({"format": _FORMAT, "verbosity": nullable(one_of("low", "medium", "high"))}),
        "tools": items(tagged({"function": _FUNCTION, "custom": _CUSTOM})),
        "tool_choice": _tool_choice,
        "parallel_tool_calls": nullable(boolean),
        "max_tool_calls": nullable(integer(1, _MOST_TOKENS)),
        "temperature": nullable(number(0, 2)),
        "top_p": nullable(number(0, 1)),
        "top_logprobs": nullable(integer(0, 20)),
        "truncation": nullable(one_of("auto", "disabled")),
        "service_tier": nullable(one_of("auto", "default", "flex", "priority", "scale")),
        "metadata": nullable(mapping),
        "user": text,
        "safety_identifier": text,
        "prompt_cache_key": text,
        "prompt_cache_retention": nullable(one_of("in-memory", "in_memory", "24h")),
    },
    ["model", "input"],
)


def check_request(body: Any) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _REQUEST((), body)
    given = items_of(body)
    if not given and not body.get("instructions"):
        raise InvalidError(("input",), Problem.MISSING, "One of 'input' or 'instructions' must be provided.")
    _check_calls(given)
    _check_reasoning(given)
    _check_tools(body)
    described = body.get("text", {}).get("format", {})
    if described.get("strict"):
        _strict_schema(("text", "format", "schema"), described["schema"])


def refusal_words(error: InvalidError) -> tuple[str, str]:
    """Message and code."""
    where = bracketed(error.where)
    match error.problem:
        case Problem.UNKNOWN:
            return f"Unknown parameter: '{where}'.", "unknown_parameter"
        case Problem.MISSING:
            return f"Missing required parameter: '{where}'.", "missing_required_parameter"
        case Problem.VALUE:
            return f"Invalid '{where}': {error.words}", "invalid_value"


def items_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = body["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _check_calls(given: list[Mapping[str, Any]]) -> None:
    waiting: dict[str, str] = {}
    for place, item in enumerate(given):
        kind = item.get("type")
        if kind in _CALLS:
            waiting[item["call_id"]] = _CALLS[kind]
        elif kind in _CALLS.values() and waiting.pop(item["call_id"], None) != kind:
            words = f"No tool call found for {str(kind).replace('_', ' ')} with call_id {item['call_id']}."
            raise wrong(("input", place), words)
    if waiting:
        raise wrong(("input",), f"No tool output found for function call {next(iter(waiting))}.")


def _check_reasoning(given: list[Mapping[str, Any]]) -> None:
    for place, item in enumerate(given):
        if item.get("type") != "reasoning":
            continue
        encrypted, item_id = item.get("encrypted_content"), item.get("id", "")
        if not encrypted:
            words = f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false."
            raise wrong(("input", place), words)
        if not is_sealed(item_id, encrypted):
            raise wrong(("input", place), f"The encrypted content for item {item_id} could not be verified.")
        following = given[place + 1] if place + 1 < len(given) else {}
        if following.get("type") not in {*_CALLS, "reasoning"} and following.get("role") != "assistant":
            words = f"Item '{item_id}' of type 'reasoning' was provided without its required following item."
            raise wrong(("input", place), words)


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools", [])
    for place, tool in enumerate(tools):
        if tool.get("strict"):
            _strict_schema(("tools", place, "parameters"), tool["parameters"])
    choice = body.get("tool_choice", "auto")
    if choice == "required" and not tools:
        raise wrong(("tool_choice",), "Tool choice 'required' must be specified with 'tools' parameter.")
    if isinstance(choice, dict) and choice.get("name") and choice["name"] not in {tool["name"] for tool in tools}:
        raise wrong(("tool_choice",), f"Tool choice '{choice['name']}' not found in 'tools' parameter.")
