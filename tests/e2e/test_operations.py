"""Embeddings, rerank and text completions, with OpenAI's SDK and OpenRouter's own, billed and recorded like chat."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from openrouter import OpenRouter
from openrouter.utils import BackoffStrategy, RetryConfig

from tests.testkit.api import MODEL, Api, Json, Reply, eventually
from tests.testkit.books import usage_at_rest
from tests.testkit.mixed_load import COMPLETER, EMBEDDER, RERANKERS
from tests.testkit.shapes import Shape

BY_SEARCH, BY_TOKEN = RERANKERS
DOCUMENTS = ["a green pear", "an apple, red", "the blue sky"]
PER_EMBEDDED_TOKEN = Decimal("0.00000002")
PER_SEARCH = Decimal("0.002")


@pytest.fixture
async def client(shape: Shape) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key=shape.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def official(shape: Shape) -> Iterator[OpenRouter]:
    none = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), False)
    with OpenRouter(api_key=shape.api_key, server_url=shape.api_base, retry_config=none) as client:
        yield client


@pytest.fixture
async def api(shape: Shape) -> AsyncIterator[Api]:
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        yield api


async def test_openai_sdk_gets_vectors_in_both_encodings(client: openai.AsyncOpenAI) -> None:
    """Its default is base64, whatever the provider gives."""
    packed = await client.embeddings.create(model=EMBEDDER, input=["hello world", "hello"], dimensions=64)
    floats = await client.embeddings.create(
        model=EMBEDDER, input=["hello world", "hello"], dimensions=64, encoding_format="float"
    )
    for one, other in zip(packed.data, floats.data, strict=True):
        assert len(one.embedding) == 64
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.model == EMBEDDER
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 3
    assert Decimal(str((packed.usage.model_extra or {})["cost"])) == 3 * PER_EMBEDDED_TOKEN


async def test_tokens_are_embedded_too(client: openai.AsyncOpenAI) -> None:
    reply = await client.embeddings.create(model=EMBEDDER, input=[[1, 2, 3], [4, 5]])
    assert (len(reply.data), reply.usage.prompt_tokens) == (2, 5)


@pytest.mark.parametrize("model", [MODEL, COMPLETER])
async def test_openai_sdk_gets_text_completions_of_models_that_chat_and_of_models_that_complete(
    client: openai.AsyncOpenAI, model: str
) -> None:
    asked: dict[str, Any] = {"model": model, "prompt": "Once [[sim words=upon%20a%20time]]"}
    whole = await client.completions.create(**asked)
    assert (whole.object, whole.choices[0].text, whole.choices[0].finish_reason) == (
        "text_completion",
        "upon a time",
        "stop",
    )
    assert whole.usage is not None
    assert (whole.usage.model_extra or {})["cost"] > 0
    chunks = [chunk async for chunk in await client.completions.create(**asked, stream=True)]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "upon a time"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_prompt_is_echoed_and_limits_hold(client: openai.AsyncOpenAI) -> None:
    reply = await client.completions.create(model=MODEL, prompt="Once [[sim tokens=50]]", max_tokens=4, echo=True)
    assert reply.choices[0].text.startswith("Once [[sim tokens=50]]")
    assert reply.choices[0].finish_reason == "length"


def test_official_sdk_parses_embeddings(official: OpenRouter) -> None:
    reply: Any = official.embeddings.generate(model=EMBEDDER, input=["hello", "world"], encoding_format="float")
    assert [one.index for one in reply.data] == [0, 1]
    assert len(reply.data[0].embedding) == 1536
    assert reply.usage.prompt_tokens == 2
    assert reply.usage.cost > 0


def test_official_sdk_parses_rerank(official: OpenRouter) -> None:
    reply: Any = official.rerank.rerank(model=BY_SEARCH, query="red apple", documents=DOCUMENTS, top_n=2)
    assert [one.index for one in reply.results] == [1, 0]
    assert reply.results[0].document.text == "an apple, red"
    assert reply.usage.search_units == 1
    assert Decimal(str(reply.usage.cost)) == PER_SEARCH


async def usage_settled(api: Api) -> Decimal:
    """Usage at rest, and not because nobody has begun to settle yet."""
    paid = await api.chat("Hello!")
    assert paid.cost > 0

    async def begun() -> bool:
        return (await api.credits())[1] > 0

    await eventually(begun)
    return await usage_at_rest(api)


async def record_of(api: Api, generation_id: str) -> Json:
    found: list[Json] = []

    async def there() -> bool:
        record = await api.record(generation_id)
        found.append(record)
        return record is not None

    await eventually(there)
    return found[-1]


async def test_every_operation_leaves_its_record_and_costs_what_it_says(api: Api) -> None:
    before = await usage_settled(api)
    asked: dict[str, tuple[str, Json]] = {
        "embeddings": ("/embeddings", {"model": EMBEDDER, "input": "hello"}),
        "rerank": ("/rerank", {"model": BY_SEARCH, "query": "q", "documents": ["a"] * 101}),
        "completions": ("/completions", {"model": MODEL, "prompt": "Once"}),
    }
    replies: list[Reply] = []
    for api_type, (path, body) in asked.items():
        reply = await api.post(body, path=path)
        assert reply.status == 200, reply.body
        assert reply.generation_id.startswith("gen-")
        record = await record_of(api, reply.generation_id)
        assert (record["api_type"], record["cancelled"], record["streamed"]) == (api_type, False, False)
        assert Decimal(record["total_cost"]) == reply.cost > 0
        replies.append(reply)
    assert replies[0].usage["total_tokens"] == 1
    assert replies[1].cost == 2 * PER_SEARCH

    due = sum((reply.cost for reply in replies), Decimal(0))

    async def settled() -> bool:
        return (await api.credits())[1] - before == due

    await eventually(settled)


async def test_what_a_provider_does_not_count_is_counted_here(api: Api) -> None:
    vectors = await api.post({"model": EMBEDDER, "input": "hello [[sim usage=none]]"}, path="/embeddings")
    ranks = await api.post({"model": BY_SEARCH, "query": "q [[sim usage=none]]", "documents": ["a"]}, path="/rerank")
    by_token = await api.post({"model": BY_TOKEN, "query": "q [[sim usage=none]]", "documents": ["a"]}, path="/rerank")
    assert vectors.cost > 0
    assert ranks.cost == PER_SEARCH
    assert by_token.cost > 0
    assert (await record_of(api, vectors.generation_id))["usage_is_estimated"]


async def test_failures_are_errors_like_chats_and_free(api: Api) -> None:
    before = await usage_settled(api)
    limited = await api.post({"model": EMBEDDER, "input": "hello [[sim fail=429]]"}, path="/embeddings")
    assert (limited.status, limited.error["code"]) == (429, 429)
    assert limited.generation_id.startswith("gen-")
    broken = await api.post({"model": BY_TOKEN, "query": "q [[sim garbage=html]]", "documents": ["a"]}, path="/rerank")
    assert broken.status == 502
    cut = await api.post({"model": MODEL, "prompt": "Once [[sim cut=2]]", "stream": True}, path="/completions")
    assert not cut.whole
    assert cut.error["code"] >= 500
    empty = await api.post({"model": MODEL, "prompt": "Once [[sim empty=1]]"}, path="/completions")
    assert (empty.status, empty.cost) == (200, Decimal(0))
    assert await usage_at_rest(api) == before


async def test_model_at_the_wrong_route_is_a_400_both_ways(api: Api) -> None:
    for path, body in (
        ("/embeddings", {"model": MODEL, "input": "hello"}),
        ("/rerank", {"model": EMBEDDER, "query": "q", "documents": ["a"]}),
        ("/completions", {"model": EMBEDDER, "prompt": "Once"}),
        ("/chat/completions", {"model": EMBEDDER, "messages": [{"role": "user", "content": "hi"}]}),
        ("/chat/completions", {"model": COMPLETER, "messages": [{"role": "user", "content": "hi"}]}),
    ):
        reply = await api.post(body, path=path)
        assert (reply.status, reply.error["availability"]["code"]) == (400, "wrong_endpoint"), path


async def test_many_short_inputs_fit_and_one_that_is_too_long_does_not(api: Api) -> None:
    many = await api.post({"model": EMBEDDER, "input": ["hello world " * 20] * 400}, path="/embeddings")
    assert many.status == 200
    assert many.usage["prompt_tokens"] > 8191
    long = await api.post({"model": EMBEDDER, "input": ["hi", "hello world " * 8000]}, path="/embeddings")
    assert long.status == 404
    assert "context" in long.error["message"]


async def test_another_provider_answers_when_the_first_one_fails(api: Api) -> None:
    listed = await api.get("/models/qwen/qwen3-embedding-8b/endpoints")
    first, *others = [one["tag"] for one in listed.body["data"]["endpoints"]]
    assert others
    body = {
        "model": "qwen/qwen3-embedding-8b",
        "input": f"hello [[sim fail=503 only={first.partition('/')[0]}]]",
        "provider": {"order": [first]},
    }
    reply = await api.post(body, path="/embeddings")
    assert reply.status == 200
    attempts = (await record_of(api, reply.generation_id))["provider_responses"]
    assert attempts[0]["status"] == 503
    assert len(attempts) == 2
