"""The spool's thread: writes what waits, makes it durable, says so; once for all that waited (group commit).

Owns the segment that is being written. Does not read, and knows nothing of the event log. Invariant: an entry is
reported without an error only after its bytes are where a crash of the machine cannot take them (with `sync`).
"""

import contextlib
import errno
import os
import threading
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from libs.bus.port import Record
from libs.bus.segments import SegmentName

_GROUP_BYTES = 1024 * 1024
_GROUP_ENTRIES = 512
_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Entry(NamedTuple):
    frame: bytes
    record: Record
    done: "Future[None]"


class Commit(NamedTuple):
    """What became of a group of entries.

    Attributes:
        segment: number of the file they are in; 0 if there is none.
        start: offset of the group in it.
        end: offset after the group.
        error: why they are not there.
    """

    entries: list[Entry]
    segment: int
    start: int
    end: int
    error: Exception | None


class SpoolWriter:
    """A thread that writes segments.

    Args:
        first: the segment to begin with; it must not exist.
        segment_bytes: size at which a new segment begins; allocated ahead, for syncing into allocated space is faster.
        sync: whether to wait for the disk.
        on_commit: called in the loop's thread.
    """

    def __init__(
        self,
        folder: Path,
        first: SegmentName,
        *,
        segment_bytes: int,
        sync: bool,
        loop: AbstractEventLoop,
        on_commit: Callable[[Commit], None],
    ) -> None:
        self._folder = folder
        self._next = first
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._loop = loop
        self._on_commit = on_commit
        self._waiting: deque[Entry] = deque()
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._idle = False
        self._closing = False
        self._file: int | None = None
        self._segment = 0
        self._offset = 0
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, entry: Entry) -> None:
        """Takes an entry; called in the loop's thread."""
        self._waiting.append(entry)
        if self._idle:
            self._idle = False
            self._signals.put(None)

    def close(self) -> None:
        """Writes what waits and ends the thread; blocks."""
        self._closing = True
        self._signals.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._closing:
                    break
                self._idle = True
                if not self._waiting:  # an entry that came before the flag was up has sent no signal
                    self._signals.get()
                self._idle = False
                continue
            commit = self._write(self._take())
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
                self._loop.call_soon_threadsafe(self._on_commit, commit)
        self._end_segment()

    def _take(self) -> list[Entry]:
        group: list[Entry] = []
        size = 0
        while self._waiting and size < _GROUP_BYTES and len(group) < _GROUP_ENTRIES:
            entry = self._waiting.popleft()
            size += len(entry.frame)
            group.append(entry)
        return group

    def _write(self, group: list[Entry]) -> Commit:
        data = b"".join([entry.frame for entry in group])
        try:
            if self._file is None or (self._offset and self._offset + len(data) > self._segment_bytes):
                self._end_segment()
                self._file = self._begin_segment()
            self._put(self._file, data)
        except Exception as error:  # noqa: BLE001 (the thread's main loop: appenders must hear of everything)
            # What a failed sync left on the disk is unknown: never write behind it.
            self._end_segment()
            return Commit(group, 0, 0, 0, error)
        start = self._offset
        self._offset += len(data)
        self._next = SegmentName(self._next.number, self._next.first_sequence + len(group))
        return Commit(group, self._segment, start, self._offset, None)

    def _put(self, file: int, data: bytes) -> None:
        place = self._offset
        while data:
            written = os.pwrite(file, data, place)
            place += written
            data = data[written:]
        if self._sync:
            os.fdatasync(file)

    def _begin_segment(self) -> int:
        path = self._next.in_folder(self._folder)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                os.posix_fallocate(file, 0, self._segment_bytes)
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise
            if self._sync:
                os.fsync(file)
                sync_folder(self._folder)
        except BaseException:
            os.close(file)
            path.unlink()
            raise
        self._segment = self._next.number
        self._offset = 0
        self._next = SegmentName(self._next.number + 1, self._next.first_sequence)
        return file

    def _end_segment(self) -> None:
        """Gives back the space that was allocated ahead, and cuts off what a failed write left."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._offset)
        with contextlib.suppress(OSError):
            os.close(self._file)
        self._file = None
        if self._offset == 0:
            with contextlib.suppress(OSError):
                SegmentName(self._segment, self._next.first_sequence).in_folder(self._folder).unlink()


def sync_folder(folder: Path) -> None:
    """Makes names that were added to or removed from a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
