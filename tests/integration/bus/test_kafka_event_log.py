import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence

import pytest

from libs.bus.kafka import KafkaEventLog
from libs.bus.port import Delivered, EventLog, Record, Rejected
from libs.bus.topics import TopicSpec
from tests.testkit.event_log_conformance import (
    IMPATIENT,
    PATIENT_S,
    EventLogConformance,
    Gathering,
    Subject,
    ids_of,
    records,
    running,
    until_lag,
)

pytestmark = pytest.mark.kafka


class _Kafka:
    def __init__(self, servers: str, stack: contextlib.AsyncExitStack) -> None:
        self._servers = servers
        self._stack = stack

    async def open(self) -> EventLog:
        log = KafkaEventLog(self._servers, client_id="bus-tests", policy=IMPATIENT)
        self._stack.push_async_callback(log.close)
        return log

    async def create(self, topics: Sequence[str]) -> None:
        log = KafkaEventLog(self._servers, client_id="bus-tests")
        await log.ensure_topics([TopicSpec(topic, 4, 168) for topic in topics])
        await log.close()


class TestKafkaEventLog(EventLogConformance):
    @pytest.fixture
    async def subject(self, kafka_servers: str) -> AsyncIterator[Subject]:
        async with contextlib.AsyncExitStack() as stack:
            yield _Kafka(kafka_servers, stack)


@pytest.fixture
async def log(kafka_servers: str) -> AsyncIterator[KafkaEventLog]:
    log = KafkaEventLog(kafka_servers, client_id="bus-tests", policy=IMPATIENT, publish_timeout_s=5.0)
    yield log
    await log.close()


@pytest.fixture
async def topic(log: KafkaEventLog) -> str:
    name = f"test.{secrets.token_hex(6)}.v1"
    await log.ensure_topics([TopicSpec(name, 4, 168)])
    return name


async def test_handler_that_outlasts_a_rebalance_loses_its_batch_to_nobody(log: KafkaEventLog, topic: str) -> None:
    published = records(topic, 40)
    await log.publish(published)
    reached, dropped = asyncio.Event(), asyncio.Event()

    async def hang(_: Sequence[Delivered]) -> Sequence[Rejected]:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            dropped.set()
            raise
        return ()

    seen = Gathering()
    async with asyncio.timeout(PATIENT_S), running(log.consume(topic, "ledger", hang)) as hanging:
        await reached.wait()
        async with running(log.consume(topic, "ledger", seen)):
            await dropped.wait()
            hanging[0].cancel()
            await until_lag(log, topic, "ledger", 0)
    assert sorted(seen.ids) == ids_of(published)


async def test_record_that_is_too_large_is_refused_and_others_still_go(log: KafkaEventLog, topic: str) -> None:
    with pytest.raises(ValueError, match="does not take"):
        await log.publish([Record(topic, "a", bytes(1_100_000))])
    await log.publish(records(topic, 3))
    assert await log.lag(topic, "ledger") == 3


async def test_topic_that_does_not_exist_is_like_a_log_that_is_away(log: KafkaEventLog) -> None:
    missing = KafkaEventLog(log._bootstrap_servers, client_id="bus-tests", publish_timeout_s=0.5)
    with pytest.raises(OSError, match="Kafka"):
        await missing.publish([Record("no.such.topic", "a", b"")])
    with pytest.raises(OSError, match="no topic"):
        await missing.lag("no.such.topic", "ledger")
    await missing.close()


async def test_large_publish_is_split_into_batches_that_the_broker_takes(log: KafkaEventLog, topic: str) -> None:
    published = [Record(topic, "acct_1", bytes(100_000), {"event-id": str(n)}) for n in range(30)]
    await log.publish(published)
    seen = Gathering()
    async with running(log.consume(topic, "ledger", seen)):
        await seen.until_count(30)
    assert seen.ids == [str(n) for n in range(30)]
