"""The span of a provider's call.

Owns its name and attributes. Invariant: without a tracer no span is made; a span holds names and figures, never words
of a prompt, a reply or a provider's error.
"""

from collections.abc import Mapping

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.port import CHAT, COMPLETIONS, ReplyFacts

_NAMES: Mapping[str, str] = {COMPLETIONS: "text_completion"}
"""What the conventions for spans call it, where they have another word."""


class ProviderSpan:
    """One span, or none; ends once."""

    __slots__ = ("_span",)

    def __init__(
        self, tracer: Tracer | None, provider_slug: str, provider_model_id: str, operation: str = CHAT
    ) -> None:
        self._span: Span | None = None
        if tracer is not None:
            attributes = {
                "gen_ai.operation.name": _NAMES.get(operation, operation),
                "gen_ai.system": provider_slug,
                "gen_ai.request.model": provider_model_id,
            }
            self._span = tracer.start_span("provider call", kind=SpanKind.CLIENT, attributes=attributes)

    def succeeded(self, facts: ReplyFacts, status: int) -> None:
        span = self._span
        if span is None:
            return
        span.set_attribute("http.response.status_code", status)
        if facts.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", [facts.finish_reason])
        if facts.usage is not None:
            span.set_attribute("gen_ai.usage.input_tokens", facts.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", facts.usage.completion_tokens)

    def failed(self, failure: Failure) -> None:
        span = self._span
        if span is None:
            return
        span.set_status(StatusCode.ERROR, failure.failure_class)
        span.set_attribute("error.type", failure.failure_class)
        if failure.status:
            span.set_attribute("http.response.status_code", failure.status)

    def end(self) -> None:
        if self._span is not None:
            self._span.end()
