"""Images, files, sound and video in chat's content parts.

Owns the reading of data URLs and of the shapes in which chat carries media. Does not fetch anything and does not
decode what it need not. Invariant: a part that holds no media gives None, never an exception.
"""

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

_MOST_HEADER_CHARACTERS = 512
_BINARY = "application/octet-stream"
_MIME = re.compile(r"[a-z0-9.+*-]{1,64}/[a-z0-9.+*-]{1,128}")
_AUDIO = {"mp3": "audio/mpeg", "m4a": "audio/mp4", "pcm16": "audio/pcm"}


class Attachment(NamedTuple):
    """Media of one part.

    Attributes:
        mime_type: lower case; a guess where the caller did not say.
        data: base64, as the caller sent it; empty when `url` says where it is.
        url: an address that is not a data URL.
        file_id: a name under which somebody keeps the file.
    """

    kind: str
    mime_type: str
    data: str = ""
    url: str = ""
    name: str = ""
    file_id: str = ""


def attachment_of(part: Mapping[str, Any]) -> Attachment | None:
    """The media that a chat content part holds."""
    kind = part.get("type")
    if not isinstance(kind, str):
        return None
    value = part.get(kind)
    if kind in {"image_url", "video_url"}:
        url = value.get("url") if isinstance(value, dict) else value
        default = "image/jpeg" if kind == "image_url" else "video/mp4"
        return _at(kind, url, default, "") if isinstance(url, str) else None
    if kind == "input_audio" and isinstance(value, dict) and isinstance(value.get("data"), str):
        return _sound(value["data"], value.get("format"))
    if kind == "file" and isinstance(value, dict):
        return _file(value)
    return None


def text_of(attachment: Attachment) -> str | None:
    """What a text file says; None if it is none."""
    if not attachment.data or not attachment.mime_type.startswith("text/"):
        return None
    try:
        return base64.b64decode(attachment.data).decode()
    except (binascii.Error, ValueError):
        return None


def _file(value: Mapping[str, Any]) -> Attachment | None:
    name = value.get("filename") if isinstance(value.get("filename"), str) else ""
    assert isinstance(name, str)
    default = mimetypes.guess_type(name)[0] or "application/pdf"
    data = value.get("file_data")
    if isinstance(data, str) and data:
        if data[:5].lower() == "data:" or _is_address(data):
            return _at("file", data, default, name)
        return Attachment("file", default, data=data, name=name)
    file_id = value.get("file_id")
    if isinstance(file_id, str) and file_id:
        return Attachment("file", default, name=name, file_id=file_id)
    return None


def _sound(data: str, form: Any) -> Attachment:
    if data[:5].lower() == "data:" or _is_address(data):
        return _at("input_audio", data, "audio/wav", "")
    form = form if isinstance(form, str) and form else "wav"
    return Attachment("input_audio", _AUDIO.get(form, f"audio/{form}"), data=data)


def _at(kind: str, url: str, default: str, name: str) -> Attachment:
    if url[:5].lower() != "data:":
        guessed = mimetypes.guess_type(urlsplit(url).path)[0] if _is_address(url) else None
        return Attachment(kind, guessed or default, url=url, name=name)
    comma = url.find(",", 5, _MOST_HEADER_CHARACTERS)
    if comma < 0:
        return Attachment(kind, default, data="", name=name)
    header, payload = url[5:comma].lower(), url[comma + 1 :]
    mime_type = header.partition(";")[0].strip()
    if not _MIME.fullmatch(mime_type):
        mime_type = default
    if header.endswith(";base64"):
        data = unquote_to_bytes(payload).decode("ascii", "replace") if "%" in payload else payload
    else:
        data = base64.b64encode(unquote_to_bytes(payload)).decode()
    return Attachment(kind, default if mime_type == _BINARY else mime_type, data=data, name=name)


def _is_address(text: str) -> bool:
    head = text[:8].lower()
    if not head.startswith(("http://", "https://", "gs://")):
        return False
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True
