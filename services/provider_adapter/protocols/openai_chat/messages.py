"""The caller's messages as a host of the chat format wants them.

Owns roles, names, ids and what only we understand. Does not own parameters (request.py). Invariant: an id of a call and
that of its result stay equal; nothing is added that the caller did not say, but for what a host demands between two
speakers.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.openai_chat.dialects import Dialect, History, Prefill

_ONLY_OURS = ("reasoning_details", "reasoning", "reasoning_content", "annotations", "images", "model")
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ALPHANUMERIC = re.compile(r"[a-zA-Z0-9]+")
_BETWEEN = "OK."
_GO_ON = "Continue."

Message = dict[str, Any]


def suit_messages(messages: Any, dialect: Dialect, *, takes_system: bool = True) -> Any:
    """The messages for a host; what is no list of messages stays for the host to refuse."""
    if not isinstance(messages, list):
        return messages
    for message in messages:
        if isinstance(message, dict):
            _clean(message, dialect)
            _set_role(message, dialect, takes_system=takes_system)
    if dialect.id_length:
        _fit_ids(messages, dialect.id_length)
    if dialect.alternates:
        messages = _in_turns(messages)
    if dialect.speaks_after_tools:
        messages = _with_speech_after_tools(messages)
    _mark_prefill(messages, dialect)
    return messages


def fitted_id(given: str, length: int) -> str:
    """An id of exactly this length; one that fits stays, any other becomes a hash, the same wherever it stands."""
    if len(given) == length and _ALPHANUMERIC.fullmatch(given):
        return given
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "replace")).digest())
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def _clean(message: Message, dialect: Dialect) -> None:
    """Takes out what is null, and what only we or a library understand: strict hosts answer 400 to it."""
    for name in [name for name, value in message.items() if value is None and name != "content"]:
        del message[name]
    if message.get("role") == "assistant":
        _clean_history(message, dialect.history)
    if not dialect.names and message.get("role") != "tool":
        message.pop("name", None)
    content = message.get("content")
    if isinstance(content, list) and not dialect.cache_hints:
        for part in content:
            if isinstance(part, dict):
                part.pop("cache_control", None)
    if not dialect.cache_hints:
        message.pop("cache_control", None)
    if dialect.documents and isinstance(content, list):
        message["content"] = [_as_document(part) for part in content]


def _as_document(part: Any) -> Any:
    """A file or a sound as Mistral has it."""
    kind = part.get("type") if isinstance(part, dict) else None
    value = part.get(kind) if isinstance(kind, str) else None
    if not isinstance(value, dict):
        return part
    if kind == "file" and isinstance(value.get("file_data"), str):
        named = {"document_name": value["filename"]} if isinstance(value.get("filename"), str) else {}
        return {"type": "document_url", "document_url": value["file_data"], **named}
    if kind == "input_audio" and isinstance(value.get("data"), str):
        return {"type": "input_audio", "input_audio": value["data"]}
    return part


def _clean_history(message: Message, history: History) -> None:
    message.pop("parsed", None)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            call.pop("index", None)
            function = call.get("function")
            if isinstance(function, dict):
                function.pop("parsed_arguments", None)
    if not calls:
        message.pop("tool_calls", None)
    if history is History.KEPT:
        return
    text = _thought(message)
    for name in _ONLY_OURS:
        message.pop(name, None)
    if text and history is History.AS_REASONING:
        message["reasoning"] = text
    elif text and history is History.AS_REASONING_CONTENT and message.get("tool_calls"):
        message["reasoning_content"] = text


def _thought(message: Mapping[str, Any]) -> str:
    """What the model thought, wherever a client keeps it."""
    for name in ("reasoning", "reasoning_content"):
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    details = message.get("reasoning_details")
    texts = [d.get("text") for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def _set_role(message: Message, dialect: Dialect, *, takes_system: bool) -> None:
    role = message.get("role")
    if role == "developer" and not dialect.developer:
        role = message["role"] = "system"
    if role in {"system", "developer"} and not takes_system:
        message["role"] = "user"


def _fit_ids(messages: list[Any], length: int) -> None:
    for message in messages:
        if not isinstance(message, dict):
            continue
        if isinstance(message.get("tool_call_id"), str):
            message["tool_call_id"] = fitted_id(message["tool_call_id"], length)
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                call["id"] = fitted_id(call["id"], length)


def _in_turns(messages: list[Any]) -> list[Any]:
    """System words first, then user and assistant in turns, the user first and last; results of tools are the user's."""
    system: list[Any] = []
    turns: list[Message] = []
    for message in messages:
        if not isinstance(message, dict):
            continue
        role, content = message.get("role"), message.get("content")
        if role == "system":
            system.append(content)
            continue
        role = "assistant" if role == "assistant" else "user"
        if not content:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = _joined([turns[-1]["content"], content])
        else:
            turns.append({"role": role, "content": content})
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": _GO_ON})
    if turns and turns[-1]["role"] == "assistant":
        turns.append({"role": "user", "content": _GO_ON})
    return [{"role": "system", "content": _joined(system)}, *turns] if system else list(turns)


def _joined(contents: list[Any]) -> Any:
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    parts: list[Any] = []
    for content in contents:
        parts += content if isinstance(content, list) else [{"type": "text", "text": content}]
    return parts


def _with_speech_after_tools(messages: list[Any]) -> list[Any]:
    spoken: list[Any] = []
    for message in messages:
        before = spoken[-1].get("role") if spoken and isinstance(spoken[-1], dict) else None
        if before == "tool" and isinstance(message, dict) and message.get("role") == "user":
            spoken.append({"role": "assistant", "content": _BETWEEN})
        spoken.append(message)
    return spoken


def _mark_prefill(messages: list[Any], dialect: Dialect) -> None:
    last = messages[-1] if messages else None
    if dialect.prefill is Prefill.PLAIN or not isinstance(last, dict) or last.get("role") != "assistant":
        return
    if not last.get("tool_calls"):
        last["prefix" if dialect.prefill is Prefill.PREFIX else "partial"] = True
