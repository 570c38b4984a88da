"""A conversation as Anthropic's messages: content blocks, tool results first, thinking kept as it was signed.

Owns blocks and the four cache breakpoints. Does not own parameters (request.py). Invariant: no block is empty; a
thinking block goes back exactly as it came, or not at all.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.attachments import Attachment, attachment_of, text_of
from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.conversation import (
    AssistantTurn,
    Conversation,
    Part,
    Result,
    UserTurn,
    has_text,
    plain_id,
)
from services.provider_adapter.protocols.reasoning_details import is_of
from services.provider_adapter.protocols.thoughts import signed_thoughts

REASONING_FORMAT = "anthropic-claude-v1"
MOST_BREAKPOINTS = 4

_OPENER: Mapping[str, Any] = {"type": "text", "text": "."}

Block = dict[str, Any]


def system_blocks(conversation: Conversation) -> list[Block]:
    return [_text(part) for part in conversation.system if has_text(part)]


def message_list(conversation: Conversation) -> list[dict[str, Any]]:
    """The messages; they begin with the user.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        user = isinstance(turn, UserTurn)
        blocks = _user_blocks(turn) if isinstance(turn, UserTurn) else _assistant_blocks(turn)
        if not blocks:
            continue
        role = "user" if user else "assistant"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].extend(blocks)
        else:
            messages.append({"role": role, "content": blocks})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [dict(_OPENER)]})
    _trim_prefill(messages)
    return messages


def begins_with_thinking(message: Mapping[str, Any]) -> bool:
    return message["content"][0]["type"] in {"thinking", "redacted_thinking"}


def limit_breakpoints(blocks: list[Block]) -> None:
    """Takes the earliest `cache_control` marks away until there are four; the later ones cover more."""
    marked = [block for block in blocks if "cache_control" in block]
    for block in marked[: max(0, len(marked) - MOST_BREAKPOINTS)]:
        del block["cache_control"]


def _trim_prefill(messages: list[dict[str, Any]]) -> None:
    """A beginning that the model shall continue must not end in white space."""
    if not messages or messages[-1]["role"] != "assistant":
        return
    last = messages[-1]["content"][-1]
    if last["type"] == "text":
        last["text"] = last["text"].rstrip()


def _user_blocks(turn: UserTurn) -> list[Block]:
    blocks = [_result(result) for result in turn.results]
    blocks.extend(block for block in map(_block, turn.parts) if block is not None)
    return blocks


def _assistant_blocks(turn: AssistantTurn) -> list[Block]:
    said = [_text(part) for part in turn.parts if has_text(part)]
    said.extend(
        {"type": "tool_use", "id": plain_id(call.id), "name": call.name, "input": call.arguments} for call in turn.calls
    )
    # A message that is nothing but thoughts is refused.
    return [*_thinking(turn.details), *said] if said else []


def _thinking(details: list[Mapping[str, Any]]) -> list[Block]:
    return [
        {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
        if thought.signature
        else {"type": "redacted_thinking", "data": thought.data}
        for thought in signed_thoughts(details, _is_own)
    ]


def _is_own(detail: Mapping[str, Any]) -> bool:
    return is_of(detail, REASONING_FORMAT)


def _result(result: Result) -> Block:
    blocks = [block for block in map(_block, result.parts) if block is not None]
    made: Block = {"type": "tool_result", "tool_use_id": plain_id(result.call_id)}
    marks = [block.pop("cache_control") for block in blocks if "cache_control" in block]
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        made["content"] = blocks[0]["text"]
    elif blocks:
        made["content"] = blocks
    if result.missing:
        made["is_error"] = True
    if marks:
        made["cache_control"] = marks[-1]
    return made


def _text(part: Part) -> Block:
    return _marked({"type": "text", "text": part["text"]}, part)


def _marked(block: Block, part: Part) -> Block:
    mark = cache_mark(part.get("cache_control"))
    if mark is not None:
        block["cache_control"] = mark
    return block


def cache_mark(value: Any) -> dict[str, str] | None:
    """A `cache_control` that Anthropic takes; None if it is none."""
    if not isinstance(value, dict) or value.get("type") != "ephemeral":
        return None
    ttl = value.get("ttl")
    return {"type": "ephemeral", "ttl": ttl} if ttl in {"5m", "1h"} else {"type": "ephemeral"}


def _block(part: Part) -> Block | None:
    if part.get("type") == "text":
        return _text(part) if has_text(part) else None
    attachment = attachment_of(part)
    if attachment is None:
        return None
    if attachment.kind in {"input_audio", "video_url"}:
        raise cannot_carry("sound or video")
    if attachment.file_id:
        raise cannot_carry("files by their id")
    if attachment.mime_type.startswith("image/"):
        return _marked({"type": "image", "source": _source(attachment)}, part)
    block: Block = {"type": "document", "source": _document_source(attachment)}
    if attachment.name:
        block["title"] = attachment.name
    return _marked(block, part)


def _source(attachment: Attachment) -> dict[str, str]:
    if attachment.url:
        return {"type": "url", "url": attachment.url}
    # What is commonly said is not what the format knows.
    mime_type = "image/jpeg" if attachment.mime_type == "image/jpg" else attachment.mime_type
    return {"type": "base64", "media_type": mime_type, "data": attachment.data}


def _document_source(attachment: Attachment) -> dict[str, str]:
    text = text_of(attachment)
    if text is not None:
        return {"type": "text", "media_type": "text/plain", "data": text}
    if attachment.data and attachment.mime_type != "application/pdf":
        raise cannot_carry(f"files of type {attachment.mime_type}")
    return _source(attachment)
