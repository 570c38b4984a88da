"""What becomes of a batch of records: delivered, or rejected with a reason."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from libs.bus.port import Delivered
from libs.clock import ManualClock
from libs.metrics import Metrics
from libs.retry import Backoff
from services.broadcast.consumers import UsageConsumer
from services.broadcast.handlers import BroadcastHandlers
from services.broadcast.ports import Answer
from tests.testkit.analytics import delivered, generation_event
from tests.testkit.broadcast import QUICK, ScriptedDestination, attributes_of, handlers_for, spans_in

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def batch(count: int, *, trace_json: bytes = b"") -> list[Delivered]:
    return [delivered(generation_event(f"gen-{place}", trace_json=trace_json), place) for place in range(count)]


def counted(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("switchyard_deliveries_total", {"outcome": outcome}) or 0.0


async def test_batch_goes_in_requests_of_at_most_a_hundred_spans() -> None:
    destination, metrics = ScriptedDestination(), Metrics()
    consumer = UsageConsumer(handlers_for(destination, metrics=metrics))
    assert await consumer.handle(batch(250)) == []
    assert sorted(len(spans_in(payload)) for payload in destination.payloads) == [50, 100, 100]
    assert sorted(destination.delivered) == sorted(f"gen-{place}" for place in range(250))
    assert counted(metrics, "delivered") == 250


async def test_spans_above_generations_count_towards_the_bound() -> None:
    destination = ScriptedDestination()
    consumer = UsageConsumer(handlers_for(destination))
    records = [
        delivered(generation_event(f"gen-{place}", trace_json=b'{"trace_name":"%d","span_name":"s"}' % place), place)
        for place in range(40)
    ]
    assert await consumer.handle(records) == []
    assert sorted(len(spans_in(payload)) for payload in destination.payloads) == [21, 99]


async def test_without_a_destination_records_are_passed_over() -> None:
    assert await UsageConsumer(None).handle([delivered(b"\xff"), *batch(1)]) == ()


async def test_record_that_is_no_event_is_rejected_and_the_rest_delivered() -> None:
    destination = ScriptedDestination()
    good = batch(2)
    rejected = await UsageConsumer(handlers_for(destination)).handle(
        [good[0], delivered(b"\xff"), delivered(generation_event("")), good[1]]
    )
    assert [(one.index, one.reason) for one in rejected] == [
        (1, "not a UsageRecorded message"),
        (2, "generation_id is missing"),
    ]
    assert destination.delivered == ["gen-0", "gen-1"]


@pytest.mark.parametrize("trace_json", [b"", b"{", b"[1]", b'"x"', b'{"a":"\\ud800"}', b'{"a":1e999}', b"\xff"])
async def test_trace_that_cannot_be_read_is_as_if_absent(trace_json: bytes) -> None:
    destination = ScriptedDestination()
    assert await UsageConsumer(handlers_for(destination)).handle(batch(1, trace_json=trace_json)) == []
    [span] = spans_in(destination.payloads[0])
    assert not any(key.startswith("trace.metadata") for key in attributes_of(span))


async def test_destination_that_recovers_gets_everything_once() -> None:
    destination, metrics = ScriptedDestination([Answer(503), "timed out", Answer(200)]), Metrics()
    assert await UsageConsumer(handlers_for(destination, metrics=metrics)).handle(batch(3)) == []
    assert destination.delivered == ["gen-0", "gen-1", "gen-2"]
    assert (counted(metrics, "retried"), counted(metrics, "delivered"), counted(metrics, "dead")) == (6, 3, 0)


@pytest.mark.parametrize(
    ("answer", "sent", "reason"),
    [
        (Answer(401), 1, "refused: HTTP 401"),
        (Answer(404), 1, "refused: HTTP 404"),
        (Answer(302), 1, "refused: HTTP 302"),
        (Answer(503), 3, "gave up: HTTP 503"),
        (Answer(429, "9999"), 3, "gave up: HTTP 429"),
        ("timed out", 3, "gave up: timed out"),
    ],
)
async def test_destination_that_does_not_take_traces_makes_dead_letters(
    answer: Answer | str, sent: int, reason: str
) -> None:
    destination, metrics = ScriptedDestination([answer]), Metrics()
    rejected = await UsageConsumer(handlers_for(destination, metrics=metrics)).handle(batch(2))
    assert [(one.index, one.reason) for one in rejected] == [(0, reason), (1, reason)]
    assert len(destination.payloads) == sent
    assert counted(metrics, "dead") == 2


async def test_trace_that_the_destination_minds_is_refused_alone() -> None:
    destination = ScriptedDestination(poison=["gen-13"])
    rejected = await UsageConsumer(handlers_for(destination)).handle(batch(40))
    assert [(one.index, one.reason) for one in rejected] == [(13, "refused: HTTP 400")]
    assert sorted(destination.delivered) == sorted(f"gen-{place}" for place in range(40) if place != 13)
    assert len(destination.payloads) <= 2 * 6 + 1


async def test_batch_ends_when_its_time_is_over() -> None:
    clock = ManualClock()
    patience = replace(QUICK, attempts=20, give_up_after_s=60.0)

    class Slow(ScriptedDestination):
        async def send(self, payload: Mapping[str, Any], *, traceparent: str, timeout_s: float) -> Answer:
            limits.append(timeout_s)
            clock.advance(min(timeout_s, 5.0))
            return await super().send(payload, traceparent=traceparent, timeout_s=timeout_s)

    limits: list[float] = []
    destination = Slow(["timed out"])
    handlers = BroadcastHandlers(destination, patience, service_name="s", clock=clock, metrics=Metrics())
    rejected = await UsageConsumer(handlers).handle(batch(1))
    assert [one.reason for one in rejected] == ["gave up: timed out"]
    assert clock.monotonic_s() == 60.0
    assert limits == [5.0] * 12


async def test_wait_that_would_outlast_the_batch_is_not_begun() -> None:
    patience = replace(QUICK, backoff=Backoff(first_s=30.0, jitter=0.0), max_delay_s=30.0, give_up_after_s=20.0)
    destination = ScriptedDestination([Answer(503)])
    async with asyncio.timeout(5):
        rejected = await UsageConsumer(handlers_for(destination, patience)).handle(batch(1))
    assert [one.reason for one in rejected] == ["gave up: HTTP 503"]
    assert len(destination.payloads) == 1


async def test_delivery_is_part_of_the_trace_of_its_first_request() -> None:
    destination = ScriptedDestination()
    records = [delivered(generation_event("gen-1"), 0, TRACEPARENT), delivered(generation_event("gen-2"), 1, "broken")]
    await UsageConsumer(handlers_for(destination)).handle(records)
    assert destination.traceparents == [TRACEPARENT]
    first, second = spans_in(destination.payloads[0])
    assert (first["traceId"], first["parentSpanId"]) == (TRACEPARENT[3:35], TRACEPARENT[36:52])
    assert "parentSpanId" not in second


async def test_each_delivered_record_is_a_span_in_the_trace_of_its_request() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    destination = ScriptedDestination(poison=["gen-2"])
    consumer = UsageConsumer(handlers_for(destination), provider.get_tracer("test"))
    records = [
        delivered(generation_event("gen-1"), 0, TRACEPARENT),
        delivered(generation_event("gen-2"), 1, TRACEPARENT),
    ]
    await consumer.handle(records)
    spans = exporter.get_finished_spans()
    assert [(span.name, span.kind) for span in spans] == [("broadcast deliver", SpanKind.CONSUMER)] * 2
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {TRACEPARENT[3:35]}
    assert [span.status.status_code for span in spans] == [StatusCode.UNSET, StatusCode.ERROR]
    assert spans[0].context is not None
    assert f"{spans[0].context.span_id:016x}" in destination.traceparents[0]
