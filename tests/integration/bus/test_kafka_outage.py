"""Kafka dies as by a power cut and comes back, while the product goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from libs.bus.kafka import KafkaEventLog
from libs.bus.kafka_process import KafkaProcess
from libs.bus.port import Delivered, Record, Rejected
from libs.bus.spool import Spool
from libs.bus.topics import TopicSpec
from tests.testkit.event_log_conformance import PATIENT_S, Gathering, record, running
from tests.testkit.kafka import guarded, running_kafka

pytestmark = pytest.mark.kafka
_TOPIC = "test.outage.v1"


@pytest.fixture
def node() -> Iterator[KafkaProcess]:
    with running_kafka() as node:
        yield node


async def test_nothing_is_lost_or_stuck_when_the_broker_is_killed_again_and_again(
    node: KafkaProcess, tmp_path: Path
) -> None:
    log = KafkaEventLog(node.bootstrap_servers, client_id="outage")
    await log.ensure_topics([TopicSpec(_TOPIC, 4, 1)])
    spool = await Spool.open(tmp_path / "spool")
    handled, seen = Gathering(), Gathering()
    appended: list[Record] = []

    async def append(count: int) -> None:
        more = [record(_TOPIC, f"acct_{n % 7}", len(appended) + n) for n in range(count)]
        appended.extend(more)
        async with asyncio.TaskGroup() as group:
            for one in more:
                group.create_task(spool.append(one))

    def has_all(gathering: Gathering) -> bool:
        return set(gathering.ids) >= {r.event_id for r in appended}

    consumers = (log.consume(_TOPIC, "ledger", handled), log.observe(_TOPIC, seen.observe, since_ms=0))
    async with running(*consumers, spool.forward(log)):
        await append(300)
        await handled.until(lambda: has_all(handled))
        for _ in range(2):
            await append(100)  # in flight while the broker dies
            await asyncio.to_thread(node.kill)
            await append(200)
            assert spool.depth.records >= 200
            await asyncio.to_thread(node.start)
            with guarded(node, node.data_dir.parent):
                await node.wait_ready()
                await append(100)
                await handled.until(lambda: has_all(handled))
                await seen.until(lambda: has_all(seen))
        assert await spool.drain(PATIENT_S)
    assert {d.record.event_id for d in handled.taken} == {r.event_id for r in appended}
    await log.close()
    await spool.close()


async def test_log_that_is_away_says_so_and_ends_its_consumers_soon(node: KafkaProcess) -> None:
    log = KafkaEventLog(node.bootstrap_servers, client_id="outage", publish_timeout_s=1.0)
    await log.ensure_topics([TopicSpec(_TOPIC, 4, 1)])
    await log.publish([record(_TOPIC, "acct_1", 1)])
    reached = asyncio.Event()

    async def handle(_: Sequence[Delivered]) -> Sequence[Rejected]:
        reached.set()
        return ()

    async with running(log.consume(_TOPIC, "ledger", handle)):
        await reached.wait()
        await asyncio.to_thread(node.kill)
        with pytest.raises(OSError, match="Kafka cannot be reached"):
            await log.publish([record(_TOPIC, "acct_1", 2)])
        with pytest.raises(OSError, match="Kafka cannot be reached"):
            await log.lag(_TOPIC, "ledger")
    async with asyncio.timeout(PATIENT_S):
        await log.close()
