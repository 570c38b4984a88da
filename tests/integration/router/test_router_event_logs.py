"""What routers tell one another and their next life goes through both event logs."""

import pytest
from switchyard.events.v1 import usage_recorded_pb2 as events

from libs.bus.kafka import KafkaEventLog
from libs.bus.port import HEADER_EVENT_ID, EventLog, Record
from libs.bus.postgres import PostgresEventLog
from libs.bus.topics import USAGE, all_specs
from libs.clock import ManualClock, SystemClock
from libs.lifecycle import running
from libs.metrics import Metrics
from libs.pg.pool import open_pool
from services.router.consumers import HealthObserver, UsageObserver
from services.router.core.health import Health
from services.router.core.history import BUCKET_S
from services.router.handlers import RouterHandlers
from services.router.publisher import CATCH_UP_S, HealthPublisher
from tests.testkit.api import eventually

X = "x/acme/one"


@pytest.mark.postgres
async def test_restarted_router_learns_of_the_day_through_postgresql(database_dsn: str) -> None:
    async with open_pool(database_dsn, application_name="router-tests", max_size=8) as pool:
        log = PostgresEventLog(pool)
        await log.ensure_topics(all_specs())
        try:
            await restart(log)
        finally:
            await log.close()


@pytest.mark.kafka
async def test_restarted_router_learns_of_the_day_through_kafka(kafka_servers: str) -> None:
    log = KafkaEventLog(kafka_servers, client_id="router-tests")
    try:
        await log.ensure_topics(all_specs())
        await restart(log)
    finally:
        await log.close()


def usage(endpoint_id: str, at_ms: int) -> Record:
    attempt = events.AttemptRecord(
        endpoint_id=endpoint_id, outcome=events.ATTEMPT_OUTCOME_SUCCEEDED, started_at_ms=at_ms, first_event_ms=50
    )
    value = events.UsageRecorded(attempts=[attempt]).SerializeToString()
    return Record(USAGE.name, "acct_1", value, {HEADER_EVENT_ID: "gen-1"})


async def restart(event_log: EventLog) -> None:
    """A router publishes five minutes; another one starts when usage of them is not read any more."""
    real_ms = SystemClock().now_ms()
    endpoint_id = f"{X}/{real_ms}"
    then, now = ManualClock(real_ms - 20 * 60_000), ManualClock(real_ms)
    first = RouterHandlers(Health(), then)
    publisher = HealthPublisher(first, event_log, then, Metrics(), router_id=f"router_{real_ms}", luck=0)
    observer = UsageObserver(first, event_log, then)
    await event_log.publish([usage(endpoint_id, then.now_ms())] * 120)

    async def first_knows() -> bool:
        return first.figures(endpoint_id).uptime_30m == 100

    async with running({"usage": observer.run}):
        await eventually(first_knows)
    then.advance(BUCKET_S + CATCH_UP_S)
    await publisher.look()
    again = RouterHandlers(Health(), now)

    async def again_knows() -> bool:
        return again.figures(endpoint_id).latency_s is not None

    async with running({"health": HealthObserver(again, event_log, now).run}):
        await eventually(again_knows)
    shown = again.figures(endpoint_id)
    assert (shown.uptime_5m, shown.uptime_30m, shown.uptime_1d) == (None, 100, 100)
