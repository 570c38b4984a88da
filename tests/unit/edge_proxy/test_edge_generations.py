"""The story of a request when the caller stays: replies, fallback, money, and what is recorded."""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest
from switchyard.common.v1.price_pb2 import PriceSnapshot
from switchyard.common.v1.tool_calls_pb2 import TOOL_CALL_VERDICT_UNKNOWN_NAME, TOOL_CALL_VERDICT_UNSPECIFIED
from switchyard.common.v1.usage_pb2 import USAGE_SOURCE_COUNTED, USAGE_SOURCE_PROVIDER
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.provider.v1.provider_pb2 import GenerateResponse

from libs.errors import AppError, Kind, unavailable
from tests.testkit.edge_proxy import (
    TRACEPARENT,
    Edge,
    Gate,
    chunks,
    end,
    planned,
    provider_failure,
    result,
    until,
)

GONE = unavailable("provider_adapter")


async def test_request_that_does_not_stream_gets_the_reply_with_usage_and_cost(edge: Edge) -> None:
    edge.adapter.will(result("Hi."), end(10, 5))
    reply = await edge.complete()
    assert reply["choices"][0]["message"]["content"] == "Hi."
    assert reply["usage"]["prompt_tokens"] == 10
    assert reply["usage"]["completion_tokens"] == 5
    assert Decimal(str(reply["usage"]["cost"])) == Decimal("0.00002")
    record = await edge.only_record()
    assert record.outcome == events.OUTCOME_COMPLETED
    assert record.http_status == 200
    assert record.cost_nano_usd == 10 * 1000 + 5 * 2000
    assert record.usage_source == USAGE_SOURCE_PROVIDER
    assert (record.endpoint_id, record.provider_name) == ("alpha/acme/model-one", "Alpha")
    assert record.price.version == "v1"
    assert [attempt.outcome for attempt in record.attempts] == [events.ATTEMPT_OUTCOME_SUCCEEDED]
    assert edge.usage_log.traceparents == [TRACEPARENT]
    assert not edge.ledger.held
    assert edge.ledger.voided == []


async def test_stream_relays_events_untouched_then_usage_then_done(edge: Edge) -> None:
    first, second = chunks("Hel", "lo"), chunks(" you")
    edge.adapter.will(first, second, end(10, 3))
    await edge.stream()
    assert edge.sink.written[:2] == [first.chunks.sse, second.chunks.sse]
    assert edge.sink.text.endswith(b"data: [DONE]\n\n")
    usage_chunk = edge.sink.chunks[-1]
    assert usage_chunk["choices"] == []
    assert usage_chunk["usage"]["total_tokens"] == 13
    assert usage_chunk["provider"] == "Alpha"
    assert [chunk for chunk in edge.sink.chunks if chunk.get("usage")] == [usage_chunk]
    record = await edge.only_record()
    assert record.streamed
    assert record.cost_nano_usd == 10 * 1000 + 3 * 2000


@pytest.mark.parametrize("stream", [True, False])
async def test_record_says_of_each_attempt_what_its_tool_calls_were_and_nothing_of_them(
    edge: Edge, stream: bool
) -> None:
    last = end(10, 5, finish_reason="tool_calls")
    last.end.tool_calls = TOOL_CALL_VERDICT_UNKNOWN_NAME
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(provider_failure("upstream", 500))
    edge.adapter.will(chunks("a") if stream else result("a"), last)
    await (edge.stream() if stream else edge.complete())
    verdicts = [attempt.tool_calls for attempt in (await edge.only_record()).attempts]
    assert verdicts == [TOOL_CALL_VERDICT_UNSPECIFIED, TOOL_CALL_VERDICT_UNKNOWN_NAME]


async def test_last_bytes_go_out_only_after_the_record_is_durable(edge: Edge) -> None:
    edge.adapter.will(chunks("a"), chunks("b"), end())
    await edge.stream()
    assert edge.journal == ["write", "write", "durable", "done"]


async def test_reply_that_does_not_stream_waits_until_the_record_is_durable(edge: Edge) -> None:
    edge.adapter.will(result(), end())
    gate = edge.usage_log.gate = Gate()
    reply = asyncio.ensure_future(edge.complete())
    await until(lambda: gate.reached)
    assert not reply.done()
    gate.open()
    await reply
    assert edge.journal == ["durable"]


@pytest.mark.parametrize("stream", [False, True])
async def test_failure_before_the_first_byte_falls_back_unseen_and_free(edge: Edge, stream: bool) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(provider_failure("upstream", 500))
    edge.adapter.will(chunks("ok") if stream else result("ok"), end(10, 5))
    if stream:
        await edge.stream()
        assert edge.sink.chunks[-1]["provider"] == "Beta"
    else:
        await edge.complete()
    record = await edge.only_record()
    assert record.provider_slug == "beta"
    assert record.cost_nano_usd == 20_000
    outcomes = [(a.provider_slug, a.outcome, a.status, a.error_class) for a in record.attempts]
    assert outcomes == [
        ("alpha", events.ATTEMPT_OUTCOME_FAILED, 500, "upstream"),
        ("beta", events.ATTEMPT_OUTCOME_SUCCEEDED, 200, ""),
    ]


