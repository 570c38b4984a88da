"""Checks and reads the messages of a request.

Owns roles, contents and the order of tool calls and their results. Invariant: what passes here can be counted and
answered without a further check.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.openai.errors import RefusedError
from services.provider_simulator.protocols.openai.parameters import invalid_value, missing, wrong_type

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PARTS: Mapping[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
    "function": ("text",),
}


def check_messages(messages: Any) -> None:
    """Checks the whole conversation.

    Raises:
        RefusedError: as the real API would.
    """
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise RefusedError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    waiting: dict[str, None] = {}
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        _check_message(where, message)
        if message["role"] == "tool":
            _take_result(where, message["tool_call_id"], waiting)
            continue
        _check_all_answered(where, waiting)
        if message["role"] == "assistant":
            waiting = {call["id"]: None for call in message.get("tool_calls") or ()}
    _check_all_answered(f"messages[{len(messages)}]", waiting)


def _check_message(where: str, message: Any) -> None:
    if not isinstance(message, dict):
        raise wrong_type(where, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing(f"{where}.role")
    if role not in _ROLES:
        names = ", ".join(f"'{name}'" for name in _ROLES)
        raise invalid_value(f"{where}.role", f"supported values are: {names}.")
    if message.get("name") is not None and not isinstance(message["name"], str):
        raise wrong_type(f"{where}.name", "a string", message["name"])
    if role == "assistant":
        _check_calls(where, message.get("tool_calls"))
    elif role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise missing(f"{where}.tool_call_id")
    _check_content(where, role, message)


def _check_content(where: str, role: str, message: Mapping[str, Any]) -> None:
    content = message.get("content")
    if isinstance(content, str):
        return
    where = f"{where}.content"
    if content is None:
        if role != "assistant" or not any(
            message.get(key) for key in ("tool_calls", "function_call", "refusal", "audio")
        ):
            raise wrong_type(where, "a string or an array of objects", content)
        return
    if not isinstance(content, list):
        raise wrong_type(where, "a string or an array of objects", content)
    if not content:
        raise invalid_value(where, "expected at least one part.")
    for place, part in enumerate(content):
        _check_part(f"{where}[{place}]", role, part)


def _check_part(where: str, role: str, part: Any) -> None:
    if not isinstance(part, dict):
        raise wrong_type(where, "an object", part)
    kind = part.get("type")
    if kind not in _PARTS[role]:
        names = ", ".join(f"'{name}'" for name in _PARTS[role])
        raise invalid_value(f"{where}.type", f"supported values are: {names}.")
    value = part.get(kind)
    if value is None:
        raise missing(f"{where}.{kind}")
    if kind in {"text", "refusal"}:
        if not isinstance(value, str):
            raise wrong_type(f"{where}.{kind}", "a string", value)
        return
    if not isinstance(value, dict):
        raise wrong_type(f"{where}.{kind}", "an object", value)
    if kind == "image_url" and not isinstance(value.get("url"), str):
        raise missing(f"{where}.image_url.url")


def _check_calls(where: str, calls: Any) -> None:
    if calls is None:
        return
    where = f"{where}.tool_calls"
    if not isinstance(calls, list):
        raise wrong_type(where, "an array of objects", calls)
    if not calls:
        raise invalid_value(where, "expected at least one call.")
    for place, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("id"), str):
            raise invalid_value(f"{where}[{place}]", "expected an object with 'id' and 'function'.")
        for key in ("name", "arguments"):
            if not isinstance(function.get(key), str):
                raise missing(f"{where}[{place}].function.{key}")


def _take_result(where: str, call_id: str, waiting: dict[str, None]) -> None:
    if call_id not in waiting:
        raise RefusedError(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            param=f"{where}.role",
        )
    del waiting[call_id]


def _check_all_answered(where: str, waiting: Mapping[str, None]) -> None:
    if waiting:
        raise RefusedError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=f"{where}.role",
        )


def text_parts(message: Mapping[str, Any]) -> list[str]:
    """The texts of a message's content."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if part["type"] == "text"]
