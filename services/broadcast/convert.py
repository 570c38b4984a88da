"""Usage events as generations.

Owns reading what comes over the wire. Decides nothing. Invariant: the caller's `trace` object never makes an event
unfit; one that cannot be read is as if absent.
"""

from collections.abc import Mapping, Sequence

import orjson
from google.protobuf.message import DecodeError
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded

from libs.bus.port import HEADER_TRACEPARENT, Delivered, Rejected
from libs.traceparent import parse_traceparent
from services.broadcast.core.generation import Generation, Outcome, SpanPlace

_OUTCOMES = {int(outcome): outcome for outcome in Outcome}


def generations_of(records: Sequence[Delivered]) -> tuple[dict[int, Generation], list[Rejected]]:
    """Generations by their place in the batch, and the records that are none."""
    generations: dict[int, Generation] = {}
    rejected: list[Rejected] = []
    for index, delivered in enumerate(records):
        try:
            event = UsageRecorded.FromString(delivered.record.value)
        except DecodeError:
            rejected.append(Rejected(index, "not a UsageRecorded message"))
            continue
        if event.generation_id:
            generations[index] = generation_of(event, delivered.record.headers.get(HEADER_TRACEPARENT, ""))
        else:
            rejected.append(Rejected(index, "generation_id is missing"))
    return generations, rejected


def generation_of(event: UsageRecorded, traceparent: str) -> Generation:
    usage = event.usage
    return Generation(
        generation_id=event.generation_id,
        account_id=event.account_id,
        created_at_ms=event.created_at_ms,
        generation_time_ms=event.generation_time_ms,
        outcome=_OUTCOMES.get(event.outcome, Outcome.UNSPECIFIED),
        http_status=event.http_status,
        requested_model=event.requested_model,
        model=event.model,
        endpoint_id=event.endpoint_id,
        provider_slug=event.provider_slug,
        provider_name=event.provider_name,
        api_type=event.api_type,
        streamed=event.streamed,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nano_usd=event.cost_nano_usd,
        prompt_cost_nano_usd=event.prompt_cost_nano_usd,
        completion_cost_nano_usd=event.completion_cost_nano_usd,
        finish_reason=event.finish_reason,
        native_finish_reason=event.native_finish_reason,
        latency_ms=event.latency_ms,
        user_id=event.user_id,
        session_id=event.session_id,
        trace=_trace(event.trace_json),
        request_span=_span_place(traceparent),
    )


def _trace(text: bytes) -> Mapping[str, object]:
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _span_place(traceparent: str) -> SpanPlace | None:
    context = parse_traceparent(traceparent)
    return None if context is None else SpanPlace(f"{context.trace_id:032x}", f"{context.span_id:016x}")
