"""Spans of consumed records: each is part of the trace of the request that made it.

Owns CONSUMER spans. Invariant: without a tracer nothing here costs anything.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from libs.bus.port import HEADER_TRACEPARENT, Delivered, Handler, Rejected
from libs.errors import AppError
from libs.traceparent import context_of, parse_traceparent


def traced(handler: Handler, tracer: Tracer | None, name: str) -> Handler:
    """The handler with a span per record around it; the handler itself without a tracer."""
    if tracer is None:
        return handler

    async def handle(records: Sequence[Delivered]) -> Sequence[Rejected]:
        with record_spans(tracer, name, records) as spans:
            rejected = await handler(records)
            mark_rejected(spans, rejected)
        return rejected

    return handle


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
