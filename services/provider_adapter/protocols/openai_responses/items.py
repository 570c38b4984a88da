"""A conversation as the items of a Responses request.

Owns items and their order. Does not own parameters (request.py). Invariant: every call is answered by an output after
it; a reasoning item goes back exactly as it came, before what it led to, or not at all.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from services.provider_adapter.protocols.attachments import Attachment, attachment_of
from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.reasoning_details import is_of, unrepeated

REASONING_FORMAT = "openai-responses-v1"

_MOST_ID_CHARACTERS = 64
_UNANSWERED = "No result was given."
_CALLS = frozenset({"function_call", "custom_tool_call"})
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})

Item = dict[str, Any]


def call_id(given: str) -> str:
    """An id within the format's length; the same for a call and its output, without a table."""
    if len(given) <= _MOST_ID_CHARACTERS:
        return given
    return "call_" + hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:32]


def items_of(messages: Any, *, instructs: bool, takes_system: bool = True) -> tuple[str, list[Item]]:
    """Instructions, which are the system messages that come first, and the items of the others.

    Args:
        messages: checked messages of a chat; what is no message is passed over.
        instructs: whether the host takes instructions apart from the items.
        takes_system: whether the model takes system messages; else they are the user's.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    given = [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    instructions: list[str] = []
    start = 0
    while instructs and takes_system and start < len(given) and given[start].get("role") in {"system", "developer"}:
        instructions += _texts(given[start].get("content"))
        start += 1
    items: list[Item] = []
    for message in given[start:]:
        items.extend(_items(message, takes_system))
    return "\n\n".join(instructions), list(_answered(items))


def _items(message: Mapping[str, Any], takes_system: bool) -> Iterator[Item]:
    content = message.get("content")
    match message.get("role"):
        case "system" | "developer" as role:
            texts = _texts(content)
            if texts:
                yield _message(role if takes_system else "user", [{"type": "input_text", "text": t} for t in texts])
        case "assistant":
            yield from _assistant(message)
        case "tool" | "function":
            given = message.get("tool_call_id") or f"function_{message.get('name')}"
            yield {"type": "function_call_output", "call_id": call_id(str(given)), "output": _output(content)}
        case _:
            parts = list(_user_parts(content))
            if parts:
                yield _message("user", parts)


def _message(role: str, content: list[Item]) -> Item:
    return {"type": "message", "role": role, "content": content}


def _assistant(message: Mapping[str, Any]) -> Iterator[Item]:
    said = _said(message)
    said += [call for call in map(_call, message.get("tool_calls") or ()) if call is not None]
    retired = message.get("function_call")
    if isinstance(retired, dict):
        said.append(_function_call(f"function_{retired.get('name')}", retired))
    # Without what it led to, a reasoning item is refused.
    for others, thought in _thoughts(message.get("reasoning_details")) if said else ():
        for _ in range(min(others, len(said) - 1)):
            yield said.pop(0)
        yield thought
    yield from said


def _said(message: Mapping[str, Any]) -> list[Item]:
    content: list[Item] = [{"type": "output_text", "text": text} for text in _texts(message.get("content"))]
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        content.append({"type": "refusal", "refusal": refusal})
    return [_message("assistant", content)] if content else []


def _call(call: Any) -> Item | None:
    if not isinstance(call, dict):
        return None
    given = str(call.get("id"))
    custom = call.get("custom")
    if isinstance(custom, dict):
        name, written = str(custom.get("name")), str(custom.get("input") or "")
        return {"type": "custom_tool_call", "call_id": call_id(given), "name": name, "input": written}
    function = call.get("function")
    return _function_call(given, function) if isinstance(function, dict) else None


def _function_call(given: str, function: Mapping[str, Any]) -> Item:
    arguments = function.get("arguments")
    written = arguments if isinstance(arguments, str) and arguments.strip() else "{}"
    return {"type": "function_call", "call_id": call_id(given), "name": str(function.get("name")), "arguments": written}


def _thoughts(details: Any) -> Iterator[tuple[int, Item]]:
    """Reasoning items, each with the number of other items that came between it and the one before.

    An item's details share its id; its place among the items of its reply is their index.
    """
    groups: dict[tuple[str, Any], list[Mapping[str, Any]]] = {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and is_of(detail, REASONING_FORMAT):
            given = detail.get("id")
            groups.setdefault((unrepeated(given) if isinstance(given, str) else "", detail.get("index")), []).append(
                detail
            )
    expected = 0
    for (given_id, index), group in groups.items():
        item = _thought(given_id, group)
        if item is None:
            continue
        place = index if type(index) is int and index >= expected else expected
        yield place - expected, item
        expected = place + 1


def _thought(given_id: str, details: list[Mapping[str, Any]]) -> Item | None:
    """One item; without its encrypted content nobody could know it, for nothing is stored."""
    encrypted = "".join(d["data"] for d in details if isinstance(d.get("data"), str))
    if not encrypted:
        return None
    summary = "".join(d["summary"] for d in details if isinstance(d.get("summary"), str))
    thought = "".join(d["text"] for d in details if isinstance(d.get("text"), str))
    item: Item = {"type": "reasoning"}
    if given_id:
        item["id"] = given_id
    item["summary"] = [{"type": "summary_text", "text": summary}] if summary else []
    if thought:
        item["content"] = [{"type": "reasoning_text", "text": thought}]
    item["encrypted_content"] = encrypted
    return item


def _answered(items: list[Item]) -> Iterator[Item]:
    """A call that nobody answered is refused; so every one has an output, of the kind of its call."""
    kinds = {item["call_id"]: item["type"] for item in items if item["type"] in _CALLS}
    answered = {item["call_id"] for item in items if item["type"] in _OUTPUTS}
    missing: list[Item] = []
    for item in items:
        if missing and item["type"] not in {*_CALLS, "reasoning"}:
            yield from missing
            missing.clear()
        if item["type"] in _OUTPUTS:
            item["type"] = f"{kinds.get(item['call_id'], 'function_call')}_output"
        yield item
        if item["type"] in _CALLS and item["call_id"] not in answered:
            missing.append({"type": f"{item['type']}_output", "call_id": item["call_id"], "output": _UNANSWERED})
    yield from missing


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    texts = (_text(part) for part in content) if isinstance(content, list) else ()
    return [text for text in texts if text]


def _text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _output(content: Any) -> str | list[Item]:
    parts = list(_user_parts(content))
    if all(part["type"] == "input_text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _user_parts(content: Any) -> Iterator[Item]:
    if isinstance(content, str):
        content = [content]
    for part in content if isinstance(content, list) else ():
        text = _text(part)
        if text:
            yield {"type": "input_text", "text": text}
        elif text is None and isinstance(part, dict):
            attachment = attachment_of(part)
            if attachment is not None:
                yield _media(part, attachment)


def _media(part: Mapping[str, Any], attachment: Attachment) -> Item:
    if attachment.kind in {"input_audio", "video_url"}:
        raise cannot_carry("sound or video")
    if attachment.kind == "image_url":
        value = part["image_url"]
        detail = value.get("detail") if isinstance(value, dict) else None
        return {
            "type": "input_image",
            "image_url": attachment.url or f"data:{attachment.mime_type};base64,{attachment.data}",
            "detail": detail if isinstance(detail, str) else "auto",
        }
    if attachment.file_id:
        return {"type": "input_file", "file_id": attachment.file_id}
    if attachment.url:
        return {"type": "input_file", "file_url": attachment.url}
    data = f"data:{attachment.mime_type};base64,{attachment.data}"
    return {"type": "input_file", "filename": attachment.name or "file", "file_data": data}
