"""W3C trace context by hand (version 00): read, written and made without a span or an SDK.

Owns the `traceparent` format. Does not own tracers or exporters (libs/telemetry does), and uses OpenTelemetry's API
alone. Invariant: what is malformed is as if absent.
"""

import os
import re

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, get_current_span, set_span_in_context

TRACEPARENT = "traceparent"
_FORMAT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SPAN_BITS = (1 << 64) - 1
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def parse_traceparent(text: str | None) -> SpanContext | None:
    """The span context that a `traceparent` names; None when there is none or it is malformed."""
    match = _FORMAT.fullmatch(text) if text else None
    if match is None:
        return None
    flags = TraceFlags(int(match[3], 16))
    context = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=flags)
    return context if context.is_valid else None


def format_traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def current_traceparent() -> str | None:
    """The `traceparent` of the current span; None outside any trace."""
    context = get_current_span().get_span_context()
    return format_traceparent(context) if context.is_valid else None


def new_span_context(trace_id: int | None = None) -> SpanContext:
    """A context of our own making, for when no tracer makes one."""
    number = int.from_bytes(os.urandom(24), "big")
    return SpanContext(trace_id or number >> 64 | 1, number & _SPAN_BITS | 1, is_remote=False, trace_flags=_SAMPLED)


def context_of(span: SpanContext | Span) -> Context:
    """An OpenTelemetry context in which the given span is the current one."""
    return set_span_in_context(NonRecordingSpan(span) if isinstance(span, SpanContext) else span)
