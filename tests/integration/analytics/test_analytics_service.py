"""The whole service on a real database: an event goes in at the log, the record comes out at the RPC."""

import asyncio

import asyncpg
import pytest
from switchyard.analytics.v1 import analytics_pb2 as pb
from switchyard.analytics.v1.analytics_pb2_grpc import AnalyticsServiceStub

from libs.bus.memory import MemoryEventLog
from libs.bus.port import dead_letter_topic
from libs.clock import ManualClock
from libs.errors import AppError
from libs.lifecycle import running
from libs.metrics import Metrics
from libs.rpc.in_process import InProcessChannel
from libs.rpc.methods import MethodTable
from services.analytics.main import build
from tests.testkit.analytics import NOW_MS, TOPIC, delivered, generation_event
from tests.testkit.postgres import eventually

pytestmark = pytest.mark.postgres


async def test_published_event_becomes_a_record_and_a_broken_one_a_dead_letter(pool: asyncpg.Pool) -> None:
    log = MemoryEventLog()
    service = build(pool, log, clock=ManualClock(NOW_MS), metrics=Metrics())
    table = MethodTable()
    assert service.add_servicers is not None
    service.add_servicers(table)
    stub = AnalyticsServiceStub(InProcessChannel(table))
    event = generation_event()
    request = pb.GetGenerationRequest(account_id=event.account_id, generation_id=event.generation_id)
    with pytest.raises(AppError, match="was not found"):
        await stub.GetGeneration(request)

    records = [delivered(event).record, delivered(b"\xff").record, delivered(event).record]
    async with running(service.background):
        await log.publish(records)
        async with asyncio.timeout(10):
            await eventually(lambda: _caught_up(log))
    assert (await stub.GetGeneration(request)).record == event
    [dead] = log.records(dead_letter_topic(TOPIC, "analytics"))
    assert (dead.value, dead.headers["dead-reason"]) == (b"\xff", "not a UsageRecorded message")
    assert await pool.fetchval("SELECT sum(requests) FROM analytics.daily_activity") == 1
    await log.close()


async def _caught_up(log: MemoryEventLog) -> bool:
    return await log.lag(TOPIC, "analytics") == 0
