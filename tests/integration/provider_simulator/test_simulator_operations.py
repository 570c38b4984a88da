"""Embeddings, rerank and text completions as OpenAI-compatible hosts have them: the SDK's words, the dials, the count."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from services.provider_simulator.main import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_simulator.raw_http import RawReply, exchange, request_bytes, tally

BODIES: dict[str, dict[str, Any]] = {
    "embeddings": {"model": "m", "input": ["hello world", "hello"]},
    "rerank": {"model": "m", "query": "red apple", "documents": ["a green pear", "an apple, red"]},
    "completions": {"model": "m", "prompt": "Once upon"},
}
PROMPTS = {"embeddings": "input", "rerank": "query", "completions": "prompt"}


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.base_url}/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


async def ask(simulator: RunningSimulator, operation: str, body: Any = None, **fields: Any) -> RawReply | None:
    asked = {**BODIES[operation], **fields} if body is None else body
    return await exchange(simulator.base_url, request_bytes(asked, f"/v1/{operation}"))


async def answered(simulator: RunningSimulator, operation: str, **fields: Any) -> Any:
    reply = await ask(simulator, operation, **fields)
    assert reply is not None
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


async def test_vectors_are_the_same_in_both_encodings_and_of_the_size_asked_for(client: AsyncOpenAI) -> None:
    as_base64 = await client.embeddings.create(model="m", input=["hello world", "hello"], dimensions=8)
    floats = await client.embeddings.create(
        model="m", input=["hello world", "hello"], dimensions=8, encoding_format="float"
    )
    assert [one.index for one in floats.data] == [0, 1]
    for ours, theirs in zip(as_base64.data, floats.data, strict=True):
        assert len(ours.embedding) == 8
        assert ours.embedding == pytest.approx(theirs.embedding, abs=1e-6)
        assert sum(value * value for value in ours.embedding) == pytest.approx(1, abs=1e-4)
    assert (floats.usage.prompt_tokens, floats.usage.total_tokens) == (3, 3)


async def test_tokens_and_parts_are_embedded_too(client: AsyncOpenAI) -> None:
    tokens = await client.embeddings.create(model="m", input=[[1, 2, 3], [4]])
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (2, 4)
    parts: Any = [{"content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "x"}}]}]
    assert (await client.embeddings.create(model="m", input=parts)).usage.prompt_tokens == 1 + 85


async def test_prompt_is_completed_whole_and_streamed_alike(client: AsyncOpenAI) -> None:
    whole = await client.completions.create(model="m", prompt="Once [[sim words=upon%20a%20time]]")
    stream = await client.completions.create(
        model="m",
        prompt="Once [[sim words=upon%20a%20time]]",
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert whole.choices[0].text == "upon a time"
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "upon a time"
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3


async def test_completion_ends_at_its_limit_and_may_begin_with_the_prompt(client: AsyncOpenAI) -> None:
    reply = await client.completions.create(model="m", prompt="Once", max_tokens=2, echo=True)
    assert reply.choices[0].text.startswith("Once")
    assert reply.choices[0].finish_reason == "length"


async def test_best_document_comes_first_and_searches_are_counted(simulator: RunningSimulator) -> None:
    many = await answered(simulator, "rerank", documents=["a pear"] * 100 + ["red apple"], top_n=2)
    assert [one["index"] for one in many["results"]] == [100, 0]
    assert many["results"][0]["document"] == {"text": "red apple"}
    assert many["meta"]["billed_units"] == {"search_units": 2}
    bare = await answered(simulator, "rerank", return_documents=False)
    assert "document" not in bare["results"][0]
    assert bare["usage"]["total_tokens"] == 2 * 2 + 3 + 4
    counted = await tally(simulator.base_url)
    assert (counted["answered"], counted["search_units"]) == (2, 3)


@pytest.mark.parametrize("operation", BODIES)
async def test_dials_that_make_sense_hold(simulator: RunningSimulator, operation: str) -> None:
    def dialled(dial: str) -> dict[str, Any]:
        given = f"hello [[sim {dial}]]"
        return {PROMPTS[operation]: [given] if operation == "embeddings" else given}

    refused = await ask(simulator, operation, **dialled("fail=429"))
    assert refused is not None
    assert (refused.status, refused.header("retry-after"), refused.error["code"]) == (429, "1", "rate_limit_exceeded")
    assert await ask(simulator, operation, **dialled("cut=0")) is None
    for garbage in ("html", "json", "utf8"):
        broken = await ask(simulator, operation, **dialled(f"garbage={garbage}"))
        assert broken is not None
        assert broken.status == 200
    assert "usage" not in await answered(simulator, operation, **dialled("usage=none"))
    assert "usage" in await answered(simulator, operation, **dialled("fail=500 only=elsewhere"))
    unknown = await ask(simulator, operation, **dialled("speed=7"))
    assert unknown is not None
    assert "Known keys" in unknown.error["message"]
    counted = await tally(simulator.base_url)
    assert (counted["asked"], counted["answered"], counted["failed"], counted["cut"]) == (8, 2, 5, 1)


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("embeddings", {"input": []}), ("embeddings", {"input": None}), ("embeddings", {"input": ["a", 1]}),
        ("embeddings", {"input": [""]}), ("embeddings", {"input": ["a"] * 2049}), ("embeddings", {"dimensions": 0}),
        ("embeddings", {"encoding_format": "hex"}), ("embeddings", {"input": [{}]}), ("rerank", {"documents": []}),
        ("rerank", {"documents": [5]}), ("rerank", {"query": ""}), ("rerank", {"top_n": 0}), ("rerank", {"query": 5}),
        ("completions", {"prompt": None}), ("completions", {"prompt": [1, 2]}), ("completions", {"suffix": "x"}),
        ("completions", {"n": 2}), ("completions", {"logprobs": 6}), ("completions", {"temperature": 3}),
    ],
)  # fmt: skip
async def test_wrong_request_is_refused_in_openais_shape(
    simulator: RunningSimulator, operation: str, fields: dict[str, Any]
) -> None:
    reply = await ask(simulator, operation, **fields)
    assert reply is not None
    assert reply.status == 400
    assert set(reply.error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("operation", BODIES)
async def test_field_that_is_not_known_is_refused_where_strictness_is_asked_for(
    settings: ProviderSimulatorSettings, operation: str
) -> None:
    strict = await start(settings.model_copy(update={"refuse_unknown_parameters": True, "require_bearer": True}))
    try:
        reply = await ask(strict, operation, provider={})
        assert reply is not None
        assert (reply.status, "provider" in reply.error["message"]) == (400, True)
        missing = await exchange(
            strict.base_url, request_bytes(BODIES[operation], f"/groq/v1/{operation}", authorization="")
        )
        assert missing is not None
        assert (missing.status, missing.error["code"]) == (401, "invalid_api_key")
        elsewhere = await exchange(strict.base_url, request_bytes(BODIES[operation], f"/groq/v1/{operation}"))
        assert elsewhere is not None
        assert (elsewhere.status, elsewhere.error["code"]) == (404, "model_not_found")
    finally:
        await strict.stop()
