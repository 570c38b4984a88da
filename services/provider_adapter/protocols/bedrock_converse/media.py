"""Images, documents, sound and video as Converse's blocks.

Owns their formats and the names of documents. Does not fetch anything. Invariant: what goes out is bytes the caller
sent; an address goes to nobody, for the provider would read it with the operator's rights.
"""

import re
from typing import Any, Final

from services.provider_adapter.protocols.attachments import Attachment
from services.provider_adapter.protocols.chat_body import cannot_carry

IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_IMAGES = {kind: kind.removeprefix("image/") for kind in IMAGE_TYPES} | {"image/jpg": "jpeg"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
    "application/json": "txt",
}
_SOUNDS = {
    "mpeg": "mp3",
    "mp3": "mp3",
    "wav": "wav",
    "wave": "wav",
    "x-wav": "wav",
    "flac": "flac",
    "x-flac": "flac",
    "ogg": "ogg",
    "opus": "opus",
    "aac": "aac",
    "mp4": "m4a",
    "m4a": "m4a",
    "x-m4a": "m4a",
    "webm": "webm",
    "pcm": "pcm",
}
_VIDEOS = {
    "mp4": "mp4",
    "quicktime": "mov",
    "mov": "mov",
    "x-matroska": "mkv",
    "webm": "webm",
    "x-flv": "flv",
    "mpeg": "mpeg",
    "mpg": "mpg",
    "x-ms-wmv": "wmv",
    "3gpp": "three_gp",
}
_LONGEST_NAME = 180
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9\-()\[\]]+")


class Documents:
    """Names for the documents of one request: in the provider's alphabet, and each another."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, given: str) -> str:
        stem = given.rpartition(".")[0] or given
        plain = _UNNAMEABLE.sub(" ", stem).strip()[:_LONGEST_NAME].strip() or "document"
        name, count = plain, 1
        while name in self._taken:
            count += 1
            name = f"{plain} ({count})"
        self._taken.add(name)
        return name


def media_block(attachment: Attachment, documents: Documents) -> dict[str, Any]:
    """The block of an attachment.

    Raises:
        ProviderFailedError: it has no form here.
    """
    if attachment.file_id:
        raise cannot_carry("files by their id")
    if attachment.url or not attachment.data:
        raise cannot_carry("media by address")
    kind, _, form = attachment.mime_type.partition("/")
    source = {"bytes": attachment.data}
    if kind == "image":
        return {"image": {"format": _known(_IMAGES, attachment.mime_type, attachment), "source": source}}
    if kind == "audio":
        return {"audio": {"format": _known(_SOUNDS, form, attachment), "source": source}}
    if kind == "video":
        return {"video": {"format": _known(_VIDEOS, form, attachment), "source": source}}
    document = "txt" if kind == "text" else ""
    document = _DOCUMENTS.get(attachment.mime_type, document) or _known(_DOCUMENTS, attachment.mime_type, attachment)
    return {"document": {"format": document, "name": documents.name(attachment.name), "source": source}}


def _known(formats: dict[str, str], name: str, attachment: Attachment) -> str:
    found = formats.get(name)
    if found is None:
        raise cannot_carry(f"media of type {attachment.mime_type}")
    return found
