"""Cohere's own SDK, pointed at the simulator."""

import json
from collections.abc import AsyncIterator
from typing import Any

import cohere
import pytest

from libs.settings import load
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings

MODEL = "command-a-plus-05-2026"
CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": CITY}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    running = await start(load(ProviderSimulatorSettings, {}))
    yield running
    await running.stop()


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[cohere.AsyncClientV2]:
    async with cohere.AsyncClientV2(api_key="any", base_url=f"{simulator.base_url}/cohere", max_retries=0) as sdk:
        yield sdk


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


async def streamed(client: cohere.AsyncClientV2, **fields: Any) -> list[Any]:
    return [event async for event in client.chat_stream(model=MODEL, **fields)]


async def test_a_reply_is_what_the_sdk_knows(client: cohere.AsyncClientV2) -> None:
    reply = await client.chat(model=MODEL, messages=[user("[[sim words=Exactly%20this.]]")], safety_mode="STRICT")

    assert isinstance(reply, cohere.V2ChatResponse)
    assert reply.message.content is not None
    assert [(item.type, getattr(item, "text", None)) for item in reply.message.content] == [("text", "Exactly this.")]
    assert reply.finish_reason == "COMPLETE"
    assert reply.usage is not None
    assert reply.usage.billed_units is not None
    assert reply.usage.tokens is not None
    assert reply.usage.billed_units.output_tokens == 2
    assert (reply.usage.tokens.input_tokens or 0) > (reply.usage.billed_units.input_tokens or 0)


async def test_a_stream_has_the_order_of_events_and_the_words_of_the_whole_reply(client: cohere.AsyncClientV2) -> None:
    whole = await client.chat(model=MODEL, messages=[user("hello")])
    events = await streamed(client, messages=[user("hello")])
    kinds = list(dict.fromkeys(event.type for event in events))

    assert kinds == ["message-start", "content-start", "content-delta", "content-end", "message-end"]
    assert whole.message.content is not None
    text = "".join(event.delta.message.content.text for event in events if event.type == "content-delta")
    assert text == getattr(whole.message.content[0], "text", None)
    assert events[-1].delta.usage == whole.usage


async def test_thoughts_are_a_block_of_their_own(client: cohere.AsyncClientV2) -> None:
    thinking = cohere.Thinking(type="enabled", token_budget=100)
    reply = await client.chat(model=MODEL, messages=[user("[[sim words=Yes]]")], thinking=thinking)
    events = await streamed(client, messages=[user("[[sim words=Yes]]")], thinking=thinking)

    assert reply.message.content is not None
    assert [item.type for item in reply.message.content] == ["thinking", "text"]
    starts = [(e.index, e.delta.message.content.type) for e in events if e.type == "content-start"]
    assert starts == [(0, "thinking"), (1, "text")]


async def test_a_tool_loop_goes_round_with_the_sdks_own_messages(client: cohere.AsyncClientV2) -> None:
    messages: list[Any] = [user("How is it? [[sim tools=2]]")]
    called = await client.chat(model=MODEL, messages=messages, tools=TOOLS)
    calls = called.message.tool_calls or []
    messages.append(called.message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]

    answered = await client.chat(model=MODEL, messages=messages, tools=TOOLS)

    assert called.finish_reason == "TOOL_CALL"
    assert called.message.tool_plan
    assert [call.function and call.function.name for call in calls] == ["weather", "now"]
    assert calls[0].function is not None
    assert calls[1].function is not None
    assert json.loads(calls[0].function.arguments or "") == {"city": "example"}
    assert calls[1].function.arguments is None
    assert answered.finish_reason == "COMPLETE"


async def test_streamed_calls_start_and_end_one_after_the_other(client: cohere.AsyncClientV2) -> None:
    events = await streamed(client, messages=[user("[[sim tools=2]]")], tools=TOOLS, tool_choice="REQUIRED")
    arguments = [e.delta.message.tool_calls.function.arguments for e in events if e.type == "tool-call-delta"]

    assert [(e.type, e.index) for e in events if e.type in {"tool-call-start", "tool-call-end"}] == [
        ("tool-call-start", 0),
        ("tool-call-end", 0),
        ("tool-call-start", 1),
        ("tool-call-end", 1),
    ]
    assert json.loads("".join(arguments)) == {"city": "example"}
    assert any(event.type == "tool-plan-delta" for event in events)
    assert events[-1].delta.finish_reason == "TOOL_CALL"


