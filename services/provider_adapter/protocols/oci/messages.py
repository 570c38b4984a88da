"""A conversation in Oracle's words, for each of its kinds of chat.

Owns roles, contents, calls and results. Does not own parameters (request.py). Invariant: images go as data; no content
that the service wants filled is empty; a result stands after its call.

Sources: Oracle's SDK (`UserMessage`, `CohereMessageV2`, `CohereUserMessage` and theirs; an image's `url` is its data),
langchain-oci's `providers/cohere.py` (what is said beside calls is never empty; outputs of calls are objects; no message
where there are results) and LiteLLM's `oci/chat` (calls of the generic kind are flat, with arguments as text).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.attachments import attachment_of
from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.conversation import (
    AssistantTurn,
    Call,
    Conversation,
    Part,
    Result,
    UserTurn,
    texts_of,
)
from services.provider_adapter.protocols.oci.forms import Form
from services.provider_adapter.protocols.plain_words import plain_words

_BLANK = " "
_DETAILS = frozenset({"auto", "low", "high"})

Item = dict[str, Any]


class Turns(NamedTuple):
    """What Cohere's first kind of chat has in the stead of messages; empty where there is nothing to say."""

    message: str
    history: list[Item]
    preamble: str
    results: list[Item]


def messages_of(conversation: Conversation, form: Form) -> list[Item]:
    """The messages, in the generic kind or Cohere's second.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    messages: list[Item] = []
    system = texts_of(conversation.system)
    if system:
        # Instructions alone are a request too, but not every model takes them so.
        role = "SYSTEM" if conversation.turns else "USER"
        messages.append({"role": role, "content": [_text(text) for text in system]})
    for turn in conversation.turns:
        if isinstance(turn, AssistantTurn):
            messages += _said(turn, form)
            continue
        for result in turn.results:
            content = [_text(_words(result.parts) or _BLANK)]
            messages.append({"role": "TOOL", "toolCallId": result.call_id, "content": content})
        content = [item for part in turn.parts for item in _content(part, form)]
        if content:
            messages.append({"role": "USER", "content": content})
    return messages


def turns_of(conversation: Conversation) -> Turns:
    """The conversation in Cohere's first kind of chat.

    Raises:
        ProviderFailedError: a part has no form here, or the model spoke last.
    """
    preamble = "\n\n".join(texts_of(conversation.system))
    if not conversation.turns:
        return Turns(preamble, [], "", [])
    history: list[Item] = []
    calls: dict[str, Call] = {}
    for turn in conversation.turns[:-1]:
        if isinstance(turn, AssistantTurn):
            calls = {call.id: call for call in turn.calls}
            history += _spoken(turn)
            continue
        results = _results(turn, calls)
        if results:
            history.append({"role": "TOOL", "toolResults": results})
        text = _words(turn.parts)
        if text:
            history.append({"role": "USER", "message": text})
    last = conversation.turns[-1]
    if not isinstance(last, UserTurn):
        raise cannot_carry("a reply that is to be continued")
    return Turns(_words(last.parts), history, preamble, _results(last, calls))


def _said(turn: AssistantTurn, form: Form) -> list[Item]:
    content = [_text(text) for text in texts_of(turn.parts)]
    if not turn.calls:
        return [{"role": "ASSISTANT", "content": content}] if content else []
    if form is Form.GENERIC:
        message: Item = {"role": "ASSISTANT", "toolCalls": [_call(call) for call in turn.calls]}
        return [{**message, "content": content} if content else message]
    nested = [{"id": call.id, "type": "FUNCTION", "function": _named(call)} for call in turn.calls]
    return [{"role": "ASSISTANT", "content": content or [_text(_BLANK)], "toolCalls": nested}]


def _call(call: Call) -> Item:
    return {"id": call.id, "type": "FUNCTION", **_named(call)}


def _named(call: Call) -> Item:
    return {"name": call.name, "arguments": write_body(call.arguments).decode()}


def _spoken(turn: AssistantTurn) -> list[Item]:
    text = "\n\n".join(texts_of(turn.parts))
    if turn.calls:
        calls = [{"name": call.name, "parameters": call.arguments} for call in turn.calls]
        return [{"role": "CHATBOT", "message": text or _BLANK, "toolCalls": calls}]
    return [{"role": "CHATBOT", "message": text}] if text else []


def _results(turn: UserTurn, calls: Mapping[str, Call]) -> list[Item]:
    return [_result(result, calls.get(result.call_id)) for result in turn.results]


def _result(result: Result, call: Call | None) -> Item:
    made = {"name": result.name, "parameters": call.arguments if call is not None else {}}
    return {"call": made, "outputs": [{"output": _words(result.parts)}]}


def _content(part: Part, form: Form) -> list[Item]:
    if part.get("type") == "text":
        return [_text(text) for text in texts_of([part])]
    attachment = attachment_of(part)
    if attachment is None:
        return []
    if not attachment.mime_type.startswith("image/"):
        return [_text(_words([part]))]
    if not attachment.data:
        raise cannot_carry("images by their address")
    image: Item = {"url": f"data:{attachment.mime_type};base64,{attachment.data}"}
    given = part.get("image_url")
    detail = given.get("detail") if isinstance(given, dict) else None
    if detail in _DETAILS:
        image["detail"] = detail.upper()
    return [{"type": "IMAGE" if form is Form.GENERIC else "IMAGE_URL", "imageUrl": image}]


def _text(text: str) -> Item:
    return {"type": "TEXT", "text": text}


def _words(parts: list[Part]) -> str:
    """What parts say where nothing but text is taken."""
    return plain_words(parts, "images in this place, sound, or files that are not text")
