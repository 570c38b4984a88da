"""What routers tell one another and their next life, through the event log."""

from collections.abc import Mapping
from typing import Any

import pytest
from switchyard.common.v1 import tool_calls_pb2 as tool_calls
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.events.v1.endpoint_health_recorded_pb2 import Distribution, EndpointHealthRecorded, EndpointTally

from libs.bus.memory import MemoryEventLog
from libs.bus.port import HEADER_EVENT_ID, HEADER_MESSAGE_TYPE, Delivered, Record
from libs.bus.topics import HEALTH, USAGE
from libs.clock import ManualClock
from libs.metrics import Metrics
from services.router.consumers import HealthObserver, UsageObserver
from services.router.core.health import Grade, Health
from services.router.core.history import BUCKET_S
from services.router.core.sketch import GAMMA
from services.router.core.snapshot import ToolRecord
from services.router.handlers import RouterHandlers
from services.router.publisher import CATCH_UP_S, GRACE_S, SPREAD_S, HealthPublisher
from tests.unit.router.making import NOW_S, X, catalogue, endpoint, model

SETTLED_S = BUCKET_S + GRACE_S + SPREAD_S


class Router:
    """A router that reads and writes an event log only when told to."""

    def __init__(self, log: MemoryEventLog, clock: ManualClock, name: str = "router_1", luck: float = 0.0) -> None:
        self._log = log
        self.clock = clock
        self.metrics = Metrics()
        self.health = Health(seed=name)
        self.handlers = RouterHandlers(self.health, clock)
        self.handlers.offer(catalogue(model([endpoint("x")])))
        self.usage = UsageObserver(self.handlers, log, clock)
        self.others = HealthObserver(self.handlers, log, clock)
        self.publisher = HealthPublisher(self.handlers, log, clock, self.metrics, router_id=name, luck=luck)
        self._read = dict.fromkeys((USAGE.name, HEALTH.name), 0)

    async def read(self) -> None:
        """Reads what is new of both topics."""
        for topic, observer in ((USAGE.name, self.usage.observe), (HEALTH.name, self.others.observe)):
            records = self._log.records(topic)
            new = [Delivered(record, 0, place, 0) for place, record in enumerate(records)][self._read[topic] :]
            self._read[topic] = len(records)
            await observer(new)

    def shown(self) -> tuple[float | None, float | None]:
        figures = self.health.figures(X, self.clock.now_ms() // 1000)
        return figures.uptime_30m, figures.uptime_1d


def usage(
    clock: ManualClock,
    *,
    ok: bool = True,
    endpoint_id: str = X,
    calls: "tool_calls.ToolCallVerdict.ValueType" = tool_calls.TOOL_CALL_VERDICT_UNSPECIFIED,
    finish_reason: str = "stop",
) -> Record:
    attempt = events.AttemptRecord(
        endpoint_id=endpoint_id,
        provider_slug="x",
        tool_calls=calls,
        model="acme/one",
        outcome=events.ATTEMPT_OUTCOME_SUCCEEDED if ok else events.ATTEMPT_OUTCOME_FAILED,
        status=200 if ok else 500,
        first_event_ms=200 if ok else 0,
        total_ms=1000,
        started_at_ms=clock.now_ms() - 1000,
    )
    event = events.UsageRecorded(
        outcome=events.OUTCOME_COMPLETED,
        endpoint_id=endpoint_id,
        finish_reason=finish_reason,
        model="acme/one",
        session_key="conversation",
        has_explicit_session=True,
        attempts=[attempt],
        recorded_at_ms=clock.now_ms(),
    )
    event.usage.completion_tokens = 20
    return Record(USAGE.name, "acct_1", event.SerializeToString(), {HEADER_EVENT_ID: "gen-1"})


async def busy(log: MemoryEventLog, clock: ManualClock, *routers: Router, count: int = 200) -> None:
    """One attempt in ten fails."""
    await log.publish([usage(clock, ok=number % 10 != 0) for number in range(count)])
    for router in routers:
        await router.read()


def started() -> tuple[MemoryEventLog, ManualClock]:
    return MemoryEventLog(), ManualClock(NOW_S * 1000)


async def test_five_minutes_are_published_once_they_are_over() -> None:
    log, clock = started()
    router = Router(log, clock)
    await busy(log, clock, router)
    clock.advance(BUCKET_S + GRACE_S - 1)
    await router.publisher.look()
    assert log.records(HEALTH.name) == []
    clock.advance(1)
    await router.publisher.look()
    await router.publisher.look()
    [record] = log.records(HEALTH.name)
    message = EndpointHealthRecorded.FromString(record.value)
    [tally] = message.endpoints
    assert (message.bucket_start_s, tally.endpoint_id, tally.attempts, tally.failures) == (NOW_S, X, 200, 20)
    assert sum(tally.latency_s.counts) == sum(tally.throughput.counts) == 180
    assert record.key == message.bucket
    assert record.headers[HEADER_EVENT_ID] == message.snapshot_id
    assert record.headers[HEADER_MESSAGE_TYPE] == HEALTH.message


async def test_replicas_publish_little_more_than_one_and_agree() -> None:
    log, clock = started()
    routers = [Router(log, clock, f"router_{number}", luck=number / 3) for number in range(3)]
    await busy(log, clock, *routers)
    for _ in range(SETTLED_S):
        clock.advance(1)
        for router in routers:
            await router.publisher.look()
            await router.read()
    assert len(log.records(HEALTH.name)) == 1
    assert {router.shown() for router in routers} == {(90, 90)}


async def test_replica_that_missed_some_is_corrected_by_one_that_did_not() -> None:
    log, clock = started()
    whole = Router(log, clock)
    await busy(log, clock, whole)
    late = Router(log, clock, "router_2", luck=1)
    await late.usage.observe([Delivered(usage(clock, ok=False), 0, 0, 0)] * 150)
    assert late.shown() == (0, 0)
    for _ in range(SETTLED_S):
        clock.advance(1)
        await whole.publisher.look()
        await late.others.observe([Delivered(one, 0, 0, 0) for one in log.records(HEALTH.name)])
        await late.publisher.look()
    assert late.shown() == (90, 90)
    assert len(log.records(HEALTH.name)) == 1


async def test_restarted_router_knows_the_day_before_and_counts_nothing_twice() -> None:
    log, clock = started()
    first = Router(log, clock)
    for _ in range(40):
        await busy(log, clock, first, count=50)
        clock.advance(60)
        await first.publisher.look()
        await first.read()
    before = first.health.figures(X, clock.now_ms() // 1000)
    again = Router(log, clock)
    assert again.shown() == (None, None)
    recent = log.records(USAGE.name)[-10 * 50 :]
    await again.usage.observe([Delivered(one, 0, 0, 0) for one in recent])
    await again.others.observe([Delivered(one, 0, 0, 0) for one in log.records(HEALTH.name)])
    assert again.health.figures(X, clock.now_ms() // 1000) == before
    assert before.uptime_1d == 90
    snapshot = again.health.snapshot(clock.now_ms() // 1000)
    assert snapshot.sticky["conversation/acme/one"] == X


@pytest.mark.parametrize(
    ("facts", "counted"),
    [
        ({"calls": tool_calls.TOOL_CALL_VERDICT_VALID}, (1, 0)),
        ({"calls": tool_calls.TOOL_CALL_VERDICT_INVALID_JSON}, (1, 1)),
        ({"calls": tool_calls.TOOL_CALL_VERDICT_UNKNOWN_NAME}, (1, 1)),
        ({"calls": tool_calls.TOOL_CALL_VERDICT_SCHEMA_MISMATCH}, (1, 1)),
        ({"calls": tool_calls.TOOL_CALL_VERDICT_NOT_JUDGED}, (0, 0)),
        ({}, (0, 0)),
        ({"calls": tool_calls.TOOL_CALL_VERDICT_VALID, "finish_reason": "error"}, (0, 0)),
        ({"calls": tool_calls.TOOL_CALL_VERDICT_VALID, "ok": False}, (0, 0)),
    ],
)
async def test_verdicts_on_tool_calls_are_counted_and_published(
    facts: dict[str, Any], counted: tuple[int, int]
) -> None:
    log, clock = started()
    router = Router(log, clock)
    await log.publish([usage(clock, **facts)])
    await router.read()
    clock.advance(SETTLED_S)
    await router.publisher.look()
    [record] = log.records(HEALTH.name)
    [tally] = EndpointHealthRecorded.FromString(record.value).endpoints
    assert (tally.tool_requests, tally.tool_failures) == counted


PEERS = [f"{slug}/acme/one" for slug in "abcd"]


def grades(router: Router) -> Mapping[str, Grade]:
    for _ in range(3):
        router.clock.advance(1)
        router.health.snapshot(router.clock.now_ms() // 1000)
    return router.health.snapshot(router.clock.now_ms() // 1000).grades


async def test_restarted_router_knows_the_tool_calls_of_two_hours_and_counts_none_twice() -> None:
    """200 replies of each endpoint, spread over an hour: any lost or doubled bucket would change who is graded."""
    log, clock = started()
    first = Router(log, clock)
    good, bad = tool_calls.TOOL_CALL_VERDICT_VALID, tool_calls.TOOL_CALL_VERDICT_SCHEMA_MISMATCH
    for _ in range(20):
        await log.publish(
            [
                usage(clock, endpoint_id=endpoint_id, calls=bad if endpoint_id == PEERS[0] and number == 0 else good)
                for endpoint_id in PEERS
                for number in range(10)
            ]
        )
        clock.advance(180)
        await first.read()
        await first.publisher.look()
        await first.read()
    clock.advance(SETTLED_S)
    await first.publisher.look()
    before = grades(first)
    assert before == {PEERS[0]: Grade.TOOL_CALLS, **dict.fromkeys(PEERS[1:], Grade.GOOD)}
    again = Router(log, clock)
    assert grades(again) == {}
    recent = log.records(USAGE.name)[-3 * 40 :]
    await again.usage.observe([Delivered(one, 0, 0, 0) for one in recent])
    await again.others.observe([Delivered(one, 0, 0, 0) for one in log.records(HEALTH.name)])
    assert grades(again) == before
    counts = [router.health._endpoints[PEERS[0]].history.tools for router in (first, again)]
    assert counts == [ToolRecord(200, 20), ToolRecord(200, 20)]


async def test_event_log_that_is_away_is_waited_for() -> None:
    log, clock = started()
    router = Router(log, clock)
    await busy(log, clock, router)
    log.go_down()
    clock.advance(SETTLED_S)
    await router.publisher.look()
    log.come_back()
    clock.advance(10)
    await router.publisher.look()
    assert len(log.records(HEALTH.name)) == 1


async def test_router_that_has_just_started_does_not_publish_what_it_has_not_read_yet() -> None:
    log, clock = started()
    clock.advance(SETTLED_S)
    router = Router(log, clock)
    await router.usage.observe([Delivered(usage(ManualClock(NOW_S * 1000)), 0, 0, 0)])
    await router.publisher.look()
    assert log.records(HEALTH.name) == []
    clock.advance(CATCH_UP_S)
    await router.publisher.look()
    assert len(log.records(HEALTH.name)) == 1


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xff",
        EndpointHealthRecorded(bucket_s=60, gamma=GAMMA).SerializeToString(),
        EndpointHealthRecorded(bucket_s=BUCKET_S, gamma=1.5).SerializeToString(),
        *(
            EndpointHealthRecorded(
                bucket_s=BUCKET_S, gamma=GAMMA, bucket_start_s=NOW_S, endpoints=[tally]
            ).SerializeToString()
            for tally in (
                EndpointTally(endpoint_id=X, attempts=1, failures=2),
                EndpointTally(endpoint_id=X, attempts=3, tool_requests=1, tool_failures=2),
                EndpointTally(endpoint_id=X, attempts=3, failures=1, tool_requests=3),
                EndpointTally(endpoint_id=X, attempts=1, latency_s=Distribution(counts=[2])),
                EndpointTally(endpoint_id=X, attempts=1, latency_s=Distribution(first_key=10_000, counts=[1])),
            )
        ),
    ],
)
async def test_records_that_say_what_cannot_be_are_skipped(value: bytes) -> None:
    log, clock = started()
    router = Router(log, clock)
    await router.others.observe([Delivered(Record(HEALTH.name, "1", value), 0, 0, 0)])
    await busy(log, clock, router)
    assert router.shown() == (90, 90)


async def test_many_endpoints_are_published_in_records_of_a_bearable_size() -> None:
    log, clock = started()
    router = Router(log, clock)
    events_of = []
    for number in range(3000):
        event = events.UsageRecorded.FromString(usage(clock).value)
        event.attempts[0].endpoint_id = f"provider/{'x' * 60}/{number}"
        events_of.append(Delivered(Record(USAGE.name, "a", event.SerializeToString()), 0, 0, 0))
    await router.usage.observe(events_of)
    clock.advance(SETTLED_S)
    await router.publisher.look()
    records = log.records(HEALTH.name)
    assert len({record.headers[HEADER_EVENT_ID] for record in records}) == len(records) > 1
    assert max(len(record.value) for record in records) < 200_000
    again = Router(log, clock)
    await again.read()
    assert again.health.status().endpoints == 3000


async def test_operators_see_who_is_behind() -> None:
    log, clock = started()
    router = Router(log, clock)
    await router.usage.observe([Delivered(usage(clock, ok=False), 0, 0, 0)] * 10)
    await router.publisher.look()

    def value(name: str, **labels: str) -> float | None:
        return router.metrics.registry.get_sample_value(name, labels)

    assert value("switchyard_endpoints_behind", standing="outage") == 1
    assert value("switchyard_endpoints_behind", standing="tripped") == 0
    assert value("switchyard_endpoints_known") == 1
    assert value("switchyard_sticky_sessions") == 1
