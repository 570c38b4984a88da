import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from libs.bus.memory import MemoryEventLog
from libs.bus.port import HEADER_EVENT_ID, Record
from libs.bus.segments import encode
from libs.bus.spool import Spool, SpoolSettings
from libs.errors import AppError
from libs.retry import Backoff

_TOPIC = "t"
_PATIENT_S = 20.0
_QUICK = Backoff(first_s=0.001, cap_s=0.01)


def _settings(**changes: int | bool) -> SpoolSettings:
    chosen: dict[str, int | bool] = {"segment_bytes": 4096, "max_bytes": 1024**2, **changes}
    return SpoolSettings(linger_s=0.0, backoff=_QUICK, **chosen)  # type: ignore[arg-type]


def _record(number: int, size: int = 50) -> Record:
    return Record(_TOPIC, "acct_1", b"x" * size, {HEADER_EVENT_ID: str(number)})


async def _append(spool: Spool, numbers: range, size: int = 50) -> None:
    for number in numbers:
        await spool.append(_record(number, size))


@contextlib.asynccontextmanager
async def _opened(folder: Path, settings: SpoolSettings | None = None) -> AsyncIterator[Spool]:
    spool = await Spool.open(folder, settings or _settings())
    try:
        yield spool
    finally:
        await spool.close()


@contextlib.asynccontextmanager
async def _forwarding(spool: Spool, log: "MemoryEventLog | _Flaky | _Picky") -> AsyncIterator[None]:
    task = asyncio.create_task(spool.forward(log))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _ids(log: MemoryEventLog) -> list[int]:
    return [int(r.event_id) for r in log.records(_TOPIC)]


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


