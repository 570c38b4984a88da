"""Spools of processes that will not come back: none of their records is lost, none of the living is touched."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from libs.bus.left_behind import forward_left_behind, spools_left_behind
from libs.bus.memory import MemoryEventLog
from libs.bus.port import HEADER_EVENT_ID, Record
from libs.bus.spool import Spool, SpoolSettings
from tests.testkit.postgres import eventually

_SETTINGS = SpoolSettings(linger_s=0.0, sync=False)


async def _leave(folder: Path, *ids: str) -> None:
    """What an edge leaves that ended while the event log was away."""
    spool = await Spool.open(folder, _SETTINGS)
    for event_id in ids:
        await spool.append(Record("t", "acct_1", b"x", {HEADER_EVENT_ID: event_id}))
    await spool.close()


@contextlib.asynccontextmanager
async def _forwarding(folders: Sequence[Path], log: MemoryEventLog) -> AsyncIterator[None]:
    task = asyncio.create_task(forward_left_behind(folders, log, _SETTINGS))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _came(log: MemoryEventLog, *ids: str) -> None:
    await eventually(lambda: {record.event_id for record in log.records("t")} == set(ids), timeout_s=20)


async def test_what_other_edges_left_comes_to_the_event_log_once(tmp_path: Path) -> None:
    await _leave(tmp_path / "edge_proxy-1", "b", "c")
    await _leave(tmp_path / "edge_proxy-2", "d")
    await _leave(tmp_path, "e")
    log = MemoryEventLog()
    for _ in range(2):
        found = spools_left_behind(tmp_path, in_use=[tmp_path / "edge_proxy-0"])
        async with _forwarding(found, log):
            await _came(log, "b", "c", "d", "e")
    assert sorted(record.event_id for record in log.records("t")) == ["b", "c", "d", "e"]


async def test_spools_in_use_and_folders_without_records_are_not_left_behind(tmp_path: Path) -> None:
    await _leave(tmp_path / "edge_proxy-0", "a")
    (tmp_path / "edge_proxy-1").mkdir()
    (tmp_path / "notes.txt").touch()
    assert spools_left_behind(tmp_path, in_use=[tmp_path / "edge_proxy-0"]) == ()
    assert spools_left_behind(tmp_path / "none", in_use=[]) == ()


async def test_a_spool_that_someone_holds_waits_until_it_is_given_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder = await Spool.open(tmp_path, _SETTINGS)
    await holder.append(Record("t", "acct_1", b"x", {HEADER_EVENT_ID: "a"}))
    log = MemoryEventLog()
    async with _forwarding([tmp_path], log):
        await eventually(lambda: "cannot be opened" in caplog.text, timeout_s=20)
        assert log.records("t") == []
        await holder.close()
        await _came(log, "a")
