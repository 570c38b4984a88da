"""Embeddings and rankings of every format of a provider's own, against the simulator's strict validators."""

import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from libs.clock import SystemClock
from libs.settings import load
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.hosts import load_hosts
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from services.provider_simulator.server import start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_adapter.conftest import Adapter, Outcome, limits

PNG = "data:image/png;base64,aGk="
# Protocol, a model of it, inputs that one request takes, whether it says what it counted.
FORMATS = [
    pytest.param("cohere", "embed-v4.0", 96, True, id="cohere"),
    pytest.param("gemini", "gemini-embedding-001", 100, False, id="gemini"),
    pytest.param("gigachat", "EmbeddingsGigaR", 96, True, id="gigachat"),
    pytest.param("oci", "cohere.embed-v4.0", 96, True, id="oci"),
    pytest.param("vertex", "text-embedding-005", 250, True, id="vertex"),
    pytest.param("vertex", "gemini-embedding-001", 1, True, id="gemini-on-vertex"),
    pytest.param("bedrock", "amazon.titan-embed-text-v2:0", 1, True, id="titan"),
    pytest.param("bedrock", "amazon.titan-embed-image-v1", 1, True, id="titan-image"),
    pytest.param("bedrock", "amazon.nova-2-multimodal-embeddings-v1:0", 1, False, id="nova"),
    pytest.param("bedrock", "us.cohere.embed-v4:0", 96, False, id="cohere-on-bedrock"),
]
# Vectors have one length there.
LENGTHS = {"gigachat": 1024}


@pytest.fixture
async def adapter(calls: HttpCalls) -> AsyncIterator[Adapter]:
    simulator = await start(load(ProviderSimulatorSettings, {"refuse_unknown_parameters": True}))
    registry = Registry(protocols(), load_hosts(), {}, simulator_base_url=simulator.base_url)
    yield Adapter(
        ProviderAdapterServicer(registry, Attempts(calls, SystemClock()), UpstreamModels(registry, calls), None)
    )
    await simulator.stop()


async def ask(adapter: Adapter, operation: str, protocol: str, model: str, **fields: Any) -> Outcome:
    return await adapter.run(
        body=orjson.dumps(fields),
        stream=False,
        provider_slug="upstream",
        provider_model_id=model,
        operation=operation,
        protocol=protocol,
        limits=limits(),
    )


def reply_of(outcome: Outcome) -> Any:
    assert outcome.error is None, outcome.error.metadata
    return orjson.loads(outcome.messages[0].result.json)


@pytest.mark.parametrize(("protocol", "model", "most", "counts"), FORMATS)
async def test_every_input_has_its_vector(adapter: Adapter, protocol: str, model: str, most: int, counts: bool) -> None:
    texts = [f"text {place}" for place in range(min(3, most))]
    outcome = await ask(
        adapter, "embeddings", protocol, model, input=texts, dimensions=256, input_type="search_query", user="alice"
    )
    data = reply_of(outcome)["data"]
    alone = reply_of(await ask(adapter, "embeddings", protocol, model, input=texts[-1], dimensions=256))["data"]
    packed = reply_of(
        await ask(adapter, "embeddings", protocol, model, input=texts, dimensions=256, encoding_format="base64")
    )["data"]

    assert [one["index"] for one in data] == list(range(len(texts)))
    length = LENGTHS.get(protocol, 256)
    assert [len(one["embedding"]) for one in data] == [length] * len(texts)
    assert alone[0]["embedding"] == data[-1]["embedding"]
    unpacked = struct.unpack(f"<{length}f", base64.b64decode(packed[0]["embedding"]))
    assert unpacked == pytest.approx(data[0]["embedding"], abs=1e-6)
    assert outcome.end.HasField("usage") == counts
    assert (outcome.end.usage.prompt_tokens > 0) == counts
    assert outcome.end.usage.completion_tokens == 0
    if most == 1:
        refused = await ask(adapter, "embeddings", protocol, model, input=["a", "b"])
        assert refused.failure["retryable_elsewhere"] == "true"


@pytest.mark.parametrize(
    ("protocol", "model"),
    [
        ("cohere", "embed-v4.0"),
        ("gemini", "gemini-embedding-2"),
        ("bedrock", "amazon.titan-embed-image-v1"),
        ("bedrock", "cohere.embed-v4:0"),
    ],
)
async def test_pictures_are_accepted_where_the_format_has_them(adapter: Adapter, protocol: str, model: str) -> None:
    mixed = {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PNG}}]}

    assert len(reply_of(await ask(adapter, "embeddings", protocol, model, input=[mixed]))["data"]) == 1


@pytest.mark.parametrize(("protocol", "model", "most", "counts"), FORMATS)
async def test_failures_have_their_class(adapter: Adapter, protocol: str, model: str, most: int, counts: bool) -> None:
    for status, expected in ((429, "rate_limited"), (503, "overloaded"), (500, "upstream"), (404, "not_found")):
        outcome = await ask(adapter, "embeddings", protocol, model, input=f"[[sim fail={status}]]")
        assert outcome.failure["class"] == expected
    for garbage in ("html", "json", "utf8"):
        outcome = await ask(adapter, "embeddings", protocol, model, input=f"[[sim garbage={garbage}]]")
        assert outcome.failure["class"] == "upstream"


@pytest.mark.parametrize(
    ("protocol", "model", "tokens", "searches"),
    [
        ("cohere", "rerank-v3.5", False, 1),
        ("cohere", "rerank-v5.0-pro", True, 0),
        ("bedrock", "cohere.rerank-v3-5:0", False, 0),
        ("bedrock", "amazon.rerank-v1:0", False, 0),
    ],
)
async def test_rankings_come_back_with_their_documents(
    adapter: Adapter, protocol: str, model: str, tokens: bool, searches: int
) -> None:
    documents = ["of cats", {"text": "of dogs and rain"}, "of dogs"]
    outcome = await ask(adapter, "rerank", protocol, model, query="dogs rain", documents=documents, top_n=2)

    results = reply_of(outcome)["results"]
    assert [(one["index"], one["document"]) for one in results] == [
        (1, {"text": "of dogs and rain"}),
        (2, {"text": "of dogs"}),
    ]
    assert (outcome.end.usage.prompt_tokens > 0, outcome.end.usage.search_units) == (tokens, searches)


async def test_rankings_fail_as_vectors_do(adapter: Adapter) -> None:
    outcome = await ask(adapter, "rerank", "cohere", "m", query="[[sim fail=429]]", documents=["d"])

    assert outcome.failure["class"] == "rate_limited"
    assert outcome.failure["retry_after_s"] == "1"
