"""Chat messages as turns: what formats with strict alternation need.

Owns the order: system words first, one turn per change of speaker, every call answered right after it. Does not write
any provider's parts. Invariant: user and assistant turns alternate; the results that follow a turn's calls answer each
of them.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

Part = Mapping[str, Any]

_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_UNANSWERED = "No result was given."
_CACHED: Mapping[str, Any] = {"type": "ephemeral"}


class Call(NamedTuple):
    id: str
    name: str
    arguments: dict[str, Any]


class Result(NamedTuple):
    call_id: str
    name: str
    parts: list[Part]
    missing: bool = False


@dataclass(slots=True)
class UserTurn:
    """What was said to the model; `results` go before `parts`."""

    results: list[Result] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class AssistantTurn:
    """What the model said; `details` are its `reasoning_details`, `images` the pictures it made."""

    parts: list[Part] = field(default_factory=list)
    images: list[Part] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    details: list[Mapping[str, Any]] = field(default_factory=list)


Turn = UserTurn | AssistantTurn


@dataclass(slots=True)
class Conversation:
    """System words that came first, and the turns; later system words are the user's."""

    system: list[Part] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def user(self) -> UserTurn:
        last = self.turns[-1] if self.turns else None
        if isinstance(last, UserTurn):
            return last
        added = UserTurn()
        self.turns.append(added)
        return added

    def assistant(self) -> AssistantTurn:
        last = self.turns[-1] if self.turns else None
        if isinstance(last, AssistantTurn):
            return last
        added = AssistantTurn()
        self.turns.append(added)
        return added


def read_conversation(messages: Any) -> Conversation:
    """Reads checked messages; what is no message is passed over."""
    conversation = Conversation()
    names: dict[str, str] = {}
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            _add(conversation, message, names)
    _answer_all(conversation)
    return conversation


def texts_of(parts: list[Part]) -> list[str]:
    """The texts among parts that are not blank."""
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    return [text for text in texts if isinstance(text, str) and text.strip()]


def plain_id(given: str) -> str:
    """A call's id within the alphabet of strict providers; the same for a call and its result, without a table."""
    if _PLAIN_ID.fullmatch(given):
        return given
    return "toolu_" + hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:24]


def has_text(part: Part) -> bool:
    text = part.get("text")
    return part.get("type") == "text" and isinstance(text, str) and bool(text.strip())


def _add(conversation: Conversation, message: Mapping[str, Any], names: dict[str, str]) -> None:
    match message.get("role"):
        case "system" | "developer":
            parts = _parts(message)
            (conversation.user().parts if conversation.turns else conversation.system).extend(parts)
        case "assistant":
            _add_assistant(conversation.assistant(), message, names)
        case "tool" | "function":
            call_id = message.get("tool_call_id") or f"function_{message.get('name')}"
            name = names.get(str(call_id)) or message.get("name") or "unknown"
            result = Result(str(call_id), str(name), _content(message.get("content")))
            conversation.user().results.append(result)
        case _:
            conversation.user().parts.extend(_parts(message))


def _add_assistant(turn: AssistantTurn, message: Mapping[str, Any], names: dict[str, str]) -> None:
    parts = _parts(message)
    refusal = message.get("refusal")
    if not parts and isinstance(refusal, str) and refusal:
        parts = [{"type": "text", "text": refusal}]
    turn.parts.extend(parts)
    details = message.get("reasoning_details")
    if isinstance(details, list):
        turn.details.extend(detail for detail in details if isinstance(detail, dict))
    images = message.get("images")
    if isinstance(images, list):
        turn.images.extend({**image, "type": "image_url"} for image in images if isinstance(image, dict))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            _add_call(turn, str(call.get("id")), function, names)
    retired = message.get("function_call")
    if isinstance(retired, dict):
        _add_call(turn, f"function_{retired.get('name')}", retired, names)


def _add_call(turn: AssistantTurn, call_id: str, function: Mapping[str, Any], names: dict[str, str]) -> None:
    name = str(function.get("name"))
    names[call_id] = name
    turn.calls.append(Call(call_id, name, _arguments(function.get("arguments"))))


def _arguments(text: Any) -> dict[str, Any]:
    """An object whatever a model had written (wire facts §9.2)."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str) or not text.strip():
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"arguments": text}


def _parts(message: Mapping[str, Any]) -> list[Part]:
    parts = _content(message.get("content"))
    name = message.get("name")
    if not isinstance(name, str) or not name or not parts:
        return parts
    for place, part in enumerate(parts):
        if part.get("type") == "text":
            parts[place] = {**part, "text": f"{name}: {part['text']}"}
            return parts
    return [{"type": "text", "text": f"{name}:"}, *parts]


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        return []
    return [part for part in map(_part, content) if part is not None]


def _part(given: Any) -> Part | None:
    if isinstance(given, str):
        return {"type": "text", "text": given}
    if not isinstance(given, dict):
        return None
    part: Part = given
    kind = part.get("type")
    if kind in {"text", "refusal"}:
        text = part.get(kind)
        if not isinstance(text, str):
            return None
        part = {**part, "type": "text", "text": text}
    if part.get("prompt_cache_breakpoint") and not part.get("cache_control"):
        part = {**part, "cache_control": _CACHED}
    return part


def _answer_all(conversation: Conversation) -> None:
    """Providers refuse a call that is not answered in the turn after it."""
    turns = conversation.turns
    for place in range(len(turns) - 1, -1, -1):
        turn = turns[place]
        if not isinstance(turn, AssistantTurn) or not turn.calls:
            continue
        if place + 1 == len(turns):
            turns.append(UserTurn())
        following = turns[place + 1]
        assert isinstance(following, UserTurn)
        answered = {result.call_id for result in following.results}
        following.results.extend(
            Result(call.id, call.name, [{"type": "text", "text": _UNANSWERED}], missing=True)
            for call in turn.calls
            if call.id not in answered
        )
