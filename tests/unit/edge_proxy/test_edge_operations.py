"""Embeddings, rerank and text completions at the HTTP door: routed, held, charged and recorded like chat."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from switchyard.common.v1.price_pb2 import PriceSnapshot
from switchyard.common.v1.usage_pb2 import USAGE_SOURCE_COUNTED, TokenUsage
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.provider.v1.provider_pb2 import End, GenerateResponse, Result

from libs.errors import AppError, Kind
from tests.testkit.edge_http import AUTHORIZATION, MANAGEMENT_KEY, HttpDoor, Reply
from tests.testkit.edge_proxy import MODEL, chunks, end, planned, provider_failure, result

EMBEDDINGS = {"model": MODEL, "input": ["hello world", "hello"]}
RERANK = {"model": MODEL, "query": "which?", "documents": ["one", "two"]}
COMPLETION = {"model": MODEL, "prompt": "Once upon"}
BODIES: dict[str, dict[str, Any]] = {"embeddings": EMBEDDINGS, "rerank": RERANK, "completions": COMPLETION}
PER_SEARCH = PriceSnapshot(request=2_000_000_000_000, version="v1")
VECTORS = {"id": "gen-x", "object": "list", "data": [], "model": MODEL}


async def ask(door: HttpDoor, path: str, body: dict[str, Any], key: str | None = None) -> Reply:
    headers = {"Authorization": f"Bearer {key}"} if key else AUTHORIZATION
    return await door.request("POST", f"/api/v1/{path}", data=orjson.dumps(body), headers=headers)


def answer(value: dict[str, Any]) -> GenerateResponse:
    return GenerateResponse(result=Result(json=orjson.dumps(value)))


def ended(**usage: int) -> GenerateResponse:
    """The end of an attempt that completes nothing: no finish reason."""
    return GenerateResponse(
        end=End(usage=TokenUsage(**usage) if usage else None, upstream_id="up-1", upstream_status=200)
    )


async def test_embeddings_are_charged_for_their_prompt_although_nothing_is_completed(door: HttpDoor) -> None:
    door.edge.adapter.will(answer(VECTORS), ended(prompt_tokens=4))
    reply = await ask(door, "embeddings", EMBEDDINGS)
    assert reply.status == 200
    assert reply.json["object"] == "list"
    assert reply.json["usage"] == {
        "prompt_tokens": 4, "total_tokens": 4, "cost": 0.000004, "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None, "upstream_inference_prompt_cost": 0.000004,
            "upstream_inference_completions_cost": 0,
        },
    }  # fmt: skip
    record = await door.edge.only_record()
    assert reply.headers["X-Generation-Id"] == record.generation_id
    assert (record.api_type, record.outcome, record.cost_nano_usd) == ("embeddings", events.OUTCOME_COMPLETED, 4_000)
    assert (record.usage.prompt_tokens, record.usage.completion_tokens, record.finish_reason) == (4, 0, "")


async def test_embeddings_hold_their_prompt_and_are_planned_by_the_longest_input(door: HttpDoor) -> None:
    door.edge.adapter.will(answer(VECTORS), ended(prompt_tokens=3))
    await ask(door, "embeddings", EMBEDDINGS)
    [wish] = door.edge.ledger.wishes
    assert (wish.tokens, wish.minimum_tokens, wish.fixed_nano_usd) == (0, 0, 3_000)
    [plan] = door.edge.router.requests
    assert (plan.features.operation, plan.features.prompt_tokens_estimate) == ("embeddings", 2)
    [request] = door.edge.adapter.requests
    assert (request.operation, request.stream, request.HasField("max_tokens")) == ("embeddings", False, False)
    assert orjson.loads(request.body) == EMBEDDINGS


async def test_embeddings_without_figures_are_counted_here(door: HttpDoor) -> None:
    door.edge.adapter.will(answer(VECTORS), ended())
    reply = await ask(door, "embeddings", EMBEDDINGS)
    assert reply.json["usage"]["prompt_tokens"] == 3
    assert (await door.edge.only_record()).usage_source == USAGE_SOURCE_COUNTED


async def test_searches_are_held_and_charged_at_the_price_of_a_request(door: HttpDoor) -> None:
    door.edge.router.attempts = [planned(price=PER_SEARCH)]
    door.edge.adapter.will(answer({"id": "gen-x", "model": MODEL, "results": []}), ended(search_units=3))
    reply = await ask(door, "rerank", {**RERANK, "documents": ["one"] * 201})
    assert door.edge.ledger.wishes[0].fixed_nano_usd == 3 * 2_000_000
    usage = reply.json["usage"]
    assert (usage["search_units"], Decimal(str(usage["cost"]))) == (3, Decimal("0.006"))
    record = await door.edge.only_record()
    assert (record.api_type, record.usage.search_units, record.request_cost_nano_usd) == ("rerank", 3, 6_000_000)
    assert record.cost_nano_usd == 6_000_000


async def test_searches_that_nobody_counted_are_counted_here(door: HttpDoor) -> None:
    door.edge.router.attempts = [planned(price=PER_SEARCH)]
    door.edge.adapter.will(answer({"results": []}), ended())
    reply = await ask(door, "rerank", {**RERANK, "documents": ["one"] * 101})
    assert reply.json["usage"]["search_units"] == 2
    assert (await door.edge.only_record()).usage_source == USAGE_SOURCE_COUNTED


async def test_rerank_by_tokens_counts_the_query_with_each_document(door: HttpDoor) -> None:
    door.edge.adapter.will(answer({"results": []}), ended(search_units=1))
    reply = await ask(door, "rerank", RERANK)
    record = await door.edge.only_record()
    assert record.usage.prompt_tokens == 2 * 2 + 2
    assert record.cost_nano_usd == 6_000
    assert reply.json["usage"]["total_tokens"] == 6


async def test_rerank_that_is_far_dearer_than_its_documents_waits_in_review(door: HttpDoor) -> None:
    door.edge.router.attempts = [planned(price=PER_SEARCH)]
    door.edge.adapter.will(answer({"results": []}), ended(search_units=9))
    reply = await ask(door, "rerank", RERANK)
    assert reply.json["usage"]["cost"] == 0
    assert (await door.edge.only_record()).review_reason == "search_units_exceed_documents"


async def test_prompt_is_answered_by_a_model_that_chats(door: HttpDoor) -> None:
    door.edge.adapter.will(result(" a time"), end(12, 3))
    reply = await ask(door, "completions", {**COMPLETION, "echo": True})
    assert (reply.json["object"], reply.json["choices"][0]["text"]) == ("text_completion", "Once upon a time")
    assert reply.json["usage"]["completion_tokens"] == 3
    [request] = door.edge.adapter.requests
    assert request.operation == "chat"
    assert orjson.loads(request.body)["messages"] == [{"role": "user", "content": "Once upon"}]
    record = await door.edge.only_record()
    assert (record.api_type, record.generation_id) == ("completions", reply.headers["X-Generation-Id"])


async def test_prompt_goes_as_a_prompt_to_a_model_that_completes_and_as_a_chat_to_the_next(door: HttpDoor) -> None:
    door.edge.router.attempts = [planned("native", serves=["completions"]), planned("chats")]
    door.edge.adapter.will(provider_failure("upstream", 500))
    door.edge.adapter.will(result(" a time"), end())
    reply = await ask(door, "completions", COMPLETION)
    assert reply.json["choices"][0]["text"] == " a time"
    first, second = door.edge.adapter.requests
    assert (first.operation, orjson.loads(first.body)["prompt"]) == ("completions", "Once upon")
    assert (second.operation, "prompt" in orjson.loads(second.body)) == ("chat", False)


async def test_prompt_streams_text_completions_with_the_usage_and_the_end(door: HttpDoor) -> None:
    door.edge.adapter.will(chunks(" a"), chunks(" time"), end(12, 2))
    reply = await ask(door, "completions", {**COMPLETION, "stream": True})
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    read = [orjson.loads(line[6:]) for line in reply.body.split(b"\n\n") if line.startswith(b"data: {")]
    assert "".join(choice["text"] for chunk in read for choice in chunk["choices"]) == " a time"
    assert {chunk["object"] for chunk in read} == {"text_completion"}
    assert read[-1]["usage"]["completion_tokens"] == 2


async def test_prompt_whose_stream_breaks_ends_with_the_error_in_its_own_dialect(door: HttpDoor) -> None:
    door.edge.adapter.will(chunks(" a"), provider_failure("upstream", 500))
    reply = await ask(door, "completions", {**COMPLETION, "stream": True})
    assert b"[DONE]" not in reply.body
    last = orjson.loads(reply.body.strip().split(b"\n\n")[-1][6:])
    assert last["object"] == "text_completion"
    assert last["error"]["code"] == 502
    assert (last["choices"][0]["text"], last["choices"][0]["finish_reason"]) == ("", "error")
    assert (await door.edge.only_record()).cost_nano_usd == 0


async def test_empty_text_completion_is_free(door: HttpDoor) -> None:
    door.edge.adapter.will(result(""), end(12, 0, finish_reason=""))
    reply = await ask(door, "completions", COMPLETION)
    assert (reply.status, reply.json["usage"]["cost"]) == (200, 0)


@pytest.mark.parametrize("path", BODIES)
async def test_failed_attempt_is_free_and_the_next_one_answers(door: HttpDoor, path: str) -> None:
    door.edge.router.attempts = [planned("alpha"), planned("beta")]
    door.edge.adapter.will(provider_failure("overloaded", 503))
    reply_json = result("x") if path == "completions" else answer(VECTORS)
    door.edge.adapter.will(reply_json, end(10, 1) if path == "completions" else ended(prompt_tokens=10))
    reply = await ask(door, path, BODIES[path])
    assert reply.status == 200
    record = await door.edge.only_record()
    assert [one.provider_slug for one in record.attempts] == ["alpha", "beta"]
    assert record.provider_slug == "beta"
    assert record.cost_nano_usd > 0


@pytest.mark.parametrize("path", BODIES)
async def test_failure_of_all_is_an_error_with_an_id_and_a_record_that_costs_nothing(door: HttpDoor, path: str) -> None:
    door.edge.adapter.will(provider_failure("rate_limited", 429, retry_after_s=3))
    reply = await ask(door, path, BODIES[path])
    assert (reply.status, reply.json["error"]["code"]) == (429, 429)
    record = await door.edge.only_record()
    assert (record.generation_id, record.cost_nano_usd) == (reply.headers["X-Generation-Id"], 0)
    assert record.outcome == events.OUTCOME_FAILED


@pytest.mark.parametrize("path", BODIES)
async def test_refusals_are_those_of_every_inference_route(door: HttpDoor, path: str) -> None:
    assert (await ask(door, path, {**BODIES[path], "model": 5})).status == 400
    assert (await ask(door, path, BODIES[path], key="sk-sy-v1-unknown")).status == 401
    assert (await ask(door, path, BODIES[path], key=MANAGEMENT_KEY)).status == 403
    door.edge.router.failure = AppError(Kind.INVALID, "WRONG_ENDPOINT", "no", {"availability": "wrong_endpoint"})
    reply = await ask(door, path, BODIES[path])
    assert (reply.status, reply.json["error"]["availability"]["code"]) == (400, "wrong_endpoint")
    door.edge.router.failure = None
    door.edge.ledger.failure = AppError(Kind.PAYMENT, "INSUFFICIENT_CREDITS", "no")
    assert (await ask(door, path, BODIES[path])).status == 402


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
async def test_caller_may_see_how_a_request_was_routed(door: HttpDoor, path: str, stream: bool) -> None:
    completes = path == "completions"
    door.edge.adapter.will(
        *((chunks("x") if stream else result("x"), end()) if completes else (answer(VECTORS), ended()))
    )
    headers = {**AUTHORIZATION, "X-OpenRouter-Metadata": "enabled"}
    body = {**BODIES[path], "stream": stream} if completes else BODIES[path]
    reply = await door.request("POST", f"/api/v1/{path}", data=orjson.dumps(body), headers=headers)
    events_ = [line[6:] for line in reply.body.split(b"\n\n") if line.startswith(b"data: {")]
    last = orjson.loads(events_[-1]) if events_ else reply.json
    assert last["openrouter_metadata"]["strategy"] == "direct"
    assert last["usage"]["cost"] > 0
