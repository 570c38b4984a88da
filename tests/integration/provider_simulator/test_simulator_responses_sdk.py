"""OpenAI's own SDK accepts what the simulator sends as Responses, and the simulator refuses what OpenAI refuses."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import FunctionToolParam, Response, ResponseFunctionToolCall, ResponseReasoningItem

from services.provider_simulator.main import RunningSimulator

MODEL = "gpt-5.4"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.base_url}/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


async def streamed(client: AsyncOpenAI, **fields: Any) -> tuple[Response, list[str]]:
    async with client.responses.stream(model=MODEL, **fields) as stream:
        kinds = [str(event.type) async for event in stream]
        reply: Any = await stream.get_final_response()
    return reply, kinds


async def test_text_is_the_same_whole_and_streamed(client: AsyncOpenAI) -> None:
    whole = await client.responses.create(model=MODEL, input="[[sim words=Exactly%20this.]]")
    reply, kinds = await streamed(client, input="[[sim words=Exactly%20this.]]")

    assert whole.output_text == reply.output_text == "Exactly this."
    assert whole.status == reply.status == "completed"
    assert whole.usage is not None
    assert reply.usage == whole.usage
    assert whole.usage.output_tokens == 2
    assert [kind for kind in dict.fromkeys(kinds) if not kind.endswith("delta")] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_tool_loop_with_reasoning_that_goes_back_encrypted(client: AsyncOpenAI, streaming: bool) -> None:
    fields: dict[str, Any] = {
        "tools": [WEATHER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    history: list[Any] = [{"role": "user", "content": "Weather? [[sim tools=2]]"}]

    async def ask() -> Response:
        if streaming:
            return (await streamed(client, input=history, **fields))[0]
        reply: Response = await client.responses.create(model=MODEL, input=history, **fields)
        return reply

    first = await ask()
    calls = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    thoughts = [item for item in first.output if isinstance(item, ResponseReasoningItem)]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "example"}] * 2
    assert thoughts[0].encrypted_content
    history += [item.model_dump(include=KEPT[item.type]) for item in first.output]
    history += [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
    second = await ask()
    assert second.output_text

    spoilt: Any = [
        {**item, "encrypted_content": "c3BvaWx0"} if item.get("type") == "reasoning" else item for item in history
    ]
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        await client.responses.create(model=MODEL, input=spoilt, **fields)


KEPT: dict[str, Any] = {
    "reasoning": {"type", "id", "summary", "encrypted_content"},
    "function_call": {"type", "call_id", "name", "arguments"},
}


async def test_a_limit_makes_the_response_incomplete(client: AsyncOpenAI) -> None:
    reply = await client.responses.create(model=MODEL, input="[[sim tokens=50]]", max_output_tokens=16)

    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"


async def test_structured_output_fits(client: AsyncOpenAI) -> None:
    schema = WEATHER["parameters"]
    assert schema is not None
    form: Any = {"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True}}
    reply = await client.responses.create(model=MODEL, input="hi", text=form)

    assert list(json.loads(reply.output_text)) == ["city"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": []}, "Unknown parameter: 'messages'"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "Invalid 'input"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}, "No tool call found"),
        ({"input": [{"type": "function_call", "call_id": "x", "name": "f", "arguments": "{}"}]}, "No tool output"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "not found"),
        ({"max_output_tokens": 5}, "16"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools.0..name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}]}, "additionalProperties"),
        ({"tool_choice": "required"}, "must be specified"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "Missing required parameter"),
    ],
)  # fmt: skip
async def test_what_openai_refuses_is_refused(client: AsyncOpenAI, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        await client.post("/responses", body={"model": MODEL, "input": "hi", **fields}, cast_to=object)


async def test_failures_have_their_status_and_their_events(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        await client.responses.create(model=MODEL, input="[[sim fail=429]]")
    stream = await client.responses.create(model=MODEL, input="[[sim fail=500 after=1]]", stream=True)
    kinds = [str(event.type) async for event in stream]
    assert "response.output_text.delta" in kinds
    assert kinds[-2:] == ["error", "response.failed"]
