"""What every event log must do, as one suite: subclass it and give it a `subject`.

Owns the port's promises as tests. Does not know any implementation. Invariant: each test uses topics of its own.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import pytest

from libs.bus.delivery import HEADER_DEAD_OFFSET, HEADER_DEAD_PARTITION, HEADER_DEAD_TOPIC, DeliveryPolicy
from libs.bus.port import (
    HEADER_DEAD_REASON,
    HEADER_EVENT_ID,
    Delivered,
    EventLog,
    Handler,
    Record,
    Rejected,
    dead_letter_topic,
)
from libs.retry import Backoff

PATIENT_S = 30.0
IMPATIENT = DeliveryPolicy(backoff=Backoff(first_s=0.01, cap_s=0.1), attempts=2, finish_s=1.0)


class Subject(Protocol):
    """One store, as many processes of the product would see it."""

    async def open(self) -> EventLog:
        """Another view of the same store; the subject closes it after the test."""
        ...

    async def create(self, topics: Sequence[str]) -> None:
        """Makes topics of several partitions."""
        ...


def record(topic: str, key: str, number: int) -> Record:
    return Record(topic, key, f"{key}:{number}".encode(), {HEADER_EVENT_ID: f"{key}-{number}", "text": "ünïcode"})


def records(topic: str, count: int, keys: int = 20) -> list[Record]:
    return [record(topic, f"acct_{number % keys}", number) for number in range(count)]


class Gathering:
    """A handler that remembers what it took, and fails or rejects as it is told."""

    def __init__(self, handle: Handler | None = None) -> None:
        self.batches: list[list[Delivered]] = []
        self._handle = handle
        self._changed = asyncio.Event()

    async def __call__(self, batch: Sequence[Delivered]) -> Sequence[Rejected]:
        rejected = await self._handle(batch) if self._handle is not None else ()
        indices = {r.index for r in rejected}
        self.batches.append([delivered for index, delivered in enumerate(batch) if index not in indices])
        self._changed.set()
        return rejected

    async def observe(self, batch: Sequence[Delivered]) -> None:
        await self(batch)

    @property
    def taken(self) -> list[Delivered]:
        return [delivered for batch in self.batches for delivered in batch]

    @property
    def ids(self) -> list[str]:
        return [delivered.record.event_id for delivered in self.taken]

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not enough():
                self._changed.clear()
                await self._changed.wait()

    async def until_count(self, count: int) -> None:
        await self.until(lambda: len(self.taken) >= count)


@contextlib.asynccontextmanager
async def running(*consumers: object) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs consumers for the length of the block; cancels them afterwards and waits."""
    tasks = [asyncio.ensure_future(consumer) for consumer in consumers]  # type: ignore[call-overload]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=PATIENT_S)


async def until_lag(log: EventLog, topic: str, group: str, wanted: int) -> None:
    async with asyncio.timeout(PATIENT_S):
        while await log.lag(topic, group) != wanted:  # noqa: ASYNC110 (a log does not tell when a group commits)
            await asyncio.sleep(0.01)


def ids_of(published: Sequence[Record]) -> list[str]:
    return sorted(r.event_id for r in published)


