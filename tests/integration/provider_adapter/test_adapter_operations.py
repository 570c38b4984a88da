"""Embeddings, rerank and text completions through the adapter, at a simulator that refuses what it does not know."""

import struct
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from libs.settings import load
from services.provider_adapter.credentials.table import authorizers
from services.provider_adapter.http_calls import HttpCalls
from services.provider_simulator.server import start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_adapter.conftest import Adapter, Outcome, adapter_on

BODIES: dict[str, dict[str, Any]] = {
    "embeddings": {"input": ["hello", "hello world"]},
    "rerank": {"query": "red apple", "documents": ["a green pear", {"text": "an apple, red"}]},
    "completions": {"prompt": "Once upon"},
}
STEERING: dict[str, Any] = {
    "provider": {"order": ["x"]}, "models": ["a"], "session_id": "s", "trace": {}, "metadata": {"a": "b"}, "user": "alice",
    "plugins": [], "route": "fallback",
}  # fmt: skip


@pytest.fixture
async def simulated(calls: HttpCalls) -> AsyncIterator[Adapter]:
    simulator = await start(load(ProviderSimulatorSettings, {"refuse_unknown_parameters": True}))
    yield adapter_on(calls, simulator_base_url=simulator.base_url)
    await simulator.stop()


async def run(adapter: Adapter, operation: str, *, protocol: str = "", **fields: Any) -> Outcome:
    stream = bool(fields.pop("stream", False))
    body = orjson.dumps({"model": "m", **BODIES[operation], **fields})
    return await adapter.run(operation=operation, protocol=protocol, body=body, stream=stream, user_hash="h")


def result(outcome: Outcome) -> Any:
    assert outcome.error is None, outcome.error.metadata
    return orjson.loads(outcome.messages[0].result.json)


@pytest.mark.parametrize("protocol", ["", "openai-embeddings"])
async def test_vectors_come_in_the_encoding_asked_for_with_their_usage(simulated: Adapter, protocol: str) -> None:
    floats = await run(simulated, "embeddings", protocol=protocol, dimensions=8, input_type="query", **STEERING)
    packed = await run(simulated, "embeddings", protocol=protocol, dimensions=8, encoding_format="base64")
    for one, other in zip(result(floats)["data"], result(packed)["data"], strict=True):
        assert struct.unpack("<8f", b64decode(other["embedding"])) == pytest.approx(one["embedding"], abs=1e-6)
    assert (floats.end.usage.prompt_tokens, floats.end.usage.completion_tokens, floats.end.finish_reason) == (3, 0, "")


@pytest.mark.parametrize("protocol", ["", "openai-embeddings"])
async def test_ranks_come_with_the_callers_documents_and_both_counts(simulated: Adapter, protocol: str) -> None:
    outcome = await run(simulated, "rerank", protocol=protocol, top_n=1, **STEERING)
    [best] = result(outcome)["results"]
    assert (best["index"], best["document"]) == (1, {"text": "an apple, red"})
    assert (outcome.end.usage.prompt_tokens, outcome.end.usage.search_units) == (11, 1)


@pytest.mark.parametrize("stream", [True, False])
async def test_prompt_is_completed_and_comes_back_as_a_chat(simulated: Adapter, stream: bool) -> None:
    outcome = await run(
        simulated, "completions", stream=stream, prompt="Once [[sim words=upon%20a%20time]]", max_tokens=5, **STEERING
    )
    text = outcome.text if stream else result(outcome)["choices"][0]["message"]["content"]
    assert text == "upon a time"
    assert (outcome.end.usage.completion_tokens, outcome.end.finish_reason) == (3, "stop")


@pytest.mark.parametrize("operation", BODIES)
@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("fail=400", "invalid_request"), ("fail=401", "authentication"), ("fail=404", "not_found"),
        ("fail=429", "rate_limited"), ("fail=503", "overloaded"), ("fail=500", "upstream"), ("garbage=html", "upstream"),
        ("garbage=json", "upstream"), ("cut=0", "upstream"), ("speed=7", "invalid_request"),
    ],
)  # fmt: skip
async def test_failures_are_of_the_same_classes_as_chats(
    simulated: Adapter, operation: str, dial: str, expected: str
) -> None:
    name = {"embeddings": "input", "rerank": "query", "completions": "prompt"}[operation]
    outcome = await run(simulated, operation, **{name: f"hello [[sim {dial}]]"})
    assert outcome.failure["class"] == expected


async def test_azures_key_opens_the_simulators_door(calls: HttpCalls) -> None:
    simulator = await start(load(ProviderSimulatorSettings, {"refuse_unknown_parameters": True}))
    try:
        outcome = await run(
            adapter_on(calls, simulator_base_url=simulator.base_url, authorizers=authorizers()),
            "embeddings",
            protocol="azure",
        )
        assert len(result(outcome)["data"]) == 2
    finally:
        await simulator.stop()


async def test_operation_that_a_format_has_not_is_a_failure_that_another_provider_may_not_share(
    calls: HttpCalls,
) -> None:
    adapter = adapter_on(calls, upstream_base_url="http://127.0.0.1:1/v1")
    outcome = await adapter.run(operation="paintings", body=b"{}")
    assert outcome.failure["class"] == "not_found"
    assert outcome.failure["retryable_elsewhere"] == "true"
