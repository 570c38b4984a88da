"""The OpenTelemetry SDK and its OTLP exporter, set up for one process.

Owns that set-up. Imported only where a receiver is set: both cost a start some 0.2 s of CPU and 15 MiB.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased


def exporting_provider(service: str, endpoint: str, sample_ratio: float) -> TracerProvider:
    """Makes tracers whose spans go to an OTLP/HTTP receiver; shut it down to flush them."""
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}), sampler=ParentBased(TraceIdRatioBased(sample_ratio))
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=8192, max_export_batch_size=512))
    return provider
