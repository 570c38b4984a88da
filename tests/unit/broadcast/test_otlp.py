"""The payload: what a receiver of OTLP/JSON sees of a generation."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.broadcast.core.generation import Generation, Outcome, SpanPlace
from services.broadcast.core.ids import trace_id_of
from services.broadcast.core.otlp import count_spans, payload_of, spans_of
from services.broadcast.webhook import encoded
from tests.testkit.broadcast import attributes_of, spans_in

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OTHER_TRACE, OTHER_PARENT = "a" * 32, "b" * 16
GENERATION = Generation(
    generation_id="gen-1",
    account_id="acct_1",
    created_at_ms=1_795_478_400_000,
    generation_time_ms=1_500,
    outcome=Outcome.COMPLETED,
    http_status=200,
    requested_model="acme/asked",
    model="acme/small",
    endpoint_id="acme-cloud:acme/small",
    provider_slug="acme-cloud",
    provider_name="Acme Cloud",
    api_type="completions",
    streamed=True,
    prompt_tokens=10,
    completion_tokens=20,
    cache_read_tokens=4,
    reasoning_tokens=5,
    cost_nano_usd=1_234_567,
    prompt_cost_nano_usd=234_567,
    completion_cost_nano_usd=1_000_000,
    finish_reason="stop",
    native_finish_reason="end_turn",
    latency_ms=200,
    user_id="user-7",
    session_id="session-9",
    request_span=SpanPlace(TRACE, PARENT),
)


def only_span(generation: Generation) -> dict[str, Any]:
    [span] = spans_of(generation)
    return span


def test_generation_becomes_one_span_with_every_fact() -> None:
    span = only_span(GENERATION)
    assert (span["traceId"], span["parentSpanId"], span["name"]) == (TRACE, PARENT, "acme/small")
    assert span["startTimeUnixNano"] == "1795478400000000000"
    assert span["endTimeUnixNano"] == "1795478401500000000"
    assert (span["kind"], span["status"]) == (3, {"code": 1})
    assert attributes_of(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "acme-cloud",
        "gen_ai.provider.name": "Acme Cloud",
        "gen_ai.request.model": "acme/asked",
        "gen_ai.response.model": "acme/small",
        "gen_ai.response.id": "gen-1",
        "gen_ai.response.finish_reason": "stop",
        "gen_ai.response.finish_reasons": {"values": [{"stringValue": "stop"}]},
        "gen_ai.usage.prompt_tokens": "10",
        "gen_ai.usage.completion_tokens": "20",
        "gen_ai.usage.input_tokens": "10",
        "gen_ai.usage.output_tokens": "20",
        "gen_ai.usage.total_tokens": "30",
        "gen_ai.usage.input_tokens.cached": "4",
        "gen_ai.usage.output_tokens.reasoning": "5",
        "gen_ai.usage.cost": Decimal("0.001234567"),
        "gen_ai.usage.total_cost": Decimal("0.001234567"),
        "gen_ai.usage.input_cost": Decimal("0.000234567"),
        "gen_ai.usage.output_cost": Decimal("0.001"),
        "user.id": "user-7",
        "session.id": "session-9",
        "http.response.status_code": "200",
        "switchyard.account_id": "acct_1",
        "switchyard.endpoint_id": "acme-cloud:acme/small",
        "switchyard.native_finish_reason": "end_turn",
        "switchyard.outcome": "completed",
        "switchyard.streamed": True,
        "switchyard.latency_ms": "200",
    }


def test_failed_request_is_an_error_without_empty_attributes() -> None:
    failed = Generation("gen-2", "acct_1", 1_795_478_400_000, 30, Outcome.FAILED, 503, requested_model="acme/asked")
    span = only_span(failed)
    assert (span["name"], span["status"]) == ("acme/asked", {"code": 2, "message": "HTTP 503"})
    attributes = attributes_of(span)
    assert "" not in attributes.values()
    assert {"gen_ai.response.model", "gen_ai.system", "user.id", "gen_ai.response.finish_reasons"}.isdisjoint(
        attributes
    )
    assert (attributes["gen_ai.usage.cost"], attributes["gen_ai.usage.total_tokens"]) == (0, "0")


@pytest.mark.parametrize(
    ("trace", "request_span", "trace_id", "parent"),
    [
        ({}, SpanPlace(TRACE, PARENT), TRACE, PARENT),
        ({}, None, trace_id_of("gen-1"), None),
        ({"trace_id": OTHER_TRACE}, SpanPlace(TRACE, PARENT), OTHER_TRACE, None),
        ({"trace_id": OTHER_TRACE, "parent_span_id": OTHER_PARENT}, None, OTHER_TRACE, OTHER_PARENT),
        ({"trace_id": TRACE.upper()}, SpanPlace(TRACE, PARENT), TRACE, PARENT),
        ({"parent_span_id": OTHER_PARENT}, SpanPlace(TRACE, PARENT), TRACE, OTHER_PARENT),
        ({"parent_span_id": "step-1"}, SpanPlace(TRACE, PARENT), TRACE, PARENT),
        ({"trace_id": "0123abcd-0123-0123-0123-0123456789ab"}, None, "0123abcd0123012301230123456789ab", None),
        ({"trace_id": "workflow-1"}, SpanPlace(TRACE, PARENT), trace_id_of("workflow-1"), None),
        ({"trace_id": 7, "parent_span_id": None}, SpanPlace(TRACE, PARENT), TRACE, PARENT),
    ],
)
def test_place_in_the_trace_is_the_callers_or_that_of_the_request(
    trace: Mapping[str, object], request_span: SpanPlace | None, trace_id: str, parent: str | None
) -> None:
    span = only_span(replace(GENERATION, trace=trace, request_span=request_span))
    assert (span["traceId"], span.get("parentSpanId")) == (trace_id, parent)


def test_ids_that_cannot_be_taken_are_shown_as_metadata() -> None:
    span = only_span(replace(GENERATION, trace={"trace_id": "workflow-1", "parent_span_id": "step-1"}))
    attributes = attributes_of(span)
    assert attributes["trace.metadata.trace_id"] == "workflow-1"
    assert attributes["trace.metadata.parent_span_id"] == "step-1"


def test_names_of_the_caller_make_a_hierarchy() -> None:
    trace = {"trace_name": "Pipeline", "span_name": "Summarise", "generation_name": "Draft"}
    root, step, generation = spans_of(replace(GENERATION, trace=trace))
    assert [root["name"], step["name"], generation["name"]] == ["Pipeline", "Summarise", "Draft"]
    assert root["parentSpanId"] == PARENT
    assert step["parentSpanId"] == root["spanId"]
    assert generation["parentSpanId"] == step["spanId"]
    assert {span["traceId"] for span in (root, step, generation)} == {TRACE}
    assert not any(key.startswith("trace.metadata") for key in attributes_of(generation))


@pytest.mark.parametrize(
    ("trace", "count"),
    [({}, 1), ({"generation_name": "x"}, 1), ({"trace_name": "x"}, 2), ({"span_name": "x", "trace_name": "y"}, 3)],
)
def test_spans_are_counted_before_they_are_made(trace: Mapping[str, object], count: int) -> None:
    generation = replace(GENERATION, trace=trace)
    assert count_spans(generation) == len(spans_of(generation)) == count


def test_generations_of_one_trace_share_its_root_which_spans_them_all() -> None:
    trace = {"trace_id": OTHER_TRACE, "trace_name": "Pipeline"}
    first = replace(GENERATION, trace=trace, request_span=None)
    second = replace(first, generation_id="gen-2", created_at_ms=first.created_at_ms + 60_000)
    payload = payload_of(spans_of(second) + spans_of(first), "switchyard")
    root, *generations = spans_in(payload)
    assert root["name"] == "Pipeline"
    assert [span["parentSpanId"] for span in generations] == [root["spanId"]] * 2
    assert len({span["spanId"] for span in generations}) == 2
    assert (root["startTimeUnixNano"], root["endTimeUnixNano"]) == ("1795478400000000000", "1795478461500000000")


def test_the_same_generation_makes_the_same_spans() -> None:
    trace = {"trace_name": "Pipeline", "x": 1}
    assert spans_of(replace(GENERATION, trace=trace)) == spans_of(replace(GENERATION, trace=dict(trace)))


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        ("text", {"stringValue": "text"}),
        (True, {"boolValue": True}),
        (-3, {"intValue": "-3"}),
        (2**63, {"stringValue": "9223372036854775808"}),
        (0.5, {"doubleValue": 0.5}),
        (["a", "b"], {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}),
        ([1, "a"], {"stringValue": '[1, "a"]'}),
        ({"naïve": [1]}, {"stringValue": '{"naïve": [1]}'}),
        ("x" * 5_000, {"stringValue": "x" * 4_096}),
    ],
)
def test_further_keys_of_the_caller_are_metadata_of_their_type(value: object, typed: dict[str, Any]) -> None:
    span = only_span(replace(GENERATION, trace={"environment": value, "absent": None}))
    found = [one for one in span["attributes"] if one["key"].startswith("trace.metadata.")]
    assert found == [{"key": "trace.metadata.environment", "value": typed}]


def test_texts_of_callers_are_cut_to_their_bounds() -> None:
    long = "x" * 1_000
    span = only_span(replace(GENERATION, user_id=long, session_id=long, trace={"generation_name": long}))
    attributes = attributes_of(span)
    assert (len(attributes["user.id"]), len(attributes["session.id"]), len(span["name"])) == (128, 256, 256)


@pytest.mark.parametrize(("created_at_ms", "generation_time_ms"), [(-5, -5), (2**62, 2**62), (0, 0)])
def test_impossible_times_stay_within_what_receivers_can_read(created_at_ms: int, generation_time_ms: int) -> None:
    span = only_span(replace(GENERATION, created_at_ms=created_at_ms, generation_time_ms=generation_time_ms))
    assert 0 <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) < 2**64


def test_payload_on_the_wire_is_otlp_json() -> None:
    trace = {"trace_name": "Pipeline", "environment": {"a": [1, None]}, "weights": [0.5]}
    wire = encoded(payload_of(spans_of(replace(GENERATION, trace=trace)), "switchyard"))
    assert b'{"key":"gen_ai.usage.cost","value":{"doubleValue":0.001234567}}' in wire
    message = orjson.loads(wire)
    for span in spans_in(message):
        for key in ("traceId", "spanId", "parentSpanId"):  # OTLP has hexadecimal where protobuf's JSON has base64
            span.pop(key)
    request = ParseDict(message, ExportTraceServiceRequest())
    assert request.resource_spans[0].resource.attributes[0].value.string_value == "switchyard"
    assert [span.name for span in request.resource_spans[0].scope_spans[0].spans] == ["Pipeline", "acme/small"]


@pytest.mark.parametrize("amount", [0, 1, 999_999_999, 10**9, 2**63 - 1])
def test_money_is_printed_exactly(amount: int) -> None:
    wire = encoded(payload_of(spans_of(replace(GENERATION, cost_nano_usd=amount)), "switchyard"))
    text = wire.split(b'"gen_ai.usage.cost","value":{"doubleValue":')[1].split(b"}")[0].decode()
    assert "e" not in text.lower()
    assert Decimal(text) * 10**9 == amount
