import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from libs.bus.port import HEADER_EVENT_ID, Delivered, EventLog, Record, Rejected
from libs.bus.postgres import PostgresEventLog
from libs.bus.topics import TopicSpec
from libs.pg.embedded import EmbeddedPostgres
from libs.pg.pool import open_pool
from tests.testkit.event_log_conformance import (
    IMPATIENT,
    PATIENT_S,
    EventLogConformance,
    Gathering,
    Subject,
    ids_of,
    record,
    records,
    running,
    until_lag,
)
from tests.testkit.postgres import running_postgres

pytestmark = pytest.mark.postgres
_ROOT = Path(__file__).resolve().parents[3]
_HANGING_CONSUMER = """
import asyncio, sys
from libs.bus.postgres import PostgresEventLog
from libs.pg.pool import open_pool

async def hang(batch):
    print(len(batch), flush=True)
    await asyncio.Event().wait()

async def main():
    async with open_pool(sys.argv[1], application_name="doomed") as pool:
        await PostgresEventLog(pool).consume("t", "ledger", hang)

asyncio.run(main())
"""


class _Postgres:
    def __init__(self, pool: asyncpg.Pool, stack: contextlib.AsyncExitStack) -> None:
        self._pool = pool
        self._stack = stack

    async def open(self) -> EventLog:
        log = PostgresEventLog(self._pool, policy=IMPATIENT, poll_s=0.5)
        self._stack.push_async_callback(log.close)
        return log

    async def create(self, topics: Sequence[str]) -> None:
        log = PostgresEventLog(self._pool)
        await log.ensure_topics([TopicSpec(topic, 4, 168) for topic in topics])


@pytest.fixture
async def pool(database_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(database_dsn, application_name="bus-tests", max_size=16) as pool:
        yield pool


@pytest.fixture
async def log(pool: asyncpg.Pool) -> AsyncIterator[PostgresEventLog]:
    log = PostgresEventLog(pool, policy=IMPATIENT, poll_s=0.1)
    await log.ensure_topics([TopicSpec("t", 4, 168)])
    yield log
    await log.close()


class TestPostgresEventLog(EventLogConformance):
    @pytest.fixture
    async def subject(self, pool: asyncpg.Pool) -> AsyncIterator[Subject]:
        async with contextlib.AsyncExitStack() as stack:
            yield _Postgres(pool, stack)


async def test_publishers_at_once_leave_no_gap_and_readers_pass_nothing_by(
    pool: asyncpg.Pool, log: PostgresEventLog
) -> None:
    writers = [PostgresEventLog(pool) for _ in range(4)]
    seen, watched = Gathering(), Gathering()
    published = [[record("t", f"acct_{w}_{n % 9}", n) for n in range(600)] for w in range(4)]

    async def write(writer: PostgresEventLog, mine: list[Record]) -> None:
        for start in range(0, len(mine), 7):
            await writer.publish(mine[start : start + 7])

    async with running(log.consume("t", "ledger", seen, max_batch=50), log.observe("t", watched.observe, since_ms=0)):
        await asyncio.gather(*(write(w, mine) for w, mine in zip(writers, published, strict=True)))
        await seen.until_count(2400)
        await watched.until_count(2400)
    assert sorted(seen.ids) == sorted(watched.ids) == sorted(ids_of([r for mine in published for r in mine]))
    for partition in range(4):
        offsets = [d.offset for d in seen.taken if d.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_records_of_several_topics_are_published_together_or_not_at_all(log: PostgresEventLog) -> None:
    await log.publish([Record("t", "a", b"1"), Record("u", "a", b"2")])
    with pytest.raises(ValueError, match="cannot hold"):
        await log.publish([Record("t", "a", b"3"), Record("u", "\0", b"4")])
    assert (await log.lag("t", "ledger"), await log.lag("u", "ledger")) == (1, 1)


async def test_topic_whose_first_publish_was_rolled_back_takes_records_all_the_same(log: PostgresEventLog) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        await log.publish([Record("new", "a", b"1"), Record("t", "\0", b"2")])
    await _publish_until_it_works(log, [Record("new", "a", b"1")])
    assert await log.lag("new", "ledger") == 1


async def test_log_without_tables_is_like_one_that_is_away(pool: asyncpg.Pool) -> None:
    with pytest.raises(OSError, match="cannot be reached"):
        await PostgresEventLog(pool).publish([record("t", "a", 1)])


async def test_trim_keeps_what_is_young_and_what_a_group_has_not_committed(log: PostgresEventLog) -> None:
    await log.publish(records("t", 40))
    later_ms = time.time_ns() // 1_000_000 + 60_000
    slow = log.consume("t", "slow", _fail)
    async with running(log.consume("t", "ledger", Gathering()), slow):
        await until_lag(log, "t", "ledger", 0)
        await until_lag(log, "t", "slow", 40)
        assert await log.trim("t", before_ms=later_ms) == 0
    await log.forget_group("t", "slow")
    assert await log.trim("t", before_ms=0) == 0
    assert await log.trim("t", before_ms=later_ms) == 40
    fresh = records("t", 5)
    await log.publish(fresh)
    newcomer = Gathering()
    async with running(log.consume("t", "newcomer", newcomer)):
        await until_lag(log, "t", "newcomer", 0)
    assert sorted(newcomer.ids) == ids_of(fresh)


async def _fail(_: Sequence[Delivered]) -> Sequence[Rejected]:
    raise ConnectionError


async def test_consumer_process_that_is_killed_hands_its_batch_to_another(
    log: PostgresEventLog, database_dsn: str
) -> None:
    published = records("t", 20)
    await log.publish(published)
    command = [sys.executable, "-c", _HANGING_CONSUMER, database_dsn]
    doomed = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE)
    assert doomed.stdout is not None
    assert await doomed.stdout.readline() == b"20\n"
    seen = Gathering()
    async with running(log.consume("t", "ledger", seen)):
        more = [record("t", r.key, 100 + n) for n, r in enumerate(published)]
        await log.publish(more)
        assert seen.ids == []
        doomed.kill()
        await doomed.wait()
        await seen.until_count(40)
    assert sorted(seen.ids) == ids_of(published + more)


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    with running_postgres({"shared_buffers": "64MB"}) as server:
        yield server


async def test_consumers_and_publishers_go_on_after_the_server_restarted(own_server: EmbeddedPostgres) -> None:
    async with open_pool(own_server.dsn, application_name="bus-tests") as pool:
        log = PostgresEventLog(pool, policy=IMPATIENT, poll_s=0.1)
        await log.ensure_topics([])
        seen, watched = Gathering(), Gathering()
        async with running(log.consume("t", "ledger", seen), log.observe("t", watched.observe, since_ms=0)):
            await log.publish(records("t", 10))
            await seen.until_count(10)
            await own_server.stop()
            with pytest.raises(OSError, match="cannot be reached"):
                await log.publish([Record("t", "lost", b"", {HEADER_EVENT_ID: "lost"})])
            await own_server.start()
            await _publish_until_it_works(log, [record("t", f"acct_{n}", 100 + n) for n in range(10)])
            await seen.until(lambda: len(set(seen.ids)) == 20)
            await watched.until(lambda: len(set(watched.ids)) == 20)
        await log.close()


async def _publish_until_it_works(log: PostgresEventLog, published: Sequence[Record]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                await log.publish(published)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return
