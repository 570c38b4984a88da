"""A conversation as what a prompt holds: text, images beside it, and maybe messages.

Owns the transcript. Does not own parameters (request.py). Invariant: what was said is told in its order, each speaker by
name; a single question is told as it is.
"""

from typing import Any, NamedTuple

from services.provider_adapter.protocols.attachments import Attachment
from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.conversation import AssistantTurn, Conversation, Part, UserTurn, texts_of
from services.provider_adapter.protocols.plain_words import plain_words


class Told(NamedTuple):
    """What a model is told.

    Attributes:
        images: addresses or data URLs.
        messages: the turns as chat's messages, system apart; of text alone.
    """

    system: str
    prompt: str
    images: list[str]
    messages: list[dict[str, Any]]


def told_by(conversation: Conversation) -> Told:
    """What was said.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    images: list[str] = []
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        if isinstance(turn, UserTurn):
            if turn.results:
                raise cannot_carry("results of tools")
            text, role = _text(turn.parts, images), "user"
        else:
            text, role = _said(turn), "assistant"
        if text:
            messages.append({"role": role, "content": text})
    return Told("\n\n".join(texts_of(conversation.system)), _transcript(messages), images, messages)


def _said(turn: AssistantTurn) -> str:
    if turn.calls:
        raise cannot_carry("calls of tools")
    return "\n\n".join(texts_of(turn.parts))


def _transcript(messages: list[dict[str, Any]]) -> str:
    if len(messages) == 1 and messages[0]["role"] == "user":
        text: str = messages[0]["content"]
        return text
    names = {"user": "User", "assistant": "Assistant"}
    told = [f"{names[message['role']]}: {message['content']}" for message in messages]
    if messages and messages[-1]["role"] == "user":
        told.append("Assistant:")
    return "\n\n".join(told)


def _text(parts: list[Part], images: list[str]) -> str:
    def takes(attachment: Attachment) -> bool:
        is_image = attachment.kind == "image_url"
        if is_image:
            images.append(attachment.url or f"data:{attachment.mime_type};base64,{attachment.data}")
        return is_image

    return plain_words(parts, "sound, video or files that are not text", takes)
