"""Traces of calls: spans only where a tracer was given, context always.

Owns the spans of this package. Uses OpenTelemetry's API alone. Invariant: without a tracer no recording span is ever made.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import attach
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from libs.errors import AppError
from libs.traceparent import context_of, parse_traceparent


def enter_trace(traceparent: str) -> None:
    """Makes the caller's span the current one, for the rest of this task."""
    context = parse_traceparent(traceparent)
    if context is not None:
        attach(context_of(context))


def start_span(tracer: Tracer, path: str, kind: SpanKind) -> Span:
    """A span of one call, child of the current one; not made current."""
    service, _, method = path[1:].partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    return tracer.start_span(path[1:], kind=kind, attributes=attributes)


@contextmanager
def served_span(tracer: Tracer, path: str) -> Iterator[None]:
    """A SERVER span around the block, current for the rest of this task."""
    span = start_span(tracer, path, SpanKind.SERVER)
    attach(set_span_in_context(span))
    try:
        yield
    except BaseException as error:
        end_span(span, error)
        raise
    end_span(span)


def end_span(span: Span, error: BaseException | None = None) -> None:
    """Ends it; of an error only the reason is kept, because messages may quote what callers sent.

    To be cancelled or abandoned is not an error.
    """
    if isinstance(error, Exception):
        span.set_status(StatusCode.ERROR, error.reason if isinstance(error, AppError) else type(error).__name__)
    span.end()
