"""A conversation as GigaChat's messages.

Owns roles, calls and results. Does not own parameters (request.py). Invariant: the system speaks once, first; a turn of
several calls goes as as many turns of one, each answered at once; content is text.

Sources: the SDK's `LegacyMessage` (roles system, user, assistant, function; `function_call` with an object,
`functions_state_id`, `name` of a result) and LiteLLM's `gigachat/chat/transformation.py` (a result's content is JSON).
Images would have to be uploaded as files of the account first, which this adapter does not do.
"""

import re
from typing import Any

import orjson

from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.conversation import AssistantTurn, Conversation, Part, Result, texts_of
from services.provider_adapter.protocols.plain_words import plain_words

STATE = "gigachat_"
"""Before the provider's own id of a call's state, in the id that chat gives to the call."""

_STATE = re.compile(r"gigachat_([A-Za-z0-9-]{1,64})")

Item = dict[str, Any]


def messages_of(conversation: Conversation, instruction: str = "") -> list[Item]:
    """The messages.

    Args:
        conversation: of the caller.
        instruction: is said by the system after its own words.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    system = [*texts_of(conversation.system), *([instruction] if instruction else [])]
    messages: list[Item] = []
    if system:
        messages.append({"role": "system", "content": "\n\n".join(system)})
    answers: dict[str, Result] = {}
    for place, turn in enumerate(conversation.turns):
        if isinstance(turn, AssistantTurn):
            following = conversation.turns[place + 1] if place + 1 < len(conversation.turns) else None
            answers = {} if isinstance(following, AssistantTurn | None) else _answers(turn, following.results)
            messages += _said(turn, answers)
            continue
        # Results of calls that nobody made have no form: what they say is the user's.
        messages += [{"role": "user", "content": _text(r.parts)} for r in turn.results if r.call_id not in answers]
        text = _text(turn.parts)
        if text:
            messages.append({"role": "user", "content": text})
        answers = {}
    if messages and not conversation.turns:
        # Instructions alone are a request too, but hardly in this format.
        messages[0]["role"] = "user"
    return messages


def _answers(turn: AssistantTurn, results: list[Result]) -> dict[str, Result]:
    called = {call.id for call in turn.calls}
    return {result.call_id: result for result in results if result.call_id in called}


def _said(turn: AssistantTurn, answers: dict[str, Result]) -> list[Item]:
    text = "\n\n".join(texts_of(turn.parts))
    if not turn.calls:
        return [{"role": "assistant", "content": text}] if text else []
    said: list[Item] = []
    for place, call in enumerate(turn.calls):
        message: Item = {
            "role": "assistant",
            "content": "" if place else text,
            "function_call": {"name": call.name, "arguments": call.arguments},
        }
        state = _STATE.fullmatch(call.id)
        if state:
            message["functions_state_id"] = state[1]
        said.append(message)
        answer = answers.get(call.id)
        if answer is not None:
            said.append({"role": "function", "name": call.name, "content": _result(answer)})
    return said


def _result(result: Result) -> str:
    """What a function gave, as JSON: an object as it is, anything else as one."""
    text = _text(result.parts)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    return text if isinstance(value, dict) else write_body({"result": text}).decode()


def _text(parts: list[Part]) -> str:
    return plain_words(parts, "images, sound or files that are not text")
