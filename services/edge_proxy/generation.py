"""One generation on its way: what is known of it so far, and the record it leaves.

Owns the state of a single request. Decides nothing about money: `core.metering` does.
Invariant: a generation is recorded at most once.
"""

from dataclasses import dataclass, field

from switchyard.common.v1.usage_pb2 import (
    USAGE_SOURCE_COUNTED,
    USAGE_SOURCE_NONE,
    USAGE_SOURCE_PROVIDER,
    UsageSource,
)
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.keys.v1.keys_pb2 import Key
from switchyard.provider.v1.provider_pb2 import End
from switchyard.routing.v1.routing_pb2 import Attempt, PlanResponse

from libs.pricing_messages import units_to_proto
from services.edge_proxy.core.attempts import FailedAttempt
from services.edge_proxy.core.metering import NOTHING, Metered, Source
from services.edge_proxy.core.request import API_TYPES, InferenceRequest
from services.edge_proxy.ports import AttemptCall

_SOURCES: dict[Source, "UsageSource.ValueType"] = {
    Source.PROVIDER: USAGE_SOURCE_PROVIDER,
    Source.COUNTED: USAGE_SOURCE_COUNTED,
    Source.NONE: USAGE_SOURCE_NONE,
}


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """What the HTTP request told besides its body; every text already cut to its bound."""

    http_referer: str = ""
    app_title: str = ""
    user_agent: str = ""
    session_id: str = ""
    request_id: str = ""
    traceparent: str = ""
    wants_explanation: bool = False
    anthropic_beta: str = ""


@dataclass(slots=True)
class Generation:
    """Times in milliseconds: `arrived_ms` unix, the others since arrival."""

    id: str
    key: Key
    request: InferenceRequest
    caller: CallerFacts
    arrived_ms: int
    arrived_s: float
    plan: PlanResponse = field(default_factory=PlanResponse)
    granted_tokens: int | None = None
    failed: list[FailedAttempt] = field(default_factory=list)
    attempt_records: list[events.AttemptRecord] = field(default_factory=list)
    served: Attempt | None = None
    call: AttemptCall | None = None
    end: End | None = None
    metered: Metered = NOTHING
    first_event_ms: int = 0
    recorded: bool = False
    session_key: str = ""

    @property
    def has_explicit_session(self) -> bool:
        return bool(self.request.session_id or self.caller.session_id)

    @property
    def explains(self) -> bool:
        """Whether the reply is to say how it was routed."""
        return self.caller.wants_explanation

    @property
    def created_s(self) -> int:
        return self.arrived_ms // 1000

    @property
    def max_tokens(self) -> int | None:
        """The limit that the provider was given, over all choices."""
        if self.granted_tokens is not None:
            return self.granted_tokens
        asked = self.request.max_tokens
        return None if asked is None else asked * self.request.choices


def usage_event(
    generation: Generation, outcome: "events.Outcome.ValueType", *, http_status: int, now_ms: int, elapsed_ms: int
) -> events.UsageRecorded:
    """The record of a generation that came to its end."""
    request, key, metered, caller = generation.request, generation.key, generation.metered, generation.caller
    event = events.UsageRecorded(
        generation_id=generation.id,
        account_id=key.account_id,
        key_hash=key.hash,
        workspace_id=key.workspace_id,
        created_at_ms=generation.arrived_ms,
        recorded_at_ms=now_ms,
        outcome=outcome,
        http_status=http_status,
        requested_model=request.models[0],
        api_type=API_TYPES[request.operation],
        streamed=request.stream,
        strategy=generation.plan.strategy,
        usage=units_to_proto(metered.units),
        usage_source=_SOURCES[metered.source],
        cost_nano_usd=metered.charge.total,
        prompt_cost_nano_usd=metered.charge.prompt,
        completion_cost_nano_usd=metered.charge.completion,
        request_cost_nano_usd=metered.charge.request,
        review_reason=metered.review_reason,
        attempts=generation.attempt_records,
        latency_ms=generation.first_event_ms,
        generation_time_ms=elapsed_ms,
        http_referer=caller.http_referer,
        app_title=caller.app_title,
        user_agent=caller.user_agent,
        user_id=request.user[:256],
        session_id=request.session_id or caller.session_id,
        request_id=caller.request_id,
        trace_json=request.trace_json,
        max_tokens=generation.max_tokens or 0,
        router=generation.plan.router,
        session_key=generation.session_key,
        has_explicit_session=generation.has_explicit_session,
        uses_tools=request.uses_tools,
    )
    if generation.served is not None:
        _add_endpoint(event, generation.served)
    if generation.end is not None:
        _add_end(event, generation.end)
    return event


def _add_endpoint(event: events.UsageRecorded, attempt: Attempt) -> None:
    event.model = attempt.model
    event.endpoint_id = attempt.endpoint_id
    event.provider_slug = attempt.provider_slug
    event.provider_name = attempt.provider_name
    event.provider_model_id = attempt.provider_model_id
    event.is_byok = attempt.is_byok
    event.price.CopyFrom(attempt.price)


def _add_end(event: events.UsageRecorded, end: End) -> None:
    event.finish_reason = end.finish_reason
    event.native_finish_reason = end.native_finish_reason
    event.upstream_id = end.upstream_id
    event.service_tier = end.service_tier
