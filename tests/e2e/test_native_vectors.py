"""Embeddings and rankings of providers that have formats of their own, by the public routes and billed."""

from collections.abc import AsyncIterator
from decimal import Decimal

import openai
import pytest

from tests.testkit.api import Api
from tests.testkit.shapes import Shape

EMBEDDERS = [
    ("cohere", "cohere/embed-v4.0", 2),
    ("google", "google/gemini-embedding-001", 2),
    ("google-vertex", "google/text-embedding-005", 2),
    ("google-vertex", "google/gemini-embedding-001", 1),
    ("amazon-bedrock", "cohere/embed", 2),
    ("amazon-bedrock", "amazon/titan-embed-text-v2", 1),
    ("amazon-bedrock", "amazon/nova-2-multimodal-embeddings-v1", 1),
]
RANKERS = [
    ("cohere", "cohere/rerank-v3.5"),
    ("amazon-bedrock", "cohere/rerank-v3.5"),
    ("cohere", "cohere/rerank-v5.0-pro"),
]


@pytest.fixture
async def api(shape: Shape) -> AsyncIterator[Api]:
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        yield api


@pytest.mark.parametrize(("provider", "model", "inputs"), EMBEDDERS)
async def test_the_openai_sdk_gets_vectors_of_every_format(
    shape: Shape, provider: str, model: str, inputs: int
) -> None:
    texts = ["hello world", "hello"][:inputs]
    pinned = {"provider": {"only": [provider]}, "input_type": "search_query"}
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key=shape.api_key, max_retries=0) as client:
        # The SDK asks for base64 unless it is told otherwise, and unpacks it.
        packed = await client.embeddings.create(model=model, input=texts, dimensions=256, extra_body=pinned)
        floats = await client.embeddings.create(
            model=model, input=texts, dimensions=256, encoding_format="float", extra_body=pinned
        )

    assert [len(one.embedding) for one in packed.data] == [256] * inputs
    for one, other in zip(packed.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.usage.prompt_tokens > 0
    assert Decimal(str((packed.usage.model_extra or {})["cost"])) > 0


async def test_many_inputs_of_a_model_that_takes_one_are_refused_and_free(api: Api) -> None:
    reply = await api.post(
        {"model": "amazon/titan-embed-text-v2", "input": ["a", "b"], "provider": {"only": ["amazon-bedrock"]}},
        path="/embeddings",
    )

    assert reply.status == 400, reply.body


@pytest.mark.parametrize(("provider", "model"), RANKERS)
async def test_rankings_of_every_format_bring_their_documents(api: Api, provider: str, model: str) -> None:
    documents = ["a green pear", {"text": "an apple, red"}, "the blue sky"]
    reply = await api.post(
        {"model": model, "query": "red apple", "documents": documents, "top_n": 2, "provider": {"only": [provider]}},
        path="/rerank",
    )

    assert reply.status == 200, reply.body
    best = reply.body["results"][0]
    assert (best["index"], best["document"]) == (1, {"text": "an apple, red"})
    assert len(reply.body["results"]) == 2
    assert reply.cost > 0
