"""The spool: a local file that takes events at once, in front of an event log that may be away for hours.

Owns limits, the folder's lock, and what an appender is told. Writing is `spool_writer`, reading back `backlog`,
publishing `forwarder`. Invariant: once `append` returned, the record will reach the event log, whatever dies meanwhile.
"""

import asyncio
import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from libs.bus.backlog import Backlog, Depth
from libs.bus.forwarder import Forwarder
from libs.bus.port import EventLog, Record
from libs.bus.segments import SegmentName, encode
from libs.bus.spool_writer import Commit, Entry, SpoolWriter
from libs.errors import AppError, Kind
from libs.logs import Throttled
from libs.retry import Backoff

_BACKOFF = Backoff(first_s=0.1, cap_s=2.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Limits of one spool.

    Attributes:
        max_bytes: of records that wait for the event log; more are refused.
        segment_bytes: size of one file; a file is deleted when all of it was taken.
        sync: whether an append survives the death of the machine, or only that of the process.
        max_record_bytes: the largest record; below what Kafka takes in one message.
        memory_bytes: of waiting records that are also kept in memory.
        max_unwritten_bytes: of records that wait for the disk; more are refused.
        linger_s: how long the forwarder lets records gather, for publishing many costs hardly more than one.
        max_batch: records published at once.
        backoff: delays while the event log is away.
    """

    max_bytes: int = 10 * 1024**3
    segment_bytes: int = 16 * 1024**2
    sync: bool = True
    max_record_bytes: int = 900 * 1024
    memory_bytes: int = 16 * 1024**2
    max_unwritten_bytes: int = 64 * 1024**2
    linger_s: float = 0.1
    max_batch: int = 500
    backoff: Backoff = _BACKOFF


class Spool:
    """Opened by `open`, for the running loop; one process per folder."""

    def __init__(self, folder: Path, settings: SpoolSettings, lock: int) -> None:
        self._folder = folder
        self._settings = settings
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog(folder, memory_bytes=settings.memory_bytes, sync=settings.sync)
        self._writer: SpoolWriter | None = None
        self._unwritten_bytes = 0
        self._disk_log = Throttled(_log)
        self._forwarder: Forwarder | None = None

    @classmethod
    async def open(cls, folder: Path, settings: SpoolSettings | None = None) -> "Spool":
        """Opens the folder, makes it if need be, and finds what an earlier run left.

        Raises:
            AppError: SPOOL_IN_USE, another process owns the folder.
            OSError: the folder cannot be used.
        """
        settings = settings or SpoolSettings()
        lock = await asyncio.to_thread(_lock, folder)
        try:
            spool = cls(folder, settings, lock)
            spool._start(await asyncio.to_thread(spool._backlog.open))
        except BaseException:
            os.close(lock)
            raise
        return spool

    def _start(self, first: SegmentName) -> None:
        self._writer = SpoolWriter(
            self._folder,
            first,
            segment_bytes=max(1, min(self._settings.segment_bytes, self._settings.max_bytes // 4)),
            sync=self._settings.sync,
            loop=self._loop,
            on_commit=self._committed,
        )
        self._writer.start()

    async def append(self, record: Record) -> None:
        """Returns when the record is durable. A caller that is cancelled does not know whether it is.

        Raises:
            AppError: SPOOL_FULL, SPOOL_BUSY (the disk does not keep up), SPOOL_DISK (it failed), SPOOL_CLOSED,
                EVENT_TOO_LARGE, EVENT_INVALID.
        """
        frame = self._frame(record)
        size = len(frame)
        if self._writer is None:
            raise AppError(Kind.NO_ROUTE, "SPOOL_CLOSED", "The service is shutting down.", retry_after_s=1.0)
        if self._backlog.used_bytes + self._unwritten_bytes + size > self._settings.max_bytes:
            raise AppError(Kind.NO_ROUTE, "SPOOL_FULL", "Usage cannot be recorded now.", retry_after_s=5.0)
        if self._unwritten_bytes + size > self._settings.max_unwritten_bytes:
            raise AppError(Kind.OVERLOADED, "SPOOL_BUSY", "Usage cannot be recorded fast enough.", retry_after_s=1.0)
        done = self._loop.create_future()
        self._unwritten_bytes += size
        self._writer.submit(Entry(frame, record, done))
        await done

    def _frame(self, record: Record) -> bytes:
        try:
            frame = encode(record)
        except (ValueError, TypeError) as error:
            raise AppError(Kind.INVALID, "EVENT_INVALID", "The event cannot be encoded.") from error
        if len(frame) > self._settings.max_record_bytes:
            raise AppError(Kind.TOO_LARGE, "EVENT_TOO_LARGE", "The event is too large to record.")
        return frame

    def _committed(self, commit: Commit) -> None:
        for entry in commit.entries:
            self._unwritten_bytes -= len(entry.frame)
        if commit.error is None:
            self._backlog.add(commit)
            for entry in commit.entries:
                if not entry.done.done():
                    entry.done.set_result(None)
            return
        self._disk_log.warning("spool cannot write", records=len(commit.entries), error=repr(commit.error))
        for entry in commit.entries:
            if not entry.done.done():
                error = AppError(Kind.NO_ROUTE, "SPOOL_DISK", "Usage cannot be recorded now.", retry_after_s=1.0)
                error.__cause__ = commit.error
                entry.done.set_exception(error)

    async def forward(self, event_log: EventLog) -> None:
        """Publishes what was appended, in order, until cancelled; an event log that is away is tried for ever."""
        if self._forwarder is not None:
            raise RuntimeError("the spool is being forwarded already")
        settings = self._settings
        self._forwarder = Forwarder(
            self._backlog,
            event_log,
            max_batch=settings.max_batch,
            linger_s=settings.linger_s,
            backoff=settings.backoff,
        )
        try:
            await self._forwarder.run()
        finally:
            self._forwarder = None

    async def drain(self, timeout_s: float) -> bool:
        """Waits until the event log took everything; whether it did in time."""
        if self._forwarder is not None:
            self._forwarder.hurry()
        try:
            async with asyncio.timeout(timeout_s):
                await self._backlog.emptied.wait()
        except TimeoutError:
            return self.depth.records == 0
        return True

    @property
    def depth(self) -> Depth:
        """What is durable here and not yet in the event log."""
        return self._backlog.depth

    async def close(self) -> None:
        """Writes what waits and gives the folder free. Cancel `forward` before."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        await asyncio.to_thread(writer.close)
        await asyncio.sleep(0)  # the thread's last reports are in the loop's queue
        await self._backlog.save()
        os.close(self._lock)


def _lock(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise AppError(Kind.CONFLICT, "SPOOL_IN_USE", f"Another process uses the spool in {folder}.") from error
    return lock
