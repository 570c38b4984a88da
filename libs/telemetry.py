"""Traces: OpenTelemetry's SDK where spans are wanted.

Owns the tracer of a process. Does not decide which spans exist, nor how context travels (libs/traceparent does).
Invariant: without an OTLP endpoint no span object is ever made, yet every request still has a trace id.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import Tracer

from libs.settings import TelemetrySettings


@asynccontextmanager
async def open_tracer(service: str, settings: TelemetrySettings) -> AsyncIterator[Tracer | None]:
    """The tracer of this process, flushed at the end; None when no receiver is set."""
    if settings.otlp_endpoint is None:
        yield None
        return
    from libs.trace_export import exporting_provider  # noqa: PLC0415 (see there)

    provider = exporting_provider(service, settings.otlp_endpoint, settings.sample_ratio)
    try:
        yield provider.get_tracer("switchyard")
    finally:
        await asyncio.to_thread(provider.shutdown)  # it waits for the receiver
