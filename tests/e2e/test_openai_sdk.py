"""The OpenAI SDK with another base URL and nothing else changed."""

from collections.abc import AsyncIterator

import openai
import pytest

from tests.testkit.api import MODEL
from tests.testkit.shapes import Shape


@pytest.fixture
async def client(shape: Shape) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key=shape.api_key, max_retries=0) as client:
        yield client


async def test_chat_completion_answers_with_usage_and_cost(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello! [[sim words=Good%20day%20to%20you]]"}]
    )
    assert reply.choices[0].message.content == "Good day to you"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == MODEL
    assert reply.id.startswith("gen-")
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 4
    extra = reply.usage.model_extra or {}
    assert extra["cost"] > 0
    assert extra["cost_details"]["upstream_inference_prompt_cost"] > 0


async def test_stream_gives_the_same_text_and_ends_with_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Hello! [[sim words=one%20two%20three]]"}],
        stream=True,
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "one two three"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]


async def test_tools_come_back_as_parallel_calls(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Weather? [[sim tools=2]]"}],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
                },
            }
        ],
    )
    assert reply.choices[0].finish_reason == "tool_calls"
    assert len(reply.choices[0].message.tool_calls or []) == 2


async def test_models_are_listed_and_retrieved(client: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert MODEL in listed
    assert len(listed) >= 12
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_an_unknown_model_is_a_bad_request(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no/such is not a valid model ID"):
        await client.chat.completions.create(model="no/such", messages=[{"role": "user", "content": "Hello!"}])


async def test_a_bad_key_is_an_authentication_error(shape: Shape) -> None:
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello!"}])


async def test_max_tokens_is_obeyed(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello! [[sim tokens=50]]"}], max_tokens=5
    )
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5
