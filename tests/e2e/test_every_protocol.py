"""One script of the OpenAI SDK, unchanged, against a model of each wire format.

A new format is a row in `ROWS`. The provider is pinned, so that nobody answers in its stead; the simulator refuses what
the format does not know, and signed reasoning that comes back changed.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import openai
import pytest

from tests.testkit.shapes import Shape


class Row(NamedTuple):
    """A wire format by example.

    Attributes:
        thinks: whether the format shows what the model thought; OpenAI's chat only counts it.
        sees: whether the model takes images.
    """

    protocol: str
    model: str
    provider: str
    thinks: bool = True
    sees: bool = True


ROWS = [
    Row("openai", "openai/gpt-5-mini", "openai", thinks=False),
    Row("anthropic", "anthropic/claude-sonnet-4.6", "anthropic"),
    Row("gemini", "google/gemini-2.5-flash", "google"),
    Row("cohere", "cohere/command-a-plus-05-2026", "cohere"),
    Row("openai-responses", "openai/gpt-5.2", "perplexity-agent"),
    Row("vertex", "google/gemini-2.5-flash", "google-vertex"),
    Row("vertex-anthropic", "anthropic/claude-sonnet-4.6", "google-vertex-anthropic"),
    Row("azure", "openai/gpt-5-mini", "azure", thinks=False),
    Row("watsonx", "meta-llama/llama-4-maverick", "watsonx", thinks=False),
    Row("oci", "google/gemini-2.5-flash", "oci", thinks=False),
    Row("bedrock", "anthropic/claude-sonnet-4.6", "amazon-bedrock"),
]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]


class Script:
    """The calls of one application that knows nothing but OpenAI's SDK; `messages` is its conversation."""

    def __init__(self, client: openai.AsyncOpenAI, row: Row) -> None:
        self.client = client
        self.row = row
        self.messages: list[Any] = []

    async def whole(self, **fields: Any) -> Any:
        reply = await self.client.chat.completions.create(**self._request(fields))
        assert reply.usage is not None
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
        assert (reply.usage.model_extra or {})["cost"] > 0
        return reply.choices[0]

    async def streamed(self, **fields: Any) -> Any:
        """The choice that the SDK itself makes of the chunks."""
        async with self.client.chat.completions.stream(**self._request(fields)) as stream:
            async for _ in stream:
                pass
            reply = await stream.get_final_completion()
        assert reply.usage is not None
        assert reply.usage.completion_tokens > 0
        return reply.choices[0]

    def _request(self, fields: dict[str, Any]) -> dict[str, Any]:
        extra = {"provider": {"only": [self.row.provider]}, **fields.pop("extra_body", {})}
        return {"model": self.row.model, "messages": self.messages, "extra_body": extra, **fields}

    def say(self, content: Any) -> None:
        self.messages.append({"role": "user", "content": content})


@pytest.fixture(params=ROWS, ids=lambda row: row.protocol)
async def script(request: pytest.FixtureRequest, shape: Shape) -> AsyncIterator[Script]:
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key=shape.api_key, max_retries=0) as client:
        yield Script(client, request.param)


async def test_chat(script: Script) -> None:
    script.messages.append({"role": "system", "content": "Be brief."})
    script.say("Hello! [[sim words=Good%20day]]")

    choice = await script.whole(max_completion_tokens=500)

    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Good day", "stop")


async def test_stream(script: Script) -> None:
    script.say("Hello! [[sim words=one%20two%20three]]")

    choice = await script.streamed(stop=["never said"])

    assert (choice.message.content, choice.finish_reason) == ("one two three", "stop")


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_tool_loop_of_two_turns_with_parallel_calls(script: Script, streaming: bool) -> None:
    ask = script.streamed if streaming else script.whole
    for city in ("Bern", "Oslo"):
        script.say(f"How is {city}? [[sim tools=3]]")
        # A thought that was signed goes back inside the loop, with the message that it belongs to.
        calling = await ask(tools=TOOLS, parallel_tool_calls=True, extra_body={"reasoning": {"effort": "low"}})
        calls = calling.message.tool_calls
        assert calling.finish_reason == "tool_calls"
        assert [call.function.name for call in calls] == ["weather", "now", "weather"]
        assert len({call.id for call in calls}) == 3
        assert isinstance(json.loads(calls[0].function.arguments)["city"], str)
        assert json.loads(calls[1].function.arguments) == {}

        script.messages.append(sent_back(calling.message))
        script.messages += [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in calls]
        answer = await ask(tools=TOOLS, extra_body={"reasoning": {"effort": "low"}})
        assert answer.finish_reason == "stop"
        assert answer.message.content
        script.messages.append(sent_back(answer.message))


async def test_image_input(script: Script) -> None:
    if not script.row.sees:
        pytest.skip("the model takes no images")
    script.say(
        [
            {"type": "text", "text": "What is it? [[sim words=A%20pixel]]"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ]
    )

    assert (await script.whole()).message.content == "A pixel"


async def test_structured_output(script: Script) -> None:
    script.say("Name a city.")
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": CITY}}

    for choice in (await script.whole(response_format=wanted), await script.streamed(response_format=wanted)):
        answer = json.loads(choice.message.content)
        assert list(answer) == ["city"]
        assert isinstance(answer["city"], str)
        assert choice.finish_reason == "stop"


async def test_reasoning(script: Script) -> None:
    script.say("Think. [[sim words=Forty-two]]")
    wanted = {"reasoning": {"effort": "high"}}

    for choice in (await script.whole(extra_body=wanted), await script.streamed(extra_body=wanted)):
        assert choice.message.content == "Forty-two"
        if script.row.thinks:
            assert choice.message.reasoning
            assert choice.message.reasoning_details


def sent_back(message: Any) -> dict[str, Any]:
    """The model's message as an application keeps it: without what is empty and what the SDK alone understands."""
    kept: dict[str, Any] = message.model_dump(exclude_none=True)
    kept.pop("parsed", None)
    for call in kept.get("tool_calls", ()):
        call["function"].pop("parsed_arguments", None)
    return kept
