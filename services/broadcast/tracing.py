"""Spans of consumed records: each is part of the trace of the request that made it.

Owns the CONSUMER spans of this service. Invariant: without a tracer nothing here runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from libs.bus.port import HEADER_TRACEPARENT, Delivered, Rejected
from libs.errors import AppError
from libs.telemetry import context_of, parse_traceparent


@contextmanager
def record_spans(tracer: Tracer, name: str, records: Sequence[Delivered]) -> Iterator[list[Span]]:
    """One span per record for the length of the block, in the trace that its `traceparent` names."""
    spans = [_start(tracer, name, delivered) for delivered in records]
    try:
        yield spans
    except Exception as error:
        reason = error.reason if isinstance(error, AppError) else type(error).__name__
        for span in spans:
            span.set_status(StatusCode.ERROR, reason)
        raise
    finally:
        for span in spans:
            span.end()


def mark_rejected(spans: Sequence[Span], rejected: Sequence[Rejected]) -> None:
    for rejection in rejected:
        spans[rejection.index].set_status(StatusCode.ERROR, rejection.reason)


def _start(tracer: Tracer, name: str, delivered: Delivered) -> Span:
    record = delivered.record
    parent = parse_traceparent(record.headers.get(HEADER_TRACEPARENT))
    return tracer.start_span(
        name,
        context=context_of(parent) if parent is not None else None,
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.destination.name": record.topic,
            "messaging.message.id": record.event_id,
        },
    )
