"""Trace context on calls: `traceparent` by hand, spans only where a tracer was given.

Owns the format (W3C Trace Context, version 00) on the wire of this package. Does not own tracers or exporters, and uses
OpenTelemetry's API alone. Invariant: without a tracer no recording span is ever made.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import attach
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from libs.errors import AppError

TRACEPARENT = "traceparent"
_FORMAT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def format_traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse_traceparent(text: str) -> SpanContext | None:
    """The span context that the text names; None when it is malformed."""
    match = _FORMAT.fullmatch(text)
    if match is None:
        return None
    context = SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return context if context.is_valid else None


def current_traceparent() -> str | None:
    """The `traceparent` of the current span; None outside any trace."""
    context = get_current_span().get_span_context()
    return format_traceparent(context) if context.is_valid else None


def enter_trace(traceparent: str) -> None:
    """Makes the caller's span the current one, for the rest of this task."""
    context = parse_traceparent(traceparent)
    if context is not None:
        attach(set_span_in_context(NonRecordingSpan(context)))


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
