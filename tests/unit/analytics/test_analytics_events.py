"""What becomes of an event: a row, or a reason."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from switchyard.analytics.v1 import analytics_pb2 as pb
from switchyard.events.v1.usage_recorded_pb2 import OUTCOME_FAILED, OUTCOME_UNSPECIFIED, UsageRecorded

from libs.bus.tracing import traced
from libs.clock import ManualClock
from libs.errors import AppError
from services.analytics.consumers import UsageConsumer
from services.analytics.handlers import AnalyticsHandlers
from services.analytics.server import AnalyticsServicer
from tests.testkit.analytics import NOW_MS, MemoryRecordStore, delivered, generation_event

GENERATION = "gen-1795478400-AAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def store() -> MemoryRecordStore:
    return MemoryRecordStore()


@pytest.fixture
def consumer(store: MemoryRecordStore) -> UsageConsumer:
    return UsageConsumer(AnalyticsHandlers(store), ManualClock(NOW_MS))


@pytest.fixture
def servicer(store: MemoryRecordStore) -> AnalyticsServicer:
    return AnalyticsServicer(AnalyticsHandlers(store))


async def test_recorded_generation_is_shown_whole_to_its_account(
    consumer: UsageConsumer, servicer: AnalyticsServicer
) -> None:
    event = generation_event(trace_json=b'{"a":1}')
    assert await consumer.handle([delivered(event)]) == []
    answer = await servicer.GetGeneration(
        pb.GetGenerationRequest(account_id="acct_1", generation_id=GENERATION), context=None
    )
    assert answer.record == event


@pytest.mark.parametrize(
    ("account_id", "generation_id"),
    [("acct_2", GENERATION), ("", GENERATION), ("acct_1", "gen-2"), ("acct_1", ""), ("acct_1", "\0"), ("a\0", "b")],
)
async def test_generation_of_nobody_or_of_another_account_is_unknown(
    consumer: UsageConsumer, servicer: AnalyticsServicer, account_id: str, generation_id: str
) -> None:
    await consumer.handle([delivered(generation_event())])
    with pytest.raises(AppError) as caught:
        await servicer.GetGeneration(
            pb.GetGenerationRequest(account_id=account_id, generation_id=generation_id), context=None
        )
    assert (caught.value.reason, caught.value.http_status) == ("GENERATION_UNKNOWN", 404)


async def test_failed_request_is_filed_under_the_model_that_was_asked_for(
    consumer: UsageConsumer, store: MemoryRecordStore
) -> None:
    await consumer.handle([delivered(generation_event(model="", outcome=OUTCOME_FAILED, cost_nano_usd=0))])
    assert store.rows[GENERATION].model == "acme/asked"


async def test_usage_in_review_costs_nothing_in_sums(consumer: UsageConsumer, store: MemoryRecordStore) -> None:
    await consumer.handle([delivered(generation_event(cost_nano_usd=10**15, review_reason="absurd"))])
    assert store.rows[GENERATION].cost_nano_usd == 0


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"\xff\xff\xff", "not a UsageRecorded message"),
        (generation_event(""), "generation_id, account_id or key_hash"),
        (generation_event("g" * 257), "generation_id, account_id or key_hash"),
        (generation_event(account_id="a\0"), "generation_id, account_id or key_hash"),
        (generation_event(key_hash=""), "generation_id, account_id or key_hash"),
        (generation_event(model="m\0"), "model, endpoint_id or provider_slug"),
        (generation_event(model="m" * 257), "model, endpoint_id or provider_slug"),
        (generation_event(created_at_ms=0), "created_at_ms"),
        (generation_event(created_at_ms=2**63 - 1), "created_at_ms"),
        (generation_event(created_at_ms=NOW_MS + 86_400_001), "created_at_ms"),
        (generation_event(outcome=OUTCOME_UNSPECIFIED), "outcome"),
        (generation_event(cost_nano_usd=-1), "negative"),
        (generation_event(prompt_tokens=-1), "negative"),
        (generation_event(completion_tokens=-1), "negative"),
    ],
)
async def test_event_that_can_never_be_a_record_is_rejected_and_the_rest_is_kept(
    consumer: UsageConsumer, store: MemoryRecordStore, event: UsageRecorded | bytes, reason: str
) -> None:
    good = [delivered(generation_event(f"gen-{place}"), place) for place in range(2)]
    rejected = await consumer.handle([good[0], delivered(event, 1), good[1]])
    assert [rejection.index for rejection in rejected] == [1]
    assert reason in rejected[0].reason
    assert sorted(store.rows) == ["gen-0", "gen-1"]


async def test_event_of_an_unknown_outcome_is_rejected(consumer: UsageConsumer) -> None:
    event = generation_event()
    value = event.SerializeToString() + b"\x38\x80\x80\x04"  # outcome again, 65536
    assert [rejection.reason for rejection in await consumer.handle([delivered(value)])] == ["outcome is not set"]


async def test_event_twice_in_a_batch_is_one_record(consumer: UsageConsumer, store: MemoryRecordStore) -> None:
    first, second = generation_event(cost_nano_usd=1), generation_event(cost_nano_usd=2)
    assert await consumer.handle([delivered(first, 0), delivered(second, 1)]) == []
    assert store.rows[GENERATION].cost_nano_usd == 1


async def test_batch_waits_while_the_store_is_away(consumer: UsageConsumer, store: MemoryRecordStore) -> None:
    store.away = True
    with pytest.raises(AppError, match="away"):
        await consumer.handle([delivered(generation_event())])
    store.away = False
    assert await consumer.handle([delivered(generation_event())]) == []
    assert list(store.rows) == [GENERATION]


async def test_each_record_is_a_span_in_the_trace_of_its_request(store: MemoryRecordStore) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    consumer = UsageConsumer(AnalyticsHandlers(store), ManualClock(NOW_MS))
    handle = traced(consumer.handle, provider.get_tracer("test"), "analytics record")
    traceparents = [f"00-{place:032x}-{place:016x}-01" for place in (1, 2)]
    await handle(
        [
            delivered(generation_event("gen-1"), 0, traceparents[0]),
            delivered(generation_event("gen-2", cost_nano_usd=-1), 1, traceparents[1]),
            delivered(generation_event("gen-3"), 2, "nonsense"),
        ]
    )
    spans = exporter.get_finished_spans()
    assert [(span.name, span.kind) for span in spans] == [("analytics record", SpanKind.CONSUMER)] * 3
    parents = [span.parent and (span.parent.trace_id, span.parent.span_id) for span in spans]
    assert parents == [(1, 1), (2, 2), None]
    codes = [span.status.status_code for span in spans]
    assert codes == [StatusCode.UNSET, StatusCode.ERROR, StatusCode.UNSET]

    exporter.clear()
    store.away = True
    with pytest.raises(AppError):
        await handle([delivered(generation_event("gen-4"))])
    assert [span.status.description for span in exporter.get_finished_spans()] == ["SERVICE_UNAVAILABLE"]