class _Flaky(MemoryEventLog):
    """Takes the records, then says that it did not, every other time."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    async def publish(self, records: Sequence[Record]) -> None:
        await super().publish(records)
        self._calls += 1
        if self._calls % 2:
            raise ConnectionError


class _Picky(MemoryEventLog):
    async def publish(self, records: Sequence[Record]) -> None:
        if any(r.event_id == "13" for r in records):
            raise ValueError("never that one")
        await super().publish(records)


async def test_appended_records_reach_the_log_in_order(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(300))
        assert await spool.drain(_PATIENT_S)
        assert spool.depth == (0, 0)
    assert _ids(log) == list(range(300))


async def test_many_appenders_at_once_all_get_through(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await asyncio.gather(*(spool.append(_record(n)) for n in range(2000)))
        assert await spool.drain(_PATIENT_S)
    assert sorted(_ids(log)) == list(range(2000))


async def test_records_left_by_an_earlier_run_are_published_first(tmp_path: Path) -> None:
    async with _opened(tmp_path) as spool:
        await _append(spool, range(100))
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool:
        assert spool.depth.records == 100
        await _append(spool, range(100, 150))
        async with _forwarding(spool, log):
            assert await spool.drain(_PATIENT_S)
    assert _ids(log) == list(range(150))


async def test_acknowledged_records_are_not_published_again_after_a_restart(tmp_path: Path) -> None:
    log = MemoryEventLog()
    for start in (0, 30, 60):
        async with _opened(tmp_path) as spool, _forwarding(spool, log):
            await _append(spool, range(start, start + 30))
            assert await spool.drain(_PATIENT_S)
    async with _opened(tmp_path) as spool:
        assert spool.depth == (0, 0)
    assert _ids(log) == list(range(90))


async def test_acknowledged_segments_are_deleted(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool:
        await _append(spool, range(500))
        assert len(_segments(tmp_path)) > 5
        async with _forwarding(spool, log):
            assert await spool.drain(_PATIENT_S)
    assert len(_segments(tmp_path)) == 1


async def test_unreadable_acknowledgement_publishes_again_rather_than_losing(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(10))
        assert await spool.drain(_PATIENT_S)
    (tmp_path / "acknowledged.json").write_text("{")
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(10, 20))
        assert await spool.drain(_PATIENT_S)
    assert set(_ids(log)) == set(range(20))


async def test_log_that_is_away_is_waited_for(tmp_path: Path) -> None:
    log = MemoryEventLog()
    log.go_down()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(50))
        assert not await spool.drain(0.05)
        assert spool.depth.records == 50
        assert spool.depth.bytes == sum(len(encode(_record(n))) for n in range(50))
        log.come_back()
        assert await spool.drain(_PATIENT_S)
    assert _ids(log) == list(range(50))


async def test_log_that_fails_every_other_time_gets_everything(tmp_path: Path) -> None:
    log = _Flaky()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(200))
        assert await spool.drain(_PATIENT_S)
    assert set(_ids(log)) == set(range(200))


async def test_backlog_beyond_memory_is_read_from_the_files_in_order(tmp_path: Path) -> None:
    log = MemoryEventLog()
    log.go_down()
    async with _opened(tmp_path, _settings(memory_bytes=2000, max_batch=7)) as spool, _forwarding(spool, log):
        await _append(spool, range(300))
        log.come_back()
        await _append(spool, range(300, 600))
        assert await spool.drain(_PATIENT_S)
    assert _ids(log) == list(range(600))


async def test_full_spool_refuses_and_takes_again_when_drained(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path, _settings(max_bytes=20_000)) as spool:
        with pytest.raises(AppError) as refused:
            await _append(spool, range(1000), size=500)
        assert refused.value.reason == "SPOOL_FULL"
        assert refused.value.http_status == 503
        stored = spool.depth.records
        assert sum(path.stat().st_size for path in _segments(tmp_path)) < 30_000
        async with _forwarding(spool, log):
            assert await spool.drain(_PATIENT_S)
            await spool.append(_record(1000, 500))
            assert await spool.drain(_PATIENT_S)
    assert _ids(log) == [*range(stored), 1000]


async def test_second_process_is_refused(tmp_path: Path) -> None:
    async with _opened(tmp_path):
        with pytest.raises(AppError, match="Another process") as refused:
            await Spool.open(tmp_path)
    assert refused.value.reason == "SPOOL_IN_USE"
    async with _opened(tmp_path):
        pass


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record(_TOPIC, "k", bytes(1_000_000)), "EVENT_TOO_LARGE"),
        (Record(_TOPIC, "k", bytes(5_000_000)), "EVENT_INVALID"),
        (Record(_TOPIC, "\ud800", b""), "EVENT_INVALID"),
        (Record(_TOPIC, "k", b"", {"a": {1}}), "EVENT_INVALID"),  # type: ignore[dict-item]
    ],
)
async def test_record_that_cannot_be_stored_is_refused(tmp_path: Path, record: Record, reason: str) -> None:
    async with _opened(tmp_path) as spool:
        with pytest.raises(AppError) as refused:
            await spool.append(record)
        assert refused.value.reason == reason
        assert spool.depth.records == 0


async def test_disk_that_does_not_keep_up_refuses(tmp_path: Path) -> None:
    async with _opened(tmp_path, _settings(max_unwritten_bytes=1000)) as spool:
        outcomes = await asyncio.gather(*(spool.append(_record(n)) for n in range(100)), return_exceptions=True)
        refused = [o for o in outcomes if o is not None]
        assert {o.reason for o in refused if isinstance(o, AppError)} == {"SPOOL_BUSY"}
        assert spool.depth.records == 100 - len(refused) > 0


async def test_closed_spool_refuses_and_kept_what_was_on_its_way(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path, _settings())
    on_the_way = [asyncio.ensure_future(spool.append(_record(n))) for n in range(50)]
    await asyncio.sleep(0)
    await spool.close()
    await asyncio.gather(*on_the_way)
    with pytest.raises(AppError, match="shutting down"):
        await spool.append(_record(50))
    async with _opened(tmp_path) as again:
        assert again.depth.records == 50


async def test_appender_that_is_cancelled_disturbs_nobody(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        tasks = [asyncio.ensure_future(spool.append(_record(n))) for n in range(20)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [n for n, outcome in enumerate(outcomes) if outcome is not None] in ([3], [])
        assert await spool.drain(_PATIENT_S)
    assert set(_ids(log)) >= set(range(20)) - {3}


async def test_without_sync_records_survive_a_restart_all_the_same(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path, _settings(sync=False)) as spool:
        await _append(spool, range(100))
    async with _opened(tmp_path, _settings(sync=False)) as spool, _forwarding(spool, log):
        assert await spool.drain(_PATIENT_S)
    assert _ids(log) == list(range(100))


async def test_torn_tail_is_cut_wherever_it_tore(tmp_path: Path) -> None:
    frame = len(encode(_record(0)))
    for case, torn in enumerate((1, 11, 12, frame - 1)):
        folder = tmp_path / str(case)
        async with _opened(folder) as spool:
            await _append(spool, range(4))
        segment = _segments(folder)[-1]
        segment.write_bytes(segment.read_bytes()[: 3 * frame + torn] + bytes(1000))
        log = MemoryEventLog()
        async with _opened(folder) as spool:
            assert segment.stat().st_size == 3 * frame
            assert spool.depth == (3, 3 * frame)
            await _append(spool, range(10, 12))
            async with _forwarding(spool, log):
                assert await spool.drain(_PATIENT_S)
        assert _ids(log) == [0, 1, 2, 10, 11]


async def test_damage_in_the_middle_costs_only_the_record_it_hit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = len(encode(_record(0)))
    async with _opened(tmp_path) as spool:
        await _append(spool, range(100))
    first, *_, last = _segments(tmp_path)
    for segment in (first, last):
        data = bytearray(segment.read_bytes())
        data[frame + 30] ^= 0xFF
        segment.write_bytes(data)
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(100, 110))
        assert await spool.drain(_PATIENT_S)
        assert spool.depth == (0, 0)
    in_last = 100 - int(last.name.split("-")[1].removesuffix(".spool"))
    assert _ids(log) == [n for n in range(110) if n not in {1, 100 - in_last + 1}]
    assert sum("damaged" in message for message in caplog.messages) == 2


async def test_segment_that_disappeared_does_not_stop_the_others(tmp_path: Path) -> None:
    async with _opened(tmp_path) as spool:
        await _append(spool, range(100))
    _segments(tmp_path)[1].unlink()
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        assert await spool.drain(_PATIENT_S)
    assert _ids(log)[0] == 0
    assert _ids(log)[-1] == 99


async def test_record_that_the_log_never_takes_is_set_aside(tmp_path: Path) -> None:
    log = _Picky()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await asyncio.gather(*(spool.append(_record(n)) for n in range(30)))
        assert await spool.drain(_PATIENT_S)
    assert _ids(log) == [n for n in range(30) if n != 13]
    assert (tmp_path / "refused.spool").read_bytes() == encode(_record(13))


async def test_disk_that_is_full_is_reported_and_the_spool_recovers(tmp_path: Path) -> None:
    log = MemoryEventLog()
    async with _opened(tmp_path) as spool, _forwarding(spool, log):
        await _append(spool, range(10))
        with _file_size_limit(100):
            with pytest.raises(AppError) as refused:
                await _append(spool, range(1000, 1100))
            assert refused.value.reason == "SPOOL_DISK"
            assert isinstance(refused.value.__cause__, OSError)
        await _append(spool, range(10, 40))
        assert await spool.drain(_PATIENT_S)
        assert spool.depth == (0, 0)
    assert [n for n in _ids(log) if n < 1000] == list(range(40))


@contextlib.contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let files grow beyond it, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
