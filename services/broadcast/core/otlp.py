"""A generation as OpenTelemetry spans in OTLP/JSON (reference behaviour-facts §15).

Owns span names, places in the trace and attributes. Does not serialize or send. Invariant: the same generation always
makes the same spans.

64-bit integers are decimal strings and enums are numbers, as OTLP's JSON encoding has it. Money is a `Decimal`: whoever
serializes prints it exactly.
"""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from services.broadcast.core.generation import Generation, Outcome
from services.broadcast.core.ids import span_id_as_given, span_id_of, trace_id_as_given, trace_id_of

Span = dict[str, Any]

_MAX_NAME = 256
_MAX_USER_ID = 128
_MAX_SESSION_ID = 256
_MAX_VALUE = 4_096
_KIND_INTERNAL, _KIND_CLIENT = 1, 3
_STATUS_OK, _STATUS_ERROR = 1, 2
_NANO_PER_MS = 1_000_000
_INT64 = 2**63
_LATEST_MS = (_INT64 - 1) // _NANO_PER_MS  # receivers keep nanoseconds in 64 bits
_OPERATIONS = {"embeddings": "embeddings", "rerank": "rerank"}
_OUTCOMES = {outcome: outcome.name.lower() for outcome in Outcome}
_ABOVE = (("root", "trace_name"), ("step", "span_name"))
_PLACING = frozenset({"trace_id", "parent_span_id", "trace_name", "span_name", "generation_name"})


def spans_of(generation: Generation) -> list[Span]:
    """The generation's span, after the spans that the caller's `trace_name` and `span_name` put above it."""
    trace_id = _trace_id(generation)
    parent = _outer_parent(generation, trace_id)
    times = _times(generation)
    spans: list[Span] = []
    for kind, key in _ABOVE:
        name = _text(generation.trace, key)
        if name:
            span_id = span_id_of(kind, trace_id, parent or "", name)
            spans.append(_span(trace_id, span_id, parent, name, _KIND_INTERNAL, times))
            parent = span_id
    name = _text(generation.trace, "generation_name") or generation.model or generation.requested_model or "generation"
    span = _span(trace_id, span_id_of("generation", generation.generation_id), parent, name, _KIND_CLIENT, times)
    span["attributes"] = _attributes(generation)
    span["status"] = _status(generation)
    spans.append(span)
    return spans


def count_spans(generation: Generation) -> int:
    """How many `spans_of` will make."""
    return 1 + sum(bool(_text(generation.trace, key)) for _, key in _ABOVE)


