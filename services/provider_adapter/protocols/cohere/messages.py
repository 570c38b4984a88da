"""A conversation as Cohere's messages: one per turn and one per tool result, files of text as documents.

Owns messages and what becomes a document. Does not own parameters (request.py). Invariant: a turn with calls says what
it has to say in `tool_plan`; no message is empty.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.attachments import Attachment, attachment_of, text_of
from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.conversation import (
    AssistantTurn,
    Conversation,
    Part,
    Result,
    UserTurn,
    texts_of,
)

REASONING_FORMAT = "cohere-chat-v2"
TOOL_PLAN = "tool_plan"

_DETAILS = frozenset({"auto", "low", "high"})
_NOTHING = "{}"

Item = dict[str, Any]


class Words(NamedTuple):
    """What was said, and what to cite from."""

    messages: list[Item]
    documents: list[Item]


def words_of(conversation: Conversation, *, thinks: bool, cites: bool) -> Words:
    """The messages and the documents.

    Args:
        conversation: of the caller.
        thinks: the model takes its earlier thoughts back.
        cites: documents may stand beside the messages; else their text stands in them.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    words = Words([], [])
    system = texts_of(conversation.system)
    if system:
        words.messages.append({"role": "system", "content": _content([_text(text) for text in system])})
    for turn in conversation.turns:
        if isinstance(turn, UserTurn):
            words.messages.extend(_result(result) for result in turn.results)
            _add_user(words, turn.parts, cites=cites)
        else:
            _add_assistant(words, turn, thinks=thinks)
    if words.messages and not conversation.turns:
        # Instructions alone are a request too, but not in this format.
        words.messages[0]["role"] = "user"
    return words


def _add_user(words: Words, parts: list[Part], *, cites: bool) -> None:
    items: list[Item] = []
    cites = cites and bool(texts_of(parts))
    for part in parts:
        if part.get("type") == "text":
            items.extend(_text(text) for text in texts_of([part]))
            continue
        attachment = attachment_of(part)
        if attachment is None:
            continue
        if attachment.mime_type.startswith("image/"):
            items.append(_image(attachment, part))
        elif cites:
            words.documents.append(_document(attachment))
        else:
            items.append(_text(_inline(attachment)))
    if items:
        words.messages.append({"role": "user", "content": _content(items)})


def _add_assistant(words: Words, turn: AssistantTurn, *, thinks: bool) -> None:
    thoughts, plan = _recalled(turn.details)
    items: list[Item] = [{"type": "thinking", "thinking": text} for text in thoughts] if thinks else []
    texts = texts_of(turn.parts)
    message: Item = {"role": "assistant"}
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": write_body(call.arguments).decode()},
            }
            for call in turn.calls
        ]
        told = [plan, *texts] if plan else texts
        if told:
            message["tool_plan"] = "\n".join(told)
    else:
        items.extend(_text(text) for text in texts)
    if items:
        message["content"] = _content(items)
    if len(message) > 1:
        words.messages.append(message)


def _recalled(details: list[Mapping[str, Any]]) -> tuple[list[str], str]:
    """Earlier thoughts, block by block, and the plan before calls; streams give both in pieces."""
    blocks: dict[Any, list[str]] = {}
    plan: list[str] = []
    for detail in details:
        text = detail.get("text")
        if detail.get("format") != REASONING_FORMAT or not isinstance(text, str):
            continue
        if detail.get("id") == TOOL_PLAN:
            plan.append(text)
        else:
            blocks.setdefault(str(detail.get("index")), []).append(text)
    return ["".join(texts) for texts in blocks.values()], "".join(plan)


def _result(result: Result) -> Item:
    items: list[Item] = []
    for part in result.parts:
        if part.get("type") == "text":
            items.extend(_text(text) for text in texts_of([part]))
            continue
        attachment = attachment_of(part)
        if attachment is None:
            continue
        if attachment.mime_type.startswith("image/"):
            raise cannot_carry("images in tool results")
        items.append({"type": "document", "document": _document(attachment)})
    return {"role": "tool", "tool_call_id": result.call_id, "content": _content(items) if items else _NOTHING}


def _content(items: list[Item]) -> str | list[Item]:
    """A single text as a string: every model takes that."""
    if len(items) == 1 and items[0]["type"] == "text":
        text: str = items[0]["text"]
        return text
    return items


def _text(text: str) -> Item:
    return {"type": "text", "text": text}


def _image(attachment: Attachment, part: Part) -> Item:
    if attachment.file_id:
        raise cannot_carry("files by their id")
    url = attachment.url or f"data:{attachment.mime_type};base64,{attachment.data}"
    image: Item = {"url": url}
    given = part.get("image_url")
    detail = given.get("detail") if isinstance(given, dict) else None
    if detail in _DETAILS:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _document(attachment: Attachment) -> Item:
    data = {"text": _read(attachment)}
    if attachment.name:
        data["title"] = attachment.name
    return {"data": data}


def _inline(attachment: Attachment) -> str:
    text = _read(attachment)
    return f"{attachment.name}:\n{text}" if attachment.name else text


def _read(attachment: Attachment) -> str:
    if attachment.kind in {"input_audio", "video_url"}:
        raise cannot_carry("sound or video")
    if attachment.file_id:
        raise cannot_carry("files by their id")
    text = text_of(attachment)
    if text is None:
        raise cannot_carry(f"files of type {attachment.mime_type}")
    return text
