"""Traces: W3C trace context by hand where it is hot, OpenTelemetry's SDK where spans are wanted.

Owns the tracer of a process and the `traceparent` format. Does not decide which spans exist.
Invariant: without an OTLP endpoint no span object is ever made, yet every request still has a trace id.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from libs.settings import TelemetrySettings

TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


@asynccontextmanager
async def open_tracer(service: str, settings: TelemetrySettings) -> AsyncIterator[Tracer | None]:
    """The tracer of this process, flushed at the end; None when no receiver is set."""
    if settings.otlp_endpoint is None:
        yield None
        return
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}),
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
    )
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=8192, max_export_batch_size=512))
    try:
        yield provider.get_tracer("switchyard")
    finally:
        provider.shutdown()


def parse_traceparent(text: str | None) -> SpanContext | None:
    """The span context of a W3C `traceparent` (version 00); None when there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(text) if text else None
    if match is None:
        return None
    context = SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return context if context.is_valid else None


def format_traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def new_span_context(trace_id: int | None = None) -> SpanContext:
    """A context of our own making, for when no tracer makes one."""
    return SpanContext(
        trace_id or secrets.randbits(128) | 1, secrets.randbits(64) | 1, is_remote=False, trace_flags=_SAMPLED
    )


def context_of(span: SpanContext | Span) -> Context:
    """An OpenTelemetry context in which the given span is the current one."""
    return set_span_in_context(NonRecordingSpan(span) if isinstance(span, SpanContext) else span)


def current_traceparent() -> str | None:
    """The `traceparent` of the current span; None outside any trace."""
    context = get_current_span().get_span_context()
    return format_traceparent(context) if context.is_valid else None
