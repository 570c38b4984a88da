"""Checks a chat request field by field, and then what its parts ask of one another.

Owns what Cohere refuses. Does not read the request (chat_format.py). Invariant: unknown and ill-typed fields are
refused; what passes here can be counted and answered.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.strict import (
    Check,
    Path,
    anything,
    boolean,
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

_MOST_TOKENS = 256_000
_NOT_IN_SCHEMAS = ("allOf", "oneOf", "not", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
_FORMATS = ("date-time", "uuid", "date", "time")


def _image_url(where: Path, value: Any) -> None:
    filled(where, value)
    if not value.startswith(("https://", "http://", "data:image/")):
        raise wrong(where, "image url must be an http(s) url or a data uri")


_KIND: Check = text
_TEXT = fields({"type": _KIND, "text": filled}, ["type", "text"])
_THOUGHT = fields({"type": _KIND, "thinking": filled}, ["type", "thinking"])
_URL = fields({"url": _image_url, "detail": one_of("auto", "low", "high")}, ["url"])
_IMAGE = fields({"type": _KIND, "image_url": _URL}, ["type", "image_url"])
_SOURCE = fields({"data": mapping, "id": filled}, ["data"])
_DOCUMENT = fields({"type": _KIND, "document": _SOURCE}, ["type", "document"])
_FUNCTION = fields({"name": filled, "arguments": nullable(text)}, ["name"])
_CALL = fields({"id": filled, "type": one_of("function"), "function": _FUNCTION}, ["id", "function"])


def _said(*kinds: str) -> Check:
    known = {"text": _TEXT, "thinking": _THOUGHT, "image_url": _IMAGE, "document": _DOCUMENT}
    listed = items(tagged({kind: known[kind] for kind in kinds}), least=1)

    def check(where: Path, value: Any) -> None:
        filled(where, value) if isinstance(value, str) else listed(where, value)

    return check


_MESSAGE = tagged(
    {
        "system": fields({"role": text, "content": _said("text")}, ["content"]),
        "user": fields({"role": text, "content": _said("text", "image_url")}, ["content"]),
        "assistant": fields(
            {
                "role": text,
                "content": nullable(_said("text", "thinking")),
                "tool_calls": nullable(items(_CALL)),
                "tool_plan": nullable(text),
                "citations": anything,
            }
        ),
        "tool": fields(
            {"role": text, "tool_call_id": filled, "content": _said("text", "document")}, ["tool_call_id", "content"]
        ),
    },
    tag="role",
)
_DECLARED = fields({"name": filled, "description": text, "parameters": mapping}, ["name", "parameters"])
_TOOL = fields({"type": one_of("function"), "function": _DECLARED}, ["type", "function"])


def _narrow_schema(where: Path, value: Any) -> None:
    """Every object names something that it requires; bounds are not known."""
    mapping(where, value)
    if value.get("properties") and not value.get("required"):
        raise wrong(where, "at least one required field must be specified")
    for name in _NOT_IN_SCHEMAS:
        if name in value:
            raise wrong(where, f"unsupported schema feature '{name}'")
    if value.get("format") not in {None, *_FORMATS}:
        raise wrong(where, f"unsupported format '{value['format']}'")
    for name in ("properties", "$defs"):
        for key, inner in value.get(name, {}).items():
            _narrow_schema((*where, name, key), inner)
    if "items" in value:
        _narrow_schema((*where, "items"), value["items"])


def _answer_schema(where: Path, value: Any) -> None:
    mapping(where, value)
    if value.get("type") != "object":
        raise wrong(where, "the top level type must be 'object'")
    if not value.get("required"):
        raise wrong(where, "at least one required field must be specified")
    _narrow_schema(where, value)


_FORMAT = tagged(
    {
        "text": fields({"type": _KIND}),
        "json_object": fields({"type": _KIND, "json_schema": _answer_schema}),
    }
)
_THINKING = fields({"type": one_of("enabled", "disabled"), "token_budget": integer(1, _MOST_TOKENS)}, ["type"])
_REQUEST = fields(
    {
        "model": filled,
        "messages": items(_MESSAGE, least=1),
        "stream": boolean,
        "tools": items(_TOOL, least=1),
        "strict_tools": boolean,
        "tool_choice": one_of("REQUIRED", "NONE"),
        "documents": items(text_or(_SOURCE)),
        "citation_options": fields({"mode": one_of("ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF")}),
        "response_format": _FORMAT,
        "safety_mode": one_of("CONTEXTUAL", "STRICT", "OFF"),
        "max_tokens": integer(1, _MOST_TOKENS),
        "stop_sequences": items(filled, most=5),
        "temperature": number(0, 1),
        "seed": integer(0, 2**64 - 1),
        "frequency_penalty": number(0, 1),
        "presence_penalty": number(0, 1),
        "k": integer(0, 500),
        "p": number(0.01, 0.99),
        "logprobs": boolean,
        "thinking": _THINKING,
        "priority": integer(0, 999),
    },
    ["model", "messages"],
)


def check_chat(body: Any) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _REQUEST((), body)
    _check_turns(body["messages"])
    _check_tools(body)
    if body.get("frequency_penalty") and body.get("presence_penalty"):
        raise wrong((), "only one of 'presence_penalty' and 'frequency_penalty' can be specified for this model.")
    together = [name for name in ("tools", "documents") if body.get(name)]
    if together and body.get("response_format", {}).get("type") == "json_object":
        raise wrong((), f"response_format is not supported with {together[0]}.")
    if together and "safety_mode" in body:
        raise wrong((), f"safety_mode is not supported with {together[0]}.")


def _check_turns(messages: list[Mapping[str, Any]]) -> None:
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        where: Path = ("messages", place)
        role = message["role"]
        if role == "system" and place:
            raise wrong(where, "system turn must be the first in the list")
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                raise wrong(where, f"tool call id not found in previous tool calls: {message['tool_call_id']}")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            raise wrong(where, f"missing tool results for tool call ids: {', '.join(sorted(waiting))}")
        if role == "assistant":
            calls = message.get("tool_calls") or ()
            if not calls and not message.get("content"):
                raise wrong(where, "message must not be empty in a turn")
            waiting = {call["id"] for call in calls}
    if waiting:
        raise wrong(("messages",), f"missing tool results for tool call ids: {', '.join(sorted(waiting))}")


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools", [])
    names = [tool["function"]["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise wrong(("tools",), "tool names must be unique")
    if "tool_choice" in body and not tools:
        raise wrong((), "tool_choice cannot be specified without tools")
    for place, tool in enumerate(tools):
        schema = tool["function"]["parameters"]
        if body.get("strict_tools") and schema.get("properties") and not schema.get("required"):
            raise wrong(("tools", place), "strict tools must have at least one required parameter")
