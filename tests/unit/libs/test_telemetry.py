"""Trace context: the W3C format, and a tracer only where a receiver is set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span

from libs.settings import TelemetrySettings
from libs.telemetry import open_tracer
from libs.traceparent import context_of, current_traceparent, format_traceparent, new_span_context, parse_traceparent

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_context_survives_the_header(trace_id: int, span_id: int, flags: int) -> None:
    made = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    text = format_traceparent(made)
    assert len(text) == 55
    parsed = parse_traceparent(text)
    assert parsed is not None
    assert (parsed.trace_id, parsed.span_id, int(parsed.trace_flags)) == (trace_id, span_id, flags)
    assert parsed.is_remote


@pytest.mark.parametrize(
    "text",
    [
        None, "", "x", GOOD[:-1], GOOD + "0", GOOD + "\n", " " + GOOD, GOOD.upper(), GOOD.replace("-", "_"),
        "ff" + GOOD[2:], "00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        GOOD.replace("0af", "0ag"), GOOD.replace("0af", "٠af"),
    ],
)  # fmt: skip
def test_malformed_header_is_as_if_absent(text: str | None) -> None:
    assert parse_traceparent(text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_context_or_nothing(text: str) -> None:
    parsed = parse_traceparent(text)
    assert parsed is None or format_traceparent(parsed) == text


def test_own_contexts_are_valid_sampled_and_differ() -> None:
    made = [new_span_context() for _ in range(200)]
    assert all(context.is_valid and context.trace_flags.sampled for context in made)
    assert len({context.trace_id for context in made}) == 200
    assert new_span_context(trace_id=5).trace_id == 5


def test_current_traceparent_is_that_of_the_current_span() -> None:
    assert current_traceparent() is None
    token = otel_context.attach(context_of(new_span_context(trace_id=7)))
    try:
        text = current_traceparent()
        assert text is not None
        assert text.startswith("00-" + f"{7:032x}")
    finally:
        otel_context.detach(token)
    assert current_traceparent() is None


async def test_without_a_receiver_there_is_no_tracer() -> None:
    async with open_tracer("example", TelemetrySettings()) as tracer:
        assert tracer is None


async def test_with_a_receiver_spans_are_made_and_sampling_obeys_the_parent() -> None:
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:9", sample_ratio=0.0)
    async with open_tracer("example", settings) as tracer:
        assert tracer is not None
        unsampled = tracer.start_span("root")
        assert unsampled.get_span_context().is_valid
        assert not unsampled.is_recording()
        parent = parse_traceparent(GOOD)
        assert parent is not None
        span = tracer.start_span("child", context=context_of(parent))
        assert span.get_span_context().trace_id == parent.trace_id
        assert get_current_span(context_of(span)) is span
