"""Replies of GigaChat in chat's shape.

Owns whole replies and the pieces that streams share with them. Invariant: `finish_reason` is one of chat's words or null,
the provider's own word stands beside it; a call's id holds the id of its state, which goes back with it.

Source: the SDK's `LegacyChatCompletion`: choices, `message` with `function_call`, `functions_state_id`,
`reasoning_content`; finish reasons stop, length, function_call, blacklist, error.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.blocks import GatheredBlocks, finish_of
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.gigachat.errors import failure_of_event, is_error
from services.provider_adapter.protocols.gigachat.messages import STATE
from services.provider_adapter.protocols.gigachat.usage import usage_of
from services.provider_adapter.protocols.openai_chat.response import dumps_reply, whole_choice, whole_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, loads_reply

REASONING_FORMAT = "unknown"
FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "function_call": "tool_calls",
    "blacklist": "content_filter",
    "error": "error",
}

_STATE = re.compile(r"[A-Za-z0-9-]{1,64}")


def call_id_of(state: Any, attempt: Attempt, slot: int) -> str:
    """Of the call's state; where it has none, the same for the same reply."""
    if isinstance(state, str) and _STATE.fullmatch(state) and not slot:
        return STATE + state
    return "call_" + hashlib.sha256(f"{attempt.generation_id}/{slot}".encode()).hexdigest()[:24]


def arguments_of(value: Any) -> str:
    """A call's arguments as text; the provider has an object."""
    if isinstance(value, str):
        return value if value.strip() else "{}"
    return dumps_reply(value).decode() if value is not None else "{}"


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or holds no message.
    """
    reply = loads_reply(body)
    if is_error(reply):
        raise ProviderFailedError(failure_of_event(reply))
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise broken_reply("The reply holds no message.")
    gathered = GatheredBlocks(prepared.answer_tool, REASONING_FORMAT)
    thought, text, call = message.get("reasoning_content"), message.get("content"), message.get("function_call")
    if isinstance(thought, str) and thought:
        gathered.add_thought(thought, None)
    if isinstance(text, str) and text:
        gathered.add_text(text)
    if isinstance(call, dict):
        call_id = call_id_of(message.get("functions_state_id"), attempt, 0)
        gathered.add_call(call_id, call.get("name"), arguments_of(call.get("arguments")))
    facts = ReplyFacts()
    made = gathered.message()
    facts.usage = usage_of(reply.get("usage"))
    facts.has_content = any(made.values())
    finish = finish_of(
        FINISH_REASONS, choice.get("finish_reason"), called=bool(gathered.calls), answered=gathered.answered
    )
    facts.finish_reason, facts.native_finish_reason = finish
    return whole_reply(attempt, facts, [whole_choice(0, made, finish, prepared)]), facts