async def test_an_answer_in_json_fits_its_schema(client: cohere.AsyncClientV2) -> None:
    wanted = cohere.JsonObjectResponseFormatV2(json_schema=CITY)
    reply = await client.chat(model=MODEL, messages=[user("Name one.")], response_format=wanted)

    assert reply.message.content is not None
    assert json.loads(getattr(reply.message.content[0], "text", "")) == {"city": "example"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, cohere.BadRequestError),
        (401, cohere.UnauthorizedError),
        (404, cohere.NotFoundError),
        (422, cohere.UnprocessableEntityError),
        (429, cohere.TooManyRequestsError),
        (498, cohere.InvalidTokenError),
        (500, cohere.InternalServerError),
        (503, cohere.ServiceUnavailableError),
        (504, cohere.GatewayTimeoutError),
    ],
)
async def test_failures_are_the_sdks_own_errors(
    client: cohere.AsyncClientV2, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match="simulated"):
        await client.chat(model=MODEL, messages=[user(f"[[sim fail={status}]]")])


async def test_a_broken_stream_says_so_in_its_end(client: cohere.AsyncClientV2) -> None:
    events = await streamed(client, messages=[user("[[sim fail=500 after=2]]")])

    assert [event.type for event in events].count("content-delta") == 2
    assert events[-1].delta.finish_reason == "ERROR"
    assert "simulated 500" in events[-1].delta.error


async def test_what_the_format_does_not_know_is_refused(client: cohere.AsyncClientV2) -> None:
    with pytest.raises(cohere.UnprocessableEntityError, match="Extra inputs"):
        await client.chat(
            model=MODEL,
            messages=[user("hi")],
            request_options={"additional_body_parameters": {"top_p": 1}},
        )


@pytest.fixture
async def anywhere(simulator: RunningSimulator) -> AsyncIterator[cohere.AsyncClientV2]:
    """The provider that takes any model's name."""
    async with cohere.AsyncClientV2(api_key="any", base_url=simulator.base_url, max_retries=0) as sdk:
        yield sdk


async def test_vectors_come_in_every_type_that_is_asked_for(anywhere: cohere.AsyncClientV2) -> None:
    reply = await anywhere.embed(
        model="embed-v4.0",
        input_type="search_document",
        texts=["a fine day", "a fine night", "something else"],
        embedding_types=["float", "base64", "int8", "uint8", "binary", "ubinary"],
        output_dimension=256,
    )
    vectors = reply.embeddings.float_
    again = await anywhere.embed(
        model="embed-v4.0", input_type="search_query", texts=["a fine day"], output_dimension=256
    )

    assert vectors is not None
    assert [len(vector) for vector in vectors] == [256, 256, 256]
    assert again.embeddings.float_ == vectors[:1]
    near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:])
    assert near > far
    assert [len(vector) for vector in reply.embeddings.ubinary or ()] == [32, 32, 32]
    assert all(-128 <= value <= 127 for vector in reply.embeddings.binary or () for value in vector)
    assert reply.meta is not None
    assert reply.meta.billed_units is not None
    assert (reply.meta.billed_units.input_tokens or 0) > 0


async def test_pictures_are_billed_apart_from_words(anywhere: cohere.AsyncClientV2) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    inputs: Any = [{"content": [{"type": "text", "text": "a"}, picture]}]
    reply = await anywhere.embed(model="embed-v4.0", input_type="search_document", inputs=inputs)

    assert reply.meta is not None
    assert reply.meta.billed_units is not None
    assert reply.meta.billed_units.image_tokens == 85


async def test_rankings_put_what_shares_words_with_the_query_first(anywhere: cohere.AsyncClientV2) -> None:
    documents = ["of cats", "of dogs and rain", "of dogs"]
    reply = await anywhere.rerank(model="rerank-v3.5", query="dogs rain", documents=documents, top_n=2)
    many = await anywhere.rerank(model="rerank-v3.5", query="q", documents=["d"] * 101)
    by_tokens = await anywhere.rerank(model="rerank-v5.0-pro", query="q", documents=["d"])

    assert [result.index for result in reply.results] == [1, 2]
    assert reply.results[0].relevance_score > reply.results[1].relevance_score
    assert many.meta is not None
    assert many.meta.billed_units is not None
    assert many.meta.billed_units.search_units == 2
    assert by_tokens.meta is not None
    assert by_tokens.meta.billed_units is not None
    assert by_tokens.meta.billed_units.input_tokens == 2


async def test_vectors_and_rankings_fail_on_request_and_refuse_what_is_wrong(anywhere: cohere.AsyncClientV2) -> None:
    with pytest.raises(cohere.ServiceUnavailableError):
        await anywhere.embed(model="m", input_type="clustering", texts=["[[sim fail=503]]"])
    with pytest.raises(cohere.TooManyRequestsError):
        await anywhere.rerank(model="m", query="[[sim fail=429]]", documents=["d"])
    with pytest.raises(cohere.BadRequestError, match="exactly one of"):
        await anywhere.embed(model="m", input_type="clustering")
    with pytest.raises(cohere.BadRequestError, match="not supported for this model"):
        await anywhere.embed(model="embed-english-v3.0", input_type="clustering", texts=["a"], output_dimension=256)
    with pytest.raises(cohere.BadRequestError, match="from 1"):
        await anywhere.rerank(model="m", query="q", documents=[])
