"""Replies of Oracle's in chat's shape, whatever kind of chat they are of.

Owns whole replies and the pieces that streams share with them. Invariant: `finish_reason` is one of chat's words or null,
the provider's own word stands beside it; every call has an id, the same for the same reply.

Sources: Oracle's SDK (`GenericChatResponse`, `CohereChatResponseV2`, `CohereChatResponse`) and replies of real models in the
tests of NVIDIA's codec for them: calls of Cohere's first kind have no ids, Gemini says `max_tokens` in lower case, thoughts
are in `reasoningContent` or in parts of the kind THINKING.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.blocks import GatheredBlocks, finish_of
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.oci.errors import failure_of_event, failure_of_finish, is_error
from services.provider_adapter.protocols.oci.usage import usage_of
from services.provider_adapter.protocols.openai_chat.response import dumps_reply, whole_choice, whole_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply

REASONING_FORMAT = "unknown"

_FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
    "ERROR": "error",
    "USER_CANCEL": "error",
}


class SaidCall(NamedTuple):
    """A call, or a piece of one: what is not said is empty, and the place None."""

    id: str
    name: str
    arguments: str
    place: int | None = None


class Said(NamedTuple):
    """What one reply, or one event, says."""

    texts: list[str]
    thoughts: list[str]
    calls: list[SaidCall]


def said_in(value: Mapping[str, Any]) -> Said:
    """Reads a choice of the generic kind, or a reply of one of Cohere's; their events have the same shapes."""
    message = value.get("message")
    held: Mapping[str, Any] = message if isinstance(message, dict) else value
    texts, thoughts = _contents(held.get("content"))
    if isinstance(value.get("text"), str):
        texts.append(value["text"])
    for name in ("reasoningContent", "toolPlan"):
        if isinstance(held.get(name), str):
            thoughts.append(held[name])
    listed = held.get("toolCalls")
    calls = [_call(call) for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []
    return Said([text for text in texts if text], [text for text in thoughts if text], calls)


def ending_of(native: Any, *, called: bool, answered: bool) -> tuple[str, str]:
    """The normalised and the native finish reason; both empty when there is none."""
    return finish_of(_FINISH_REASONS, native, called=called, answered=answered)


def made_id(attempt: Attempt, slot: int) -> str:
    """Of a call that has none."""
    return "call_" + hashlib.sha256(f"{attempt.generation_id}/{slot}".encode()).hexdigest()[:24]


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, holds no message, or failed before it said anything.
    """
    result = loads_reply(body)
    if is_error(result):
        raise ProviderFailedError(failure_of_event(result))
    reply = result.get("chatResponse")
    if not isinstance(reply, dict):
        raise broken_reply("The reply holds no chat.")
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else reply
    if not isinstance(choice, dict) or not (
        isinstance(choice.get("message"), dict) or isinstance(choice.get("text"), str)
    ):
        raise broken_reply("The reply holds no message.")
    said = said_in(choice)
    gathered = GatheredBlocks(prepared.answer_tool, REASONING_FORMAT)
    for thought in said.thoughts:
        gathered.add_thought(thought, None)
    for text in said.texts:
        gathered.add_text(text)
    for slot, call in enumerate(said.calls):
        gathered.add_call(call.id or made_id(attempt, slot), call.name, call.arguments or "{}")
    facts = ReplyFacts()
    made = gathered.message()
    facts.usage = usage_of(reply.get("usage")) or usage_of(choice.get("usage"))
    facts.upstream_id = label(reply.get("id"))
    facts.has_content = any(made.values())
    finish = ending_of(choice.get("finishReason"), called=bool(gathered.calls), answered=gathered.answered)
    if finish[0] == "error" and not facts.has_content:
        raise ProviderFailedError(failure_of_finish(finish[1], reply.get("errorMessage")))
    facts.finish_reason, facts.native_finish_reason = finish
    return whole_reply(attempt, facts, [whole_choice(0, made, finish, prepared)]), facts


def _contents(content: Any) -> tuple[list[str], list[str]]:
    if isinstance(content, str):
        return [content], []
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("type") == "TEXT" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part.get("type") == "THINKING" and isinstance(part.get("thinking"), str):
            thoughts.append(part["thinking"])
    return texts, thoughts


def _call(call: Mapping[str, Any]) -> SaidCall:
    function = call.get("function")
    held: Mapping[str, Any] = function if isinstance(function, dict) else call
    arguments = held.get("arguments", held.get("parameters"))
    text = arguments if isinstance(arguments, str) else dumps_reply(arguments or {}).decode() if arguments else ""
    place = call.get("index")
    return SaidCall(label(call.get("id")), label(held.get("name")), text, place if type(place) is int else None)
