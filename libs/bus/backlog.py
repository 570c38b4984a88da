"""What the spool holds and the event log has not taken yet: on disk always, the newest of it in memory too.

Owns the reading of segments, the acknowledged place and the deletion of what is behind it. Does not write segments and
does not publish. Invariant: records come out in the order they went in, and the acknowledged place never passes one
that was not acknowledged.
"""

import asyncio
import json
import logging
import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

from libs.bus.port import Record
from libs.bus.segments import (
    READ_BYTES,
    Damage,
    Frame,
    Position,
    SegmentName,
    decode,
    encode,
    read_frames,
    segments_in,
)
from libs.bus.spool_writer import Commit, sync_folder
from libs.logs import facts

_ACKNOWLEDGED = "acknowledged.json"
_REFUSED = "refused.spool"

_log = logging.getLogger(__name__)


class Depth(NamedTuple):
    """What waits for the event log."""

    records: int
    bytes: int


class Batch(NamedTuple):
    """Records in their order, and the place after them."""

    records: list[Record]
    end: Position


class _Read(NamedTuple):
    """A record that was read from a file, and the offset after it."""

    record: Record
    end: int


class _Segment(NamedTuple):
    name: SegmentName
    length: int


class Backlog:
    """All but `open` and `save` belong to the loop's thread.

    Args:
        memory_bytes: how much is also kept in memory; what exceeds it is read from the files again.
    """

    def __init__(self, folder: Path, *, memory_bytes: int, sync: bool) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._sync = sync
        self._segments: dict[int, _Segment] = {}
        self._finished: list[SegmentName] = []
        self._acknowledged = Position(0, 0)
        self._acknowledged_sequence = 0
        self._sequence = 0
        self._fresh: deque[Batch] = deque()
        self._fresh_bytes: deque[int] = deque()
        self._fresh_size = 0
        self._fresh_from = Position(0, 0)
        self._read_ahead: deque[_Read] = deque()
        self._tail = Position(0, 0)
        self._saved = Position(0, 0)
        self._saving = asyncio.Lock()
        self.used_bytes = 0
        self.came = asyncio.Event()
        """Set when records came; whoever waits clears it."""
        self.emptied = asyncio.Event()

    def open(self) -> SegmentName:
        """Finds what an earlier run left, cuts a torn tail, and names the segment to write next; blocks."""
        names = segments_in(self._folder)
        for name in names:
            path = name.in_folder(self._folder)
            if name is names[-1]:
                count, length = _measure(path)
                _cut(path, length)
                self._sequence = name.first_sequence + count
            self._segments[name.number] = _Segment(name, path.stat().st_size)
        self._load_acknowledged()
        if not names:
            self._sequence = self._acknowledged_sequence
        following = SegmentName(max(self._acknowledged.segment, *self._segments, 0) + 1, self._sequence)
        self._fresh_from = self._tail = Position(following.number, 0)
        self.used_bytes = sum(segment.length for segment in self._segments.values())
        if self._sequence == self._acknowledged_sequence:
            self._move(self._tail)
        self._tell()
        return following

    def add(self, commit: Commit) -> None:
        """Takes note of records that are durable now."""
        segment = self._segments.get(commit.segment)
        name = segment.name if segment is not None else SegmentName(commit.segment, self._sequence)
        self._segments[commit.segment] = _Segment(name, commit.end)
        size = commit.end - commit.start
        self.used_bytes += size
        self._sequence += len(commit.entries)
        self._tail = Position(commit.segment, commit.end)
        if self._fresh_size + size > self._memory_bytes:
            self._forget_fresh()
        else:
            self._fresh.append(Batch([entry.record for entry in commit.entries], self._tail))
            self._fresh_bytes.append(size)
            self._fresh_size += size
        self._tell()

    async def take(self, max_records: int) -> Batch | None:
        """The oldest records that are not acknowledged, about `max_records` of them; None when there are none.

        Gives the same again until they are acknowledged.

        Raises:
            OSError: a segment cannot be read now.
        """
        while self._acknowledged < self._fresh_from:
            if not self._read_ahead:
                await self._read()
                continue
            reads = [self._read_ahead[i] for i in range(min(max_records, len(self._read_ahead)))]
            return Batch([read.record for read in reads], Position(self._acknowledged.segment, reads[-1].end))
        records: list[Record] = []
        end = self._acknowledged
        for batch in self._fresh:
            if records and len(records) + len(batch.records) > max_records:
                break
            records.extend(batch.records)
            end = batch.end
        if not records:
            self._tell()
            return None
        return Batch(records, end)

    def acknowledge(self, batch: Batch) -> None:
        """The event log has the batch; what is behind it may go."""
        while self._read_ahead and Position(batch.end.segment, self._read_ahead[0].end) <= batch.end:
            self._read_ahead.popleft()
        while self._fresh and self._fresh[0].end <= batch.end:
            self._fresh.popleft()
            self._fresh_size -= self._fresh_bytes.popleft()
        self._acknowledged_sequence += len(batch.records)
        self._move(batch.end)
        self._tell()

    def refuse(self, record: Record) -> None:
        """Keeps a record that the event log can never take in a file of its own, for a person to look at; blocks."""
        descriptor = os.open(self._folder / _REFUSED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode(record))
            file.flush()
            os.fdatasync(descriptor)

    @property
    def records(self) -> int:
        """How many records wait; after damage an estimate until the end is reached."""
        return self._sequence - self._acknowledged_sequence

    @property
    def depth(self) -> Depth:
        here = self._acknowledged.segment
        later = sum(segment.length for number, segment in self._segments.items() if number > here)
        current = self._segments.get(here)
        rest = current.length - self._acknowledged.offset if current is not None else 0
        return Depth(self.records, later + rest)

    async def save(self) -> None:
        """Remembers the acknowledged place and deletes the segments behind it, if anything changed."""
        async with self._saving:
            if self._acknowledged == self._saved and not self._finished:
                return
            place, finished = self._acknowledged, self._finished
            self._finished = []
            work = asyncio.create_task(asyncio.to_thread(self._save, place, self._acknowledged_sequence, finished))
            try:
                await asyncio.shield(work)
            finally:
                if not work.done():
                    await asyncio.wait({work})  # a thread cannot be cancelled, and two of them must not meet
            self._saved = place

    def _save(self, place: Position, sequence: int, finished: list[SegmentName]) -> None:
        path = self._folder / _ACKNOWLEDGED
        new = path.with_suffix(".new")
        try:
            new.write_text(json.dumps({"segment": place.segment, "offset": place.offset, "sequence": sequence}))
            new.replace(path)
        finally:  # also when the disk is full, for this is what frees it
            for name in finished:
                name.in_folder(self._folder).unlink(missing_ok=True)
        if finished and self._sync:
            sync_folder(self._folder)

    def _load_acknowledged(self) -> None:
        """Where an earlier run was; from the oldest record if that is not known: publishing again does no harm."""
        oldest = min(self._segments, default=0)
        self._acknowledged = Position(oldest, 0)
        self._acknowledged_sequence = self._segments[oldest].name.first_sequence if self._segments else 0
        try:
            saved = json.loads((self._folder / _ACKNOWLEDGED).read_bytes())
            place, sequence = Position(int(saved["segment"]), int(saved["offset"])), int(saved["sequence"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            _log.exception("acknowledged place is unreadable, all of the spool is published again")
            return
        if not self._segments or (place >= self._acknowledged and sequence <= self._sequence):
            self._acknowledged_sequence = sequence
            self._saved = place
            self._move(place)

    def _move(self, place: Position) -> None:
        """Moves the acknowledged place; segments behind it are to be deleted."""
        self._acknowledged = place
        for number in [number for number in self._segments if number < place.segment]:
            segment = self._segments.pop(number)
            self.used_bytes -= segment.length
            self._finished.append(segment.name)

    def _forget_fresh(self) -> None:
        self._fresh.clear()
        self._fresh_bytes.clear()
        self._fresh_size = 0
        self._fresh_from = self._tail

    async def _read(self) -> None:
        """Reads ahead from the acknowledged place, or moves it over what holds no record."""
        place = self._acknowledged
        segment = self._segments.get(place.segment)
        limit = self._fresh_from.offset if place.segment == self._fresh_from.segment else 0
        if segment is not None and place.segment != self._fresh_from.segment:
            limit = segment.length
        if segment is None or place.offset >= limit:
            self._move_to_next_segment()
            return
        path = segment.name.in_folder(self._folder)
        try:
            reads, end = await asyncio.to_thread(_read_stretch, path, place.offset, limit)
        except FileNotFoundError:
            _report(path, place.offset, limit)
            reads, end = [], limit
        if reads:
            self._read_ahead.extend(reads)
        else:
            self._move(Position(place.segment, end))

    def _move_to_next_segment(self) -> None:
        later = min((number for number in self._segments if number > self._acknowledged.segment), default=None)
        if later is None or later > self._fresh_from.segment:
            self._move(self._fresh_from)
            return
        # Damaged stretches make counting drift; each segment's name sets it right.
        self._acknowledged_sequence = self._segments[later].name.first_sequence
        self._move(Position(later, 0))

    def _tell(self) -> None:
        if self._acknowledged < self._tail:
            self.emptied.clear()
            self.came.set()
        else:
            self._acknowledged_sequence = self._sequence  # damage may have made it drift
            self.emptied.set()


def _read_stretch(path: Path, start: int, limit: int) -> tuple[list[_Read], int]:
    """The intact records of a stretch, and where reading goes on; damage is reported and passed over."""
    end = min(limit, start + READ_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        buffer = file.read(end - start)
    reads: list[_Read] = []
    place = start
    for item in read_frames(buffer, base=start, is_last=end == limit):
        if isinstance(item, Damage):
            _report(path, item.start, item.end)
        else:
            try:
                reads.append(_Read(decode(item.payload), item.end))
            except (ValueError, IndexError):  # the checksum holds: nothing of ours wrote this
                _report(path, place, item.end)
        place = item.end
    return reads, limit if end == limit else place


def _measure(path: Path) -> tuple[int, int]:
    """How many intact frames a file holds, and where the last one ends."""
    count = length = place = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            buffer = file.read(READ_BYTES)
            is_last = place + len(buffer) >= size
            for item in read_frames(buffer, base=place, is_last=is_last):
                if isinstance(item, Frame):
                    count += 1
                    length = item.end
                place = item.end
            if is_last:
                break
    return count, length


def _cut(path: Path, length: int) -> None:
    """Cuts a torn tail and space that was allocated ahead."""
    with path.open("r+b") as file:
        file.seek(length)
        if file.read(READ_BYTES).strip(b"\0"):
            _log.warning("spool had a torn tail, cut", extra=facts(file=path.name, at=length))
        file.truncate(length)


def _report(path: Path, start: int, end: int) -> None:
    _log.error("spool is damaged, bytes passed over", extra=facts(file=path.name, start=start, end=end))
