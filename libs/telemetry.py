"""Traces: OpenTelemetry's SDK where spans are wanted.

Owns the tracer of a process. Does not decide which spans exist, nor how context travels (libs/traceparent does).
Invariant: without an OTLP endpoint no span object is ever made, yet every request still has a trace id.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from libs.settings import TelemetrySettings


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
        await asyncio.to_thread(provider.shutdown)  # it waits for the receiver
