"""The spool's files: how records are framed, how a damaged file is read, how segments are named.

Owns bytes and names. Does not own threads, nor what was acknowledged. Invariant: a frame counts only if its checksum
holds, and a damaged stretch never hides an intact frame behind it.

A frame is `magic(4) length(4) crc32(4) payload`, little-endian; the payload is `topic key headers value` behind the
lengths of the first three. Files are allocated ahead, so zeros may follow the last frame.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from libs.bus.port import Record

MAGIC = b"\xf5SYr"
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
HEAD_BYTES = 12
READ_BYTES = MAX_PAYLOAD_BYTES + HEAD_BYTES
"""One read of this size holds at least one whole frame, whatever its length says."""

_HEAD = struct.Struct("<4sII")
_LENGTHS = struct.Struct("<HHI")
_NAME = re.compile(r"(\d{12})-(\d{16})\.spool")


class Position(NamedTuple):
    """A place in the spool; later places are greater."""

    segment: int
    offset: int


class SegmentName(NamedTuple):
    """A file of the spool: segments are numbered in order, sequence numbers count records ever appended."""

    number: int
    first_sequence: int

    def in_folder(self, folder: Path) -> Path:
        return folder / f"{self.number:012d}-{self.first_sequence:016d}.spool"


class Damage(NamedTuple):
    """A stretch of a file that holds no intact frame."""

    start: int
    end: int


class Frame(NamedTuple):
    """An intact frame; `end` is the offset after it."""

    payload: bytes
    end: int


def segments_in(folder: Path) -> list[SegmentName]:
    """The segments of a folder, oldest first."""
    matches = [_NAME.fullmatch(path.name) for path in folder.iterdir()]
    return sorted(SegmentName(int(match[1]), int(match[2])) for match in matches if match is not None)


def encode(record: Record) -> bytes:
    """A record as one frame.

    Raises:
        ValueError: topic or key is longer than 65,535 bytes, the whole is too long, or text that is not valid Unicode.
    """
    topic = record.topic.encode()
    key = record.key.encode()
    headers = orjson.dumps(record.headers)
    if len(topic) > 0xFFFF or len(key) > 0xFFFF:
        raise ValueError("topic or key is too long")
    payload = b"".join((_LENGTHS.pack(len(topic), len(key), len(headers)), topic, key, headers, record.value))
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError("record is too long")
    return _HEAD.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def decode(payload: bytes) -> Record:
    topic_length, key_length, headers_length = _LENGTHS.unpack_from(payload)
    key_start = _LENGTHS.size + topic_length
    headers_start = key_start + key_length
    value_start = headers_start + headers_length
    return Record(
        payload[_LENGTHS.size : key_start].decode(),
        payload[key_start:headers_start].decode(),
        payload[value_start:],
        orjson.loads(payload[headers_start:value_start]),
    )


def read_frames(buffer: bytes, *, base: int, is_last: bool) -> Iterator[Frame | Damage]:
    """Frames of a stretch of a file, and the damage between them; zeros at the very end are neither.

    Args:
        buffer: the stretch, beginning at a frame.
        base: the file's offset of the stretch.
        is_last: whether the file ends with the stretch. If not, what is incomplete at the end is left for the next one.
    """
    place = 0
    damaged_from: int | None = None
    while place < len(buffer):
        payload = _payload_at(buffer, place)
        if payload is not None:
            if damaged_from is not None:
                yield Damage(base + damaged_from, base + place)
                damaged_from = None
            place += HEAD_BYTES + len(payload)
            yield Frame(payload, base + place)
            continue
        if not is_last and len(buffer) - place < READ_BYTES and _may_go_on(buffer, place):
            break
        if damaged_from is None:
            damaged_from = place
        found = buffer.find(MAGIC, place + 1)
        place = found if found >= 0 else len(buffer)
    if damaged_from is not None and (not is_last or buffer[damaged_from:].strip(b"\0")):
        yield Damage(base + damaged_from, base + place)


def _payload_at(buffer: bytes, place: int) -> bytes | None:
    """The payload of the frame that begins here; None if none does that is whole."""
    if len(buffer) - place < HEAD_BYTES:
        return None
    magic, length, checksum = _HEAD.unpack_from(buffer, place)
    end = place + HEAD_BYTES + length
    if magic != MAGIC or length < _LENGTHS.size or end > len(buffer):
        return None
    payload = buffer[place + HEAD_BYTES : end]
    return payload if zlib.crc32(payload) == checksum else None


def _may_go_on(buffer: bytes, place: int) -> bool:
    """Whether a frame may begin here that the end of the buffer cuts."""
    head = buffer[place : place + HEAD_BYTES]
    if len(head) < HEAD_BYTES:
        return MAGIC.startswith(head[:4]) or head.startswith(MAGIC)
    magic: bytes
    length: int
    magic, length, _ = _HEAD.unpack(head)
    return magic == MAGIC and length <= MAX_PAYLOAD_BYTES and place + HEAD_BYTES + length > len(buffer)
