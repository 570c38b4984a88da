"""Frames of Amazon's event streams, as the service sends them.

Owns the bytes: prelude, headers of text, payload, both checksums. Invariant: any client of AWS can read them.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

_TEXT = 7
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def frame(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """One frame; `headers` without their colon."""
    written = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    message = b"".join((prelude, struct.pack("!I", zlib.crc32(prelude)), written, payload))
    return message + struct.pack("!I", zlib.crc32(message))


def event(kind: str, value: Mapping[str, Any], place: int = 0) -> bytes:
    """An event; padded, as the service does against guessing from lengths."""
    padded = {**value, "p": _PADDING[: 1 + place * 7 % len(_PADDING)]}
    return frame(orjson.dumps(padded), event_headers(kind))


def event_headers(kind: str) -> dict[str, str]:
    return {"event-type": kind, "content-type": "application/json", "message-type": "event"}


def exception(kind: str, message: str) -> bytes:
    headers = {"exception-type": kind, "content-type": "application/json", "message-type": "exception"}
    return frame(orjson.dumps({"message": message}), headers)


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name) + 1) + b":" + name + struct.pack("!BH", _TEXT, len(value)) + value
