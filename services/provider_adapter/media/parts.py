"""The media of a chat body: which are named by address, and the body with the bytes in their place.

Owns the walk over messages. Fetches nothing. Invariant: nothing but the named address in a part changes; a body that
names none is given back as the same bytes.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from services.provider_adapter.protocols.attachments import Attachment, attachment_of
from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.port import MediaNeeds

_SCHEMES = (b"http", b"HTTP", b"Http")
_SOUNDS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/mp4": "m4a"}


class Wanted(NamedTuple):
    """One part whose media has to be fetched.

    Attributes:
        part: of the body, to be changed in place.
        place: where it is, in words for the caller.
    """

    part: dict[str, Any]
    attachment: Attachment
    place: str


class Media(NamedTuple):
    """What was fetched."""

    mime_type: str
    data: bytes


def may_name_media(body: bytes, needs: MediaNeeds) -> bool:
    """Whether it is worth reading the body: most hold words alone, or the bytes themselves."""
    if not any(word in body for word in _SCHEMES):
        return False
    return any(b'"' + kind.encode() + b'"' in body for kind in needs.kinds)


def wanted_in(body: Any, needs: MediaNeeds) -> list[Wanted]:
    """The parts whose media the format wants as bytes and the body names by address."""
    return [found for found in _parts(body) if needs.wants(found.attachment)]


def put(found: Wanted, media: Media) -> None:
    """Puts the bytes in the stead of the address."""
    kind = found.attachment.kind
    data = base64.b64encode(media.data).decode()
    url = f"data:{media.mime_type};base64,{data}"
    held = found.part.get(kind)
    match kind:
        case "input_audio":
            form = _SOUNDS.get(media.mime_type, media.mime_type.rpartition("/")[2])
            found.part[kind] = {**(held if isinstance(held, dict) else {}), "data": data, "format": form}
        case "file":
            found.part[kind] = {**(held if isinstance(held, dict) else {}), "file_data": url}
        case _:
            found.part[kind] = {**held, "url": url} if isinstance(held, dict) else {"url": url}


def read(body: bytes) -> Any:
    """The body as a value; None when it is none: others say so."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def write(body: Any) -> bytes:
    return write_body(body)


def _parts(body: Any) -> Iterator[Wanted]:
    messages = body.get("messages") if isinstance(body, dict) else None
    for place, message in enumerate(messages if isinstance(messages, list) else ()):
        content: Any = message.get("content") if isinstance(message, Mapping) else None
        for inner, part in enumerate(content if isinstance(content, list) else ()):
            attachment = attachment_of(part) if isinstance(part, dict) else None
            if attachment is not None:
                yield Wanted(part, attachment, f"messages[{place}].content[{inner}]")