def payload_of(spans: Iterable[Span], service_name: str) -> dict[str, Any]:
    """An OTLP `ExportTraceServiceRequest`; a span that comes several times spans all of their times."""
    merged: dict[tuple[str, str], Span] = {}
    for span in spans:
        key = span["traceId"], span["spanId"]
        known = merged.get(key)
        if known is None:
            merged[key] = span
        else:
            start = min(int(known["startTimeUnixNano"]), int(span["startTimeUnixNano"]))
            end = max(int(known["endTimeUnixNano"]), int(span["endTimeUnixNano"]))
            merged[key] = {**known, "startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
    resource = {"attributes": [_attribute("service.name", service_name), _attribute("service.version", "1.0.0")]}
    scope = {"scope": {"name": service_name, "version": "1.0.0"}, "spans": list(merged.values())}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _trace_id(generation: Generation) -> str:
    given = _text(generation.trace, "trace_id")
    if given:
        return trace_id_as_given(given) or trace_id_of(given)
    if generation.request_span is not None:
        return generation.request_span.trace_id
    return trace_id_of(generation.generation_id)


def _outer_parent(generation: Generation, trace_id: str) -> str | None:
    """What the caller names; else the request's span, if that is in the same trace."""
    given = span_id_as_given(_text(generation.trace, "parent_span_id"))
    if given is not None:
        return given
    request_span = generation.request_span
    return request_span.span_id if request_span is not None and request_span.trace_id == trace_id else None


def _times(generation: Generation) -> tuple[str, str]:
    start_ms = min(max(generation.created_at_ms, 0), _LATEST_MS)
    end_ms = min(start_ms + max(generation.generation_time_ms, 0), _LATEST_MS)
    return str(start_ms * _NANO_PER_MS), str(end_ms * _NANO_PER_MS)


def _span(trace_id: str, span_id: str, parent: str | None, name: str, kind: int, times: tuple[str, str]) -> Span:
    span: Span = {"traceId": trace_id, "spanId": span_id}
    if parent is not None:
        span["parentSpanId"] = parent
    span.update(name=name[:_MAX_NAME], kind=kind, startTimeUnixNano=times[0], endTimeUnixNano=times[1], attributes=[])
    return span


def _status(generation: Generation) -> dict[str, Any]:
    if generation.outcome is Outcome.FAILED:
        return {"code": _STATUS_ERROR, "message": f"HTTP {generation.http_status}"}
    return {"code": _STATUS_OK}


def _attributes(generation: Generation) -> list[dict[str, Any]]:
    """Texts that are there, all figures, and what the caller said."""
    texts = {
        "gen_ai.operation.name": _OPERATIONS.get(generation.api_type, "chat"),
        "gen_ai.system": generation.provider_slug,
        "gen_ai.provider.name": generation.provider_name,
        "gen_ai.request.model": generation.requested_model,
        "gen_ai.response.model": generation.model,
        "gen_ai.response.id": generation.generation_id,
        "gen_ai.response.finish_reason": generation.finish_reason,
        "user.id": generation.user_id[:_MAX_USER_ID],
        "session.id": generation.session_id[:_MAX_SESSION_ID],
        "switchyard.account_id": generation.account_id,
        "switchyard.endpoint_id": generation.endpoint_id,
        "switchyard.native_finish_reason": generation.native_finish_reason,
        "switchyard.outcome": _OUTCOMES[generation.outcome],
    }
    figures = {
        # Both naming schemes are in use among receivers.
        "gen_ai.usage.prompt_tokens": generation.prompt_tokens,
        "gen_ai.usage.completion_tokens": generation.completion_tokens,
        "gen_ai.usage.input_tokens": generation.prompt_tokens,
        "gen_ai.usage.output_tokens": generation.completion_tokens,
        "gen_ai.usage.total_tokens": generation.prompt_tokens + generation.completion_tokens,
        "gen_ai.usage.input_tokens.cached": generation.cache_read_tokens,
        "gen_ai.usage.output_tokens.reasoning": generation.reasoning_tokens,
        "http.response.status_code": generation.http_status,
        "switchyard.latency_ms": generation.latency_ms,
    }
    amounts = {
        "gen_ai.usage.cost": generation.cost_nano_usd,
        "gen_ai.usage.total_cost": generation.cost_nano_usd,
        "gen_ai.usage.input_cost": generation.prompt_cost_nano_usd,
        "gen_ai.usage.output_cost": generation.completion_cost_nano_usd,
    }
    attributes: list[dict[str, Any]] = [
        {"key": key, "value": {"stringValue": text[:_MAX_VALUE]}} for key, text in texts.items() if text
    ]
    attributes += [{"key": key, "value": {"intValue": str(figure)}} for key, figure in figures.items()]
    attributes += [
        {"key": key, "value": {"doubleValue": Decimal(amount).scaleb(-9)}} for key, amount in amounts.items()
    ]
    attributes.append(_attribute("switchyard.streamed", generation.streamed))
    if generation.finish_reason:
        attributes.append(_attribute("gen_ai.response.finish_reasons", [generation.finish_reason]))
    attributes += [_attribute(f"trace.metadata.{key}", value) for key, value in _metadata(generation)]
    return attributes


def _metadata(generation: Generation) -> Iterable[tuple[str, object]]:
    """The caller's own keys, and ids of theirs that could not be taken as they are."""
    for key, value in generation.trace.items():
        misfit = (key == "trace_id" and trace_id_as_given(_text(generation.trace, key)) is None) or (
            key == "parent_span_id" and span_id_as_given(_text(generation.trace, key)) is None
        )
        if value is not None and (key not in _PLACING or misfit):
            yield key, value


def _attribute(key: str, value: object) -> dict[str, Any]:
    return {"key": key, "value": _value(value)}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value[:_MAX_VALUE]}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return {"intValue": str(value)}
    if isinstance(value, float) and math.isfinite(value):
        return {"doubleValue": value}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": json.dumps(value, ensure_ascii=False)[:_MAX_VALUE]}


def _text(source: Mapping[str, object], key: str) -> str:
    value = source.get(key)
    return value if isinstance(value, str) else ""