async def test_every_attempt_failed_is_one_error_and_a_free_record(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(provider_failure("upstream", 500))
    edge.adapter.will(provider_failure("overloaded", 503))
    with pytest.raises(AppError) as caught:
        await edge.complete()
    assert caught.value.kind is Kind.NO_ROUTE
    record = await edge.only_record()
    assert (record.outcome, record.http_status, record.cost_nano_usd) == (events.OUTCOME_FAILED, 503, 0)
    assert record.model == ""
    assert len(record.attempts) == 2


REJECTED = provider_failure("invalid_request", 400, retryable_elsewhere="false", provider_message="bad tool")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error_class", ["invalid_request", "content_policy", "request_too_large"])
async def test_rejection_for_one_model_moves_on_to_the_next_model(edge: Edge, stream: bool, error_class: str) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta"), planned("gamma", model="acme/model-two")]
    edge.adapter.will(provider_failure(error_class, 400, retryable_elsewhere="false"))
    edge.adapter.will(chunks("ok") if stream else result("ok"), end(10, 5))
    if stream:
        await edge.stream(models=["acme/model-two"])
    else:
        await edge.complete(models=["acme/model-two"])
    record = await edge.only_record()
    assert record.model == "acme/model-two"
    assert [attempt.provider_slug for attempt in record.attempts] == ["alpha", "gamma"]
    assert record.cost_nano_usd == 20_000


async def test_rejected_model_is_not_asked_again_when_models_alternate(edge: Edge) -> None:
    two: dict[str, Any] = {"model": "acme/model-two"}
    edge.router.attempts = [planned("alpha"), planned("beta", **two), planned("gamma"), planned("delta", **two)]
    edge.adapter.will(REJECTED)
    edge.adapter.will(provider_failure("overloaded", 503))
    edge.adapter.will(result("ok"), end(10, 5))
    await edge.complete(models=["acme/model-two"])
    record = await edge.only_record()
    assert [attempt.provider_slug for attempt in record.attempts] == ["alpha", "beta", "delta"]


async def test_rejection_of_the_last_model_is_what_the_caller_is_told(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta", model="acme/model-two"), planned("gamma")]
    edge.adapter.will(REJECTED)
    edge.adapter.will(provider_failure("content_policy", 400, retryable_elsewhere="false", provider_message="not that"))
    with pytest.raises(AppError) as caught:
        await edge.complete(models=["acme/model-two"])
    assert (caught.value.http_status, caught.value.message) == (400, "not that")
    assert len(orjson.loads(caught.value.metadata["previous_errors"])) == 2
    assert (await edge.only_record()).http_status == 400


async def test_rejection_by_the_provider_is_not_tried_elsewhere(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(
        provider_failure("invalid_request", 400, retryable_elsewhere="false", provider_message="bad tool")
    )
    with pytest.raises(AppError) as caught:
        await edge.stream()
    assert (caught.value.http_status, caught.value.message) == (400, "bad tool")
    assert len(edge.adapter.calls) == 1
    assert edge.sink.written == []
    assert (await edge.only_record()).http_status == 400


async def test_error_after_the_first_chunk_is_the_last_event_and_free(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(chunks("Hel"), provider_failure("upstream", 502))
    await edge.stream()
    last = edge.sink.chunks[-1]
    assert last["error"]["code"] == 502
    assert last["choices"][0]["finish_reason"] == "error"
    assert last["provider"] == "Alpha"
    assert b"[DONE]" not in edge.sink.text
    assert len(edge.adapter.calls) == 1
    record = await edge.only_record()
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_FAILED, 0)
    assert [attempt.outcome for attempt in record.attempts] == [events.ATTEMPT_OUTCOME_FAILED]
    assert edge.journal == ["write", "durable", "write"]


@pytest.mark.parametrize("steps", [(chunks("Hel"),), (chunks("Hel"), GenerateResponse())])
async def test_stream_that_just_stops_is_an_error_not_a_clean_end(
    edge: Edge, steps: tuple[GenerateResponse, ...]
) -> None:
    edge.adapter.will(*steps)
    await edge.stream()
    assert edge.sink.chunks[-1]["error"]["code"] == 500
    assert b"[DONE]" not in edge.sink.text
    assert (await edge.only_record()).cost_nano_usd == 0


async def test_reply_without_an_end_is_an_internal_error(edge: Edge) -> None:
    edge.adapter.will(result())
    with pytest.raises(AppError) as caught:
        await edge.complete()
    assert caught.value.kind is Kind.INTERNAL
    assert (await edge.only_record()).outcome == events.OUTCOME_FAILED


async def test_adapter_that_is_away_is_retried_at_the_next_endpoint_and_said_as_503(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(GONE)
    edge.adapter.will(GONE)
    with pytest.raises(AppError) as caught:
        await edge.complete()
    assert caught.value.http_status == 503
    assert caught.value.retry_after_s is not None


async def test_capped_hold_reaches_the_provider_as_its_limit(edge: Edge) -> None:
    edge.ledger.granted = 300
    edge.adapter.will(result(), end())
    await edge.complete()
    assert edge.adapter.requests[0].max_tokens == 300
    assert (await edge.only_record()).max_tokens == 300


async def test_capped_hold_is_shared_by_all_choices(edge: Edge) -> None:
    edge.ledger.granted = 301
    edge.adapter.will(result(), end())
    await edge.complete(n=3)
    assert edge.adapter.requests[0].max_tokens == 100


async def test_hold_in_full_leaves_the_callers_limit_alone(edge: Edge) -> None:
    edge.adapter.will(result(), end())
    await edge.complete(max_tokens=50)
    assert not edge.adapter.requests[0].HasField("max_tokens")
    assert edge.ledger.wishes[0].tokens == 50
    assert (await edge.only_record()).max_tokens == 50


async def test_refused_hold_is_told_and_nothing_is_attempted(edge: Edge) -> None:
    edge.ledger.failure = AppError(Kind.PAYMENT, "INSUFFICIENT_CREDITS", "no", {"affordable_tokens": "3"})
    with pytest.raises(AppError) as caught:
        await edge.complete()
    assert caught.value.http_status == 402
    assert edge.adapter.calls == []
    await edge.settled()
    assert edge.ledger.voided == []


async def test_hold_whose_answer_was_lost_is_voided(edge: Edge) -> None:
    edge.ledger.failure = unavailable("billing_ledger")
    generation = edge.new()
    edge.ledger.held.add(generation.id)
    with pytest.raises(AppError):
        await edge.generations.admit(generation)
    await edge.settled()
    assert edge.ledger.voided == [generation.id]


async def test_absurd_usage_goes_to_review_and_costs_nothing(edge: Edge) -> None:
    edge.adapter.will(chunks("Hi"), end(10, 1_000_000))
    await edge.stream()
    assert edge.sink.chunks[-1]["usage"]["cost"] == 0
    record = await edge.only_record()
    assert record.review_reason == "completion_tokens_exceed_bytes"
    assert record.cost_nano_usd == 0
    assert record.usage.completion_tokens == 1_000_000


@pytest.mark.parametrize(
    ("prompt", "completion", "parts"),
    [
        (10, 5, {"reasoning_tokens": 6}),
        (10, 5, {"cache_read_tokens": 6, "cache_write_tokens": 5}),
        (-1, 5, {}),
        (10, -5, {}),
        (10, 5, {"cache_read_tokens": -1}),
        (10, 2**62, {"reasoning_tokens": 2**62}),
    ],
)
async def test_usage_that_contradicts_itself_goes_to_review_and_the_caller_gets_the_reply(
    edge: Edge, prompt: int, completion: int, parts: dict[str, Any]
) -> None:
    edge.adapter.will(result(), end(prompt, completion, **parts))
    assert (await edge.complete())["usage"]["cost"] == 0
    record = await edge.only_record()
    assert record.review_reason
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_COMPLETED, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_missing_usage_is_counted_here_charged_and_flagged(edge: Edge, stream: bool) -> None:
    edge.adapter.will(chunks("one two", " three") if stream else result("one two three"), end(None))
    usage = (await edge.stream())[-1]["usage"] if stream else (await edge.complete())["usage"]
    record = await edge.only_record()
    assert record.usage_source == USAGE_SOURCE_COUNTED
    assert record.usage.completion_tokens == 3 == usage["completion_tokens"]
    prompt = record.usage.prompt_tokens
    assert prompt == edge.router.requests[0].features.prompt_tokens_estimate
    assert record.cost_nano_usd == prompt * 1000 + 3 * 2000


async def test_zero_completion_is_free_and_is_not_tried_elsewhere(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(result(""), end(10, 0, finish_reason=""))
    assert (await edge.complete())["usage"]["cost"] == 0
    record = await edge.only_record()
    assert (record.outcome, record.http_status, record.cost_nano_usd) == (events.OUTCOME_COMPLETED, 200, 0)


async def test_price_of_the_plan_is_charged_whatever_it_is(edge: Edge) -> None:
    price = PriceSnapshot(prompt=1_000_000, completion=3_000_000, request=7_000_000, cache_read=0, reasoning=9_000_000)
    edge.router.attempts = [planned("alpha", price=price)]
    edge.adapter.will(result("x" * 100), end(100, 10, cache_read_tokens=40, reasoning_tokens=4))
    await edge.complete()
    record = await edge.only_record()
    assert record.prompt_cost_nano_usd == 60
    assert record.completion_cost_nano_usd == 6 * 3 + 4 * 9
    assert record.request_cost_nano_usd == 7
    assert record.cost_nano_usd == 60 + 54 + 7


@pytest.mark.parametrize(("bound", "expected"), [(99, (100 * 5, 10 * 7)), (100, (100 * 1, 10 * 3))])
async def test_long_prompt_is_charged_at_the_prices_of_its_tier(
    edge: Edge, bound: int, expected: tuple[int, int]
) -> None:
    price = PriceSnapshot(prompt=1_000_000, completion=3_000_000)
    price.tiers.add(min_prompt_tokens=bound, prompt=5_000_000, completion=7_000_000)
    edge.router.attempts = [planned("alpha", price=price)]
    edge.adapter.will(result("x" * 100), end(100, 10))
    await edge.complete()
    record = await edge.only_record()
    assert (record.prompt_cost_nano_usd, record.completion_cost_nano_usd) == expected
    assert record.price == price


@pytest.mark.parametrize("stream", [False, True])
async def test_usage_that_cannot_be_recorded_means_no_clean_reply_and_no_hold(edge: Edge, stream: bool) -> None:
    edge.usage_log.failure = unavailable("spool")
    edge.adapter.will(chunks("a") if stream else result(), end())
    with pytest.raises(AppError):
        await (edge.stream() if stream else edge.complete())
    await edge.settled()
    assert b"[DONE]" not in edge.sink.text
    assert len(edge.ledger.voided) == 1
    assert not edge.ledger.held


async def test_failure_that_cannot_be_recorded_still_tells_its_own_error_and_voids(edge: Edge) -> None:
    edge.usage_log.failure = unavailable("spool")
    edge.adapter.will(provider_failure("rate_limited", 429))
    with pytest.raises(AppError) as caught:
        await edge.complete()
    assert caught.value.http_status == 429
    await edge.settled()
    assert not edge.ledger.held


@pytest.mark.parametrize("stream", [False, True])
async def test_bug_in_the_adapters_client_leaves_a_failed_record_and_no_hold(edge: Edge, stream: bool) -> None:
    edge.adapter.will(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await (edge.stream() if stream else edge.complete())
    record = await edge.only_record()
    assert (record.outcome, record.http_status, record.cost_nano_usd) == (events.OUTCOME_FAILED, 500, 0)
    assert not edge.ledger.held


async def test_bug_while_relaying_ends_the_providers_call(edge: Edge) -> None:
    edge.adapter.will(chunks("Hel"), RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await edge.stream()
    assert edge.adapter.calls[0].cancelled
    assert (await edge.only_record()).cost_nano_usd == 0


async def test_bug_in_the_usage_log_leaves_no_hold(edge: Edge) -> None:
    edge.usage_log.failure = RuntimeError("a bug")
    edge.adapter.will(result(), end())
    with pytest.raises(RuntimeError):
        await edge.complete()
    await edge.settled()
    assert not edge.ledger.held


async def test_attempt_gets_what_the_plan_says(edge: Edge) -> None:
    edge.router.attempts = [planned("alpha", unsupported_parameters=["seed"])]
    edge.adapter.will(result(), end())
    await edge.complete(user="somebody", seed=1)
    request = edge.adapter.requests[0]
    assert request.provider_model_id == "alpha-model"
    assert list(request.unsupported_parameters) == ["seed"]
    assert (request.limits.connect_ms, request.limits.total_ms) == (1000, 4000)
    assert edge.adapter.timeouts_s[0] > 4.0
    assert len(request.user_hash) == 64
    assert "somebody" not in request.user_hash
    assert request.generation_id == (await edge.only_record()).generation_id
    assert orjson.loads(request.body)["user"] == "somebody"


async def test_record_holds_neither_prompt_nor_completion(edge: Edge) -> None:
    edge.adapter.will(result("a very private answer"), end())
    await edge.complete(messages=[{"role": "user", "content": "a very private question"}])
    assert b"private" not in (await edge.only_record()).SerializeToString()


async def test_model_names_with_quotes_and_accents_stay_valid_json(edge: Edge) -> None:
    name = 'Ünïcode "quoted" \\ 😀\n'
    edge.router.attempts = [planned("alpha", provider_name=name)]
    edge.adapter.will(chunks("a"), end())
    await edge.stream()
    assert edge.sink.chunks[-1]["provider"] == name
