"""The messages of a chat request: checked in one pass that also gathers what routing and holds need.

Owns the shape of messages and parts (reference api-facts §3.1). Does not count tokens: it hands out the texts.
Invariant: a message of the wrong shape never reaches a provider.
"""

from dataclasses import dataclass, field

from services.edge_proxy.core.chat_details import check_assistant, check_cache_control, check_call, check_media
from services.edge_proxy.core.fields import Json, Object, invalid

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_PART_MODALITY = {
    "text": "",
    "refusal": "",
    "image_url": "image",
    "input_audio": "audio",
    "audio": "audio",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
}
MAX_MESSAGES = 20_000


@dataclass(slots=True)
class MessageFacts:
    """What one pass over the messages tells.

    Attributes:
        texts: every text that becomes prompt tokens, names included; a role is one token, whichever it is.
        modalities: modalities beyond text.
        media_parts: how many parts are not text.
    """

    texts: list[str] = field(default_factory=list)
    modalities: set[str] = field(default_factory=set)
    media_parts: int = 0
    messages: int = 0


def read_messages(body: Object) -> MessageFacts:
    """Checks `messages`.

    Raises:
        AppError: 400 that names the field.
    """
    messages = body.get("messages")
    if messages is None:
        raise invalid("messages", "is required")
    if not isinstance(messages, list):
        raise invalid("messages", "must be an array")
    if not messages:
        raise invalid("messages", "must have at least one item")
    if len(messages) > MAX_MESSAGES:
        raise invalid("messages", f"must have at most {MAX_MESSAGES} items")
    facts = MessageFacts(messages=len(messages))
    for index, message in enumerate(messages):
        _read_message(message, index, facts)
    return facts


def _read_message(message: Json, index: int, facts: MessageFacts) -> None:
    where = f"messages.{index}"
    if not isinstance(message, dict):
        raise invalid(where, "must be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"{where}.role", f"must be one of {', '.join(sorted(_ROLES))}")
    _read_content(message, role, where, facts)
    name = message.get("name")
    if name is not None:
        if not isinstance(name, str):
            raise invalid(f"{where}.name", "must be a string")
        facts.texts.append(name)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise invalid(f"{where}.tool_call_id", "must be a string")
    if role == "assistant":
        _read_assistant(message, where, facts)


def _read_content(message: Object, role: str, where: str, facts: MessageFacts) -> None:
    content = message.get("content")
    if isinstance(content, str):
        facts.texts.append(content)
    elif isinstance(content, list):
        for part_index, part in enumerate(content):
            read_part(part, f"{where}.content.{part_index}", facts)
    elif content is not None or role not in {"assistant", "function"}:
        raise invalid(f"{where}.content", "must be a string or an array of content parts")


def read_part(part: Json, where: str, facts: MessageFacts) -> None:
    """Checks one part of a content."""
    if not isinstance(part, dict):
        raise invalid(where, "must be an object")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise invalid(f"{where}.type", "must be a string")
    modality = _PART_MODALITY.get(kind)
    if modality is None:
        raise invalid(f"{where}.type", f"must be one of {', '.join(sorted(_PART_MODALITY))}")
    if "cache_control" in part:
        check_cache_control(part, f"{where}.")
    if not modality:
        value = part.get(kind)
        if not isinstance(value, str):
            raise invalid(f"{where}.{kind}", "must be a string")
        facts.texts.append(value)
        return
    facts.modalities.add(modality)
    facts.media_parts += 1
    payload = part.get(kind)
    if not isinstance(payload, dict):
        raise invalid(f"{where}.{kind}", "must be an object")
    check_media(kind, payload, where)


def _read_assistant(message: Object, where: str, facts: MessageFacts) -> None:
    check_assistant(message, where)
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise invalid(f"{where}.tool_calls", "must be an array")
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise invalid(f"{where}.tool_calls.{index}.function", "must be an object with a name")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            raise invalid(f"{where}.tool_calls.{index}.function.arguments", "must be a string")
        check_call(call, f"{where}.tool_calls.{index}")
        facts.texts.append(function["name"])
        facts.texts.append(arguments)
