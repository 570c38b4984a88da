"""A conversation as Gemini's contents: parts, calls with their signatures, results by name.

Owns parts. Does not own parameters (request.py). Invariant: a thought signature goes back on the part it came with, as
it came.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.attachments import Attachment, attachment_of
from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.conversation import (
    AssistantTurn,
    Call,
    Conversation,
    Part,
    Result,
    UserTurn,
    texts_of,
)
from services.provider_adapter.protocols.reasoning_details import is_of

REASONING_FORMAT = "google-gemini-v1"
MINTED_PREFIX = "call_gm_"
IMAGE_PREFIX = "image_"
# Google's own word for calls that another model made, or a client that lost the signature.
_NO_SIGNATURE = "skip_thought_signature_validator"

_OPENER: Mapping[str, str] = {"text": "."}

GeminiPart = dict[str, Any]


class Door(NamedTuple):
    """What one way to Gemini's models takes, where the ways differ.

    Attributes:
        path: before `/models/…`.
        ids: whether calls and their responses have ids; without, names and order tell which is which.
        files: beginnings of addresses under which Google keeps files for this door.
    """

    path: str = ""
    ids: bool = True
    files: tuple[str, ...] = ("files/", "https://generativelanguage.googleapis.com/", "gs://")


GEMINI_API = Door()


def system_parts(conversation: Conversation) -> list[GeminiPart]:
    return [{"text": text} for text in texts_of(conversation.system)]


def content_list(conversation: Conversation, door: Door, *, signs_calls: bool) -> list[dict[str, Any]]:
    """The contents, user and model in turn.

    Args:
        conversation: the turns.
        door: where they go.
        signs_calls: calls that lost their signature get a substitute.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    contents: list[dict[str, Any]] = []
    for turn in conversation.turns:
        if isinstance(turn, UserTurn):
            role, parts = "user", _user_parts(turn, door)
        else:
            role, parts = "model", _model_parts(turn, door, signs_calls=signs_calls)
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"].extend(parts)
        else:
            contents.append({"role": role, "parts": parts})
    if contents and contents[0]["role"] == "model" and any("functionCall" in part for part in contents[0]["parts"]):
        # A call comes after somebody asked; what was asked has been cut off.
        contents.insert(0, {"role": "user", "parts": [dict(_OPENER)]})
    return contents


def _user_parts(turn: UserTurn, door: Door) -> list[GeminiPart]:
    parts = [_response(result, door) for result in turn.results]
    seen = [part for result in turn.results for part in result.parts if part.get("type") != "text"]
    made = [_part(part, door) for part in [*seen, *turn.parts]]
    parts.extend(part for part in made if part is not None)
    return parts


def _model_parts(turn: AssistantTurn, door: Door, *, signs_calls: bool) -> list[GeminiPart]:
    signatures = _signatures(turn)
    parts: list[GeminiPart] = [{"text": text} for text in texts_of(turn.parts)]
    if parts and None in signatures:
        parts[-1]["thoughtSignature"] = signatures[None]
    for place, part in enumerate(filter(None, (_part(image, door) for image in turn.images))):
        signature = signatures.get(f"{IMAGE_PREFIX}{place}")
        parts.append({**part, "thoughtSignature": signature} if signature else part)
    for call in turn.calls:
        made: GeminiPart = {"functionCall": _call(call, door)}
        if call.id in signatures:
            made["thoughtSignature"] = signatures[call.id]
        elif call is turn.calls[0] and signs_calls:
            # Of parallel calls only the first is signed.
            made["thoughtSignature"] = (None if parts else signatures.get(None)) or _NO_SIGNATURE
        parts.append(made)
    return parts


def _signatures(turn: AssistantTurn) -> dict[str | None, str]:
    """Signatures by the call that they belong to; None is the text's."""
    known = {call.id for call in turn.calls} | {f"{IMAGE_PREFIX}{place}" for place in range(len(turn.images))}
    found: dict[str | None, str] = {}
    for detail in turn.details:
        data = detail.get("data")
        if detail.get("type") == "reasoning.encrypted" and is_of(detail, REASONING_FORMAT):
            owner = detail.get("id")
            if isinstance(data, str) and data:
                found[owner if isinstance(owner, str) and owner in known else None] = data
    return found


def _call(call: Call, door: Door) -> dict[str, Any]:
    return {**_own_id(call.id, door), "name": call.name, "args": call.arguments}


def _response(result: Result, door: Door) -> GeminiPart:
    text = "\n".join(texts_of(result.parts))
    return {
        "functionResponse": {
            **_own_id(result.call_id, door),
            "name": result.name,
            "response": {"error": text} if result.missing else {"output": text},
        }
    }


def _own_id(call_id: str, door: Door) -> dict[str, str]:
    """Ids that we made up mean nothing to the provider."""
    return {"id": call_id} if door.ids and not call_id.startswith(MINTED_PREFIX) else {}


def _part(part: Part, door: Door) -> GeminiPart | None:
    if part.get("type") == "text":
        text = part.get("text")
        return {"text": text} if isinstance(text, str) and text else None
    attachment = attachment_of(part)
    if attachment is None:
        return None
    if attachment.data:
        return {"inlineData": {"mimeType": attachment.mime_type, "data": attachment.data}}
    return _file(attachment, part, door)


def _file(attachment: Attachment, part: Mapping[str, Any], door: Door) -> GeminiPart | None:
    if attachment.file_id:
        if not attachment.file_id.startswith(door.files):
            raise cannot_carry("files by another provider's id")
        told = {"mimeType": attachment.mime_type} if attachment.file_id.startswith("gs://") else {}
        return {"fileData": {**told, "fileUri": attachment.file_id}}
    if not attachment.url:
        return None
    if part.get("type") == "video_url":
        return {"fileData": {"fileUri": attachment.url}}
    return {"fileData": {"mimeType": attachment.mime_type, "fileUri": attachment.url}}