class EventLogConformance:
    @pytest.fixture
    def subject(self) -> Subject:
        raise NotImplementedError

    @pytest.fixture
    async def log(self, subject: Subject) -> EventLog:
        return await subject.open()

    @pytest.fixture
    async def topic(self, subject: Subject) -> str:
        name = f"test.{secrets.token_hex(6)}.v1"
        await subject.create([name, dead_letter_topic(name, "ledger")])
        return name

    async def test_records_of_one_key_arrive_in_order_and_whole(self, log: EventLog, topic: str) -> None:
        published = records(topic, 200)
        for start in range(0, 200, 50):
            await log.publish(published[start : start + 50])
        seen = Gathering()
        async with running(log.consume(topic, "ledger", seen, max_batch=30)):
            await seen.until_count(200)
        by_id = {r.event_id: r for r in published}
        assert sorted(seen.ids) == ids_of(published)
        assert all(d.record == by_id[d.record.event_id] for d in seen.taken)
        for key in {r.key for r in published}:
            arrived = [d.record.event_id for d in seen.taken if d.record.key == key]
            assert arrived == [r.event_id for r in published if r.key == key]

    async def test_batches_are_never_larger_than_asked_for(self, log: EventLog, topic: str) -> None:
        await log.publish(records(topic, 50))
        seen = Gathering()
        async with running(log.consume(topic, "ledger", seen, max_batch=7)):
            await seen.until_count(50)
        assert max(len(batch) for batch in seen.batches) <= 7

    async def test_places_are_unique_and_times_are_now(self, log: EventLog, topic: str) -> None:
        before_ms = time.time_ns() // 1_000_000
        await log.publish(records(topic, 40))
        seen = Gathering()
        async with running(log.consume(topic, "ledger", seen)):
            await seen.until_count(40)
        after_ms = time.time_ns() // 1_000_000
        assert len({(d.partition, d.offset) for d in seen.taken}) == 40
        assert all(before_ms - 5 <= d.published_at_ms <= after_ms + 5 for d in seen.taken)

    async def test_nothing_published_is_fine(self, log: EventLog, topic: str) -> None:
        await log.publish([])
        assert await log.lag(topic, "ledger") == 0

    async def test_empty_value_and_bare_headers_survive(self, log: EventLog, topic: str) -> None:
        bare = Record(topic, "", b"", {})
        await log.publish([bare])
        seen = Gathering()
        async with running(log.consume(topic, "ledger", seen)):
            await seen.until_count(1)
        assert seen.taken[0].record == bare

    async def test_every_group_gets_everything(self, log: EventLog, topic: str) -> None:
        published = records(topic, 60)
        first, second = Gathering(), Gathering()
        async with running(log.consume(topic, "ledger", first), log.consume(topic, "analytics", second)):
            await log.publish(published)
            await first.until_count(60)
            await second.until_count(60)
        assert sorted(first.ids) == sorted(second.ids) == ids_of(published)

    async def test_two_consumers_of_one_group_share_the_work(self, subject: Subject, topic: str) -> None:
        writer, left, right = [await subject.open() for _ in range(3)]
        first, second = Gathering(_slow), Gathering(_slow)
        published: list[Record] = []
        async with running(
            left.consume(topic, "ledger", first, max_batch=5), right.consume(topic, "ledger", second, max_batch=5)
        ):
            async with asyncio.timeout(PATIENT_S):
                while not (first.taken and second.taken):
                    more = [record(topic, f"acct_{n}", len(published) + n) for n in range(40)]
                    published += more
                    await writer.publish(more)
                    await until_lag(writer, topic, "ledger", 0)
            steady = records(topic, 200, keys=40)
            before = len(first.taken), len(second.taken)
            await writer.publish(steady)
            await until_lag(writer, topic, "ledger", 0)
        assert set(first.ids) | set(second.ids) == set(ids_of(published + steady))
        after = first.ids[before[0] :] + second.ids[before[1] :]
        assert sorted(after) == ids_of(steady), "handled twice although nobody crashed"

    async def test_consumer_gone_before_commit_has_its_batch_delivered_again(
        self, subject: Subject, topic: str
    ) -> None:
        doomed, heir = await subject.open(), await subject.open()
        published = records(topic, 10)
        await doomed.publish(published)
        reached = asyncio.Event()

        async def hang(_: Sequence[Delivered]) -> Sequence[Rejected]:
            reached.set()
            await asyncio.Event().wait()
            return ()

        async with asyncio.timeout(PATIENT_S), running(doomed.consume(topic, "ledger", hang)):
            await reached.wait()
        seen = Gathering()
        async with running(heir.consume(topic, "ledger", seen)):
            await seen.until_count(10)
        assert sorted(seen.ids) == ids_of(published)

    async def test_rejected_record_lands_in_the_dead_letter_topic_with_its_reason(
        self, log: EventLog, topic: str
    ) -> None:
        async def reject(batch: Sequence[Delivered]) -> Sequence[Rejected]:
            return [Rejected(i, "no such account") for i, d in enumerate(batch) if d.record.event_id == "acct_3-3"]

        published = records(topic, 10)
        await log.publish(published)
        seen = Gathering(reject)
        async with running(log.consume(topic, "ledger", seen)):
            await until_lag(log, topic, "ledger", 0)
        dead = await self._dead_letters(log, topic, 1)
        assert len(seen.taken) == 9
        assert dead[0].key == "acct_3"
        assert dead[0].value == b"acct_3:3"
        assert dead[0].event_id == "acct_3-3"
        assert dead[0].headers[HEADER_DEAD_REASON] == "no such account"
        assert dead[0].headers[HEADER_DEAD_TOPIC] == topic
        assert dead[0].headers[HEADER_DEAD_PARTITION].isdigit()
        assert dead[0].headers[HEADER_DEAD_OFFSET].isdigit()

    async def test_transient_failure_is_retried_without_dead_letters(self, log: EventLog, topic: str) -> None:
        failures = iter(range(6))

        async def database_away(_: Sequence[Delivered]) -> Sequence[Rejected]:
            if next(failures, None) is not None:
                raise LookupError("the database is away")
            return ()

        published = records(topic, 10)
        await log.publish(published)
        seen = Gathering(database_away)
        consumer = log.consume(topic, "ledger", seen, is_transient=lambda error: isinstance(error, LookupError))
        async with running(consumer):
            await until_lag(log, topic, "ledger", 0)
        assert sorted(seen.ids) == ids_of(published)
        assert await self._dead_letters(log, topic, 0) == []

    async def test_poison_is_isolated_and_the_rest_goes_on(self, log: EventLog, topic: str) -> None:
        poison = {"acct_5-5", "acct_11-31"}

        async def choke(batch: Sequence[Delivered]) -> Sequence[Rejected]:
            if any(d.record.event_id in poison for d in batch):
                raise ValueError("cannot be handled, and says the secret hunter2")
            return ()

        published = records(topic, 40)
        await log.publish(published)
        seen = Gathering(choke)
        async with running(log.consume(topic, "ledger", seen)):
            await until_lag(log, topic, "ledger", 0)
            await log.publish([record(topic, "acct_5", 1000)])
            await until_lag(log, topic, "ledger", 0)
        dead = await self._dead_letters(log, topic, 2)
        assert {r.event_id for r in dead} == poison
        assert {r.headers[HEADER_DEAD_REASON] for r in dead} == {"ValueError"}
        assert set(seen.ids) == {*ids_of(published), "acct_5-1000"} - poison

    async def test_observer_sees_what_was_published_since_then_and_commits_nothing(
        self, log: EventLog, topic: str
    ) -> None:
        await log.publish(records(topic, 20))
        past = Gathering()
        async with running(log.observe(topic, past.observe, since_ms=0)):
            await past.until_count(20)
        newest_ms = max(d.published_at_ms for d in past.taken)
        await _until_clock_passes(newest_ms)
        later = [record(topic, f"acct_{n}", 100 + n) for n in range(10)]
        await log.publish(later)
        fresh = Gathering()
        async with running(log.observe(topic, fresh.observe, since_ms=newest_ms + 1)):
            await fresh.until_count(10)
            await log.publish([record(topic, "acct_x", 999)])
            await fresh.until_count(11)
        assert sorted(fresh.ids) == sorted([*ids_of(later), "acct_x-999"])
        assert await log.lag(topic, "ledger") == 31

    async def test_observer_that_fails_is_shown_the_batch_again(self, log: EventLog, topic: str) -> None:
        failures = iter(range(1))

        async def stumble(_: Sequence[Delivered]) -> Sequence[Rejected]:
            if next(failures, None) is not None:
                raise RuntimeError("stumbled")
            return ()

        seen = Gathering(stumble)
        await log.publish(records(topic, 5))
        async with running(log.observe(topic, seen.observe, since_ms=0)):
            await seen.until_count(5)
        assert len(seen.ids) == 5

    async def test_lag_counts_what_the_group_has_not_committed(self, log: EventLog, topic: str) -> None:
        assert await log.lag(topic, "ledger") == 0
        await log.publish(records(topic, 25))
        assert await log.lag(topic, "ledger") == 25
        seen = Gathering()
        async with running(log.consume(topic, "ledger", seen)):
            await until_lag(log, topic, "ledger", 0)
        assert len(seen.taken) == 25
        assert await log.lag(topic, "analytics") == 25

    async def test_restarted_consumer_continues_where_it_was(self, subject: Subject, topic: str) -> None:
        log = await subject.open()
        await log.publish(records(topic, 30))
        first = Gathering()
        async with running(log.consume(topic, "ledger", first)):
            await until_lag(log, topic, "ledger", 0)
        later = [record(topic, f"acct_{n}", 500 + n) for n in range(10)]
        await log.publish(later)
        second = Gathering()
        async with running((await subject.open()).consume(topic, "ledger", second)):
            await until_lag(log, topic, "ledger", 0)
        assert len(first.taken) == 30
        assert sorted(second.ids) == ids_of(later)

    async def test_cancelled_consumer_finishes_and_commits_the_batch_in_hand(self, log: EventLog, topic: str) -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_: Sequence[Delivered]) -> Sequence[Rejected]:
            reached.set()
            await go_on.wait()
            return ()

        await log.publish([record(topic, "acct_1", n) for n in range(10)])
        seen = Gathering(wait)
        consumer = asyncio.ensure_future(log.consume(topic, "ledger", seen))
        async with asyncio.timeout(PATIENT_S):
            await reached.wait()
            consumer.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await consumer
        assert len(seen.taken) == 10
        assert await log.lag(topic, "ledger") == 0

    async def test_cancelled_consumer_of_a_failing_handler_ends_soon_and_commits_nothing(
        self, log: EventLog, topic: str
    ) -> None:
        failed = asyncio.Event()

        async def fail(_: Sequence[Delivered]) -> Sequence[Rejected]:
            failed.set()
            raise ConnectionError("away")

        await log.publish(records(topic, 10))
        async with asyncio.timeout(PATIENT_S), running(log.consume(topic, "ledger", fail)) as tasks:
            await failed.wait()
            tasks[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]
        assert await log.lag(topic, "ledger") == 10

    async def test_closing_the_log_ends_its_consumers(self, subject: Subject, topic: str) -> None:
        log, other = await subject.open(), await subject.open()
        seen = Gathering()
        consumers = [
            asyncio.ensure_future(log.consume(topic, "ledger", seen)),
            asyncio.ensure_future(log.observe(topic, seen.observe, since_ms=0)),
        ]
        await other.publish(records(topic, 3))
        await seen.until_count(6)
        async with asyncio.timeout(PATIENT_S):
            await log.close()
            await asyncio.gather(*consumers)

    async def _dead_letters(self, log: EventLog, topic: str, count: int) -> list[Record]:
        name = dead_letter_topic(topic, "ledger")
        assert await log.lag(name, "inspector") == count
        seen = Gathering()
        async with running(log.observe(name, seen.observe, since_ms=0)):
            await seen.until_count(count)
        return [d.record for d in seen.taken]


async def _slow(_: Sequence[Delivered]) -> Sequence[Rejected]:
    await asyncio.sleep(0.002)
    return ()


async def _until_clock_passes(moment_ms: int) -> None:
    while time.time_ns() // 1_000_000 <= moment_ms + 1:  # noqa: ASYNC110 (clocks do not tell)
        await asyncio.sleep(0.001)
