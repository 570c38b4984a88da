"""What broadcast knows of a generation: the facts that become a span.

Owns the shape. Invariant: there is neither prompt nor completion in it, because the event has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Outcome(IntEnum):
    """As in `switchyard.events.v1.Outcome`."""

    UNSPECIFIED = 0
    COMPLETED = 1
    CANCELLED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class SpanPlace:
    """A W3C trace context: 32 and 16 lower-case hex digits, neither all zero."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A routed request that came to its end.

    Attributes:
        trace: the caller's `trace` object; empty if there was none.
        request_span: where the record's `traceparent` points: the request's span at the edge.
    """

    generation_id: str
    account_id: str
    created_at_ms: int
    generation_time_ms: int
    outcome: Outcome
    http_status: int = 0
    requested_model: str = ""
    model: str = ""
    endpoint_id: str = ""
    provider_slug: str = ""
    provider_name: str = ""
    api_type: str = ""
    streamed: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    prompt_cost_nano_usd: int = 0
    completion_cost_nano_usd: int = 0
    finish_reason: str = ""
    native_finish_reason: str = ""
    latency_ms: int = 0
    user_id: str = ""
    session_id: str = ""
    trace: Mapping[str, object] = field(default_factory=dict)
    request_span: SpanPlace | None = None
