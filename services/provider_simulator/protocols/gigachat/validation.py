"""Checks a chat request field by field, and then what its messages ask of one another.

Owns what GigaChat refuses. Does not read the request (chat_format.py). Invariant: unknown and ill-typed fields are
refused; what passes here can be counted and answered.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.protocols.strict import (
    Path,
    anything,
    boolean,
    fields,
    filled,
    integer,
    items,
    mapping,
    matching,
    number,
    one_of,
    tagged,
    text,
    text_or,
    wrong,
)

_STATE = matching(re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"))
_CALL = fields({"name": filled, "arguments": mapping}, ["name", "arguments"])
_NOT_IN_SCHEMAS = ("$ref", "$defs", "anyOf", "oneOf", "allOf", "additionalProperties", "$schema", "const")
_MESSAGE = tagged(
    {
        "system": fields({"role": text, "content": filled}, ["content"]),
        "user": fields({"role": text, "content": filled}, ["content"]),
        "assistant": fields(
            {"role": text, "content": text, "function_call": _CALL, "functions_state_id": _STATE}, ["content"]
        ),
        "function": fields({"role": text, "name": filled, "content": text}, ["name", "content"]),
    },
    tag="role",
)


def _schema(where: Path, value: Any) -> None:
    mapping(where, value)
    for name in _NOT_IN_SCHEMAS:
        if name in value:
            raise wrong((*where, name), "Extra inputs are not permitted")
    if value.get("type") == "object" and not isinstance(value.get("properties"), dict):
        raise wrong((*where, "properties"), "Field required")
    for key, inner in (value.get("properties") or {}).items():
        _schema((*where, "properties", key), inner)
    if "items" in value:
        _schema((*where, "items"), value["items"])


def _parameters(where: Path, value: Any) -> None:
    mapping(where, value)
    if value.get("type") != "object":
        raise wrong((*where, "type"), "Input should be 'object'")
    _schema(where, value)


_FUNCTION = fields(
    {
        "name": filled,
        "description": text,
        "parameters": _parameters,
        "return_parameters": mapping,
        "few_shot_examples": items(anything),
    },
    ["name", "parameters"],
)
_REQUEST = fields(
    {
        "model": filled,
        "messages": items(_MESSAGE, least=1),
        "stream": boolean,
        "max_tokens": integer(1, 1_000_000),
        "temperature": number(0.000_001, 2),
        "top_p": number(0, 1),
        "repetition_penalty": number(0, 2),
        "update_interval": number(0, 60),
        "profanity_check": boolean,
        "reasoning_effort": one_of("low", "medium", "high"),
        "functions": items(_FUNCTION, least=1),
        "function_call": text_or(fields({"name": filled, "partial_arguments": mapping}, ["name"])),
    },
    ["model", "messages"],
)


def check_chat(body: Any) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _REQUEST((), body)
    names = [function["name"] for function in body.get("functions", ())]
    if len(set(names)) < len(names):
        raise wrong(("functions",), "function names must be unique")
    choice = body.get("function_call")
    if choice is not None and not names:
        raise wrong(("function_call",), "function_call without functions")
    if isinstance(choice, str) and choice not in {"auto", "none"}:
        raise wrong(("function_call",), "Input should be auto or none")
    if isinstance(choice, dict) and choice["name"] not in names:
        raise wrong(("function_call", "name"), "no such function")
    _check_turns(body["messages"])


def _check_turns(messages: list[Mapping[str, Any]]) -> None:
    called = ""
    for place, message in enumerate(messages):
        where: Path = ("messages", place)
        role = message["role"]
        if role == "system" and place:
            raise wrong(where, "system message must be the first message")
        if role == "function":
            if message["name"] != called:
                raise wrong(where, "a function's result must follow its call")
            _check_result((*where, "content"), message["content"])
        elif called:
            raise wrong(where, "a call must be followed by its result")
        if role == "assistant" and "function_call" not in message and not message["content"]:
            raise wrong(where, "message must not be empty")
        called = message["function_call"]["name"] if "function_call" in message else ""
    if called:
        raise wrong(("messages",), "a call must be followed by its result")


def _check_result(where: Path, content: str) -> None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise wrong(where, "a function's result must be a JSON object")
