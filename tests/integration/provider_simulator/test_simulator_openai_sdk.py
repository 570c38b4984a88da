import json
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionFunctionToolParam

from services.provider_simulator.main import RunningSimulator

WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.base_url}/groq/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


async def test_plain_request_is_answered_with_usage(client: AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model="gpt-oss-120b", messages=[{"role": "user", "content": "[[sim words=Exactly%20this.]]"}]
    )

    assert reply.choices[0].message.content == "Exactly this."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "gpt-oss-120b"
    assert reply.system_fingerprint == "switchyard-simulator"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 2
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 2


async def test_stream_gives_the_same_words_as_the_whole_answer(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="llama", messages=[{"role": "user", "content": "hello"}])
    stream = await client.chat.completions.create(
        model="llama",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


async def test_max_tokens_ends_the_answer_with_length(client: AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model="llama", messages=[{"role": "user", "content": "hello"}], max_completion_tokens=3
    )

    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 3
    assert len((reply.choices[0].message.content or "").split()) == 3


async def test_parallel_tool_calls_have_arguments_that_fit(client: AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model="llama", messages=[{"role": "user", "content": "[[sim tools=2]] weather?"}], tools=[WEATHER]
    )

    calls = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert calls is not None
    arguments = [json.loads(call.function.arguments) for call in calls if call.type == "function"]
    assert arguments == [{"city": "example", "days": 2}] * 2


async def test_streamed_tool_call_is_put_together_by_the_sdk(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="llama", messages=[{"role": "user", "content": "[[sim tools=1]]"}], tools=[WEATHER]
    ) as stream:
        reply = await stream.get_final_completion()

    calls = reply.choices[0].message.tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"city": "example", "days": 2}
    assert calls[0].id.startswith("call_")


async def test_tool_loop_comes_to_an_end(client: AsyncOpenAI) -> None:
    question = "[[sim tools=1]] weather?"
    first = await client.chat.completions.create(
        model="llama", messages=[{"role": "user", "content": question}], tools=[WEATHER]
    )
    calls = first.choices[0].message.tool_calls
    assert calls is not None
    second = await client.chat.completions.create(
        model="llama",
        messages=[
            {"role": "user", "content": question},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": calls[0].id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": calls[0].id, "content": "rain"},
        ],
        tools=[WEATHER],
    )

    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


async def test_json_schema_is_answered_with_fitting_json(client: AsyncOpenAI) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    reply = await client.chat.completions.create(
        model="llama",
        messages=[{"role": "user", "content": "hello"}],
        response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
    )

    assert json.loads(reply.choices[0].message.content or "") == {"ok": True}


async def test_failure_is_raised_as_the_sdks_own_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model="llama", messages=[{"role": "user", "content": "[[sim fail=429]]"}])

    assert limited.value.response.headers["retry-after"] == "1"
    assert limited.value.code == "rate_limit_exceeded"


async def test_failure_in_a_stream_is_raised_after_the_events_before_it(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="llama", messages=[{"role": "user", "content": "[[sim fail=503 after=3]]"}], stream=True
    )
    events = aiter(stream)
    words = [(await anext(events)).choices[0].delta.content for _ in range(4)]
    with pytest.raises(openai.APIError, match="simulated 503"):
        await anext(events)

    assert words[0] == ""
    assert all(words[1:])


async def test_models_of_the_provider_are_listed(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["gpt-oss-120b", "llama"]


async def test_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gpt-99", messages=[{"role": "user", "content": "hello"}])

    assert missing.value.code == "model_not_found"
