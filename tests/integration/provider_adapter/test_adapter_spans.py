from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.provider_adapter.http_calls import HttpCalls
from tests.integration.provider_adapter.conftest import adapter_on
from tests.integration.provider_adapter.scripted_upstream import REPLY, ScriptedUpstream, whole


async def test_every_provider_call_is_one_span_without_words_of_anyone(
    upstream: ScriptedUpstream, calls: HttpCalls
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    adapter = adapter_on(calls, tracer=provider.get_tracer("test"), upstream_base_url=upstream.base_url)
    upstream.answer(whole(REPLY))
    upstream.answer(whole({"error": {"message": "canary"}}, "429 Too Many Requests"))

    await adapter.run()
    await adapter.run(stream=True)

    succeeded, failed = exporter.get_finished_spans()
    assert succeeded.attributes is not None
    assert failed.attributes is not None
    assert succeeded.attributes["gen_ai.usage.output_tokens"] == 2
    assert failed.attributes["error.type"] == "rate_limited"
    assert "canary" not in failed.to_json()
    assert "Hello" not in succeeded.to_json()
    provider.shutdown()
