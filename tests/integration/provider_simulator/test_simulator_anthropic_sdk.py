"""Anthropic's own SDK, pointed at the simulator: its own host, and Vertex AI."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from libs.settings import load
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings

CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: list[Any] = [
    {"name": "weather", "description": "Tells it", "input_schema": CITY},
    {"name": "now", "input_schema": {"type": "object"}},
]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}

Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicVertex


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    running = await start(load(ProviderSimulatorSettings, {}))
    yield running
    await running.stop()


@pytest.fixture(params=["anthropic", "vertex"])
async def asked(simulator: RunningSimulator, request: pytest.FixtureRequest) -> AsyncIterator["Asked"]:
    if request.param == "anthropic":
        client: Client = anthropic.AsyncAnthropic(
            api_key="any", base_url=f"{simulator.base_url}/anthropic", max_retries=0
        )
        model = "claude-sonnet-4-6"
    else:
        client = anthropic.AsyncAnthropicVertex(
            region="global",
            project_id="p",
            access_token="any",
            base_url=f"{simulator.base_url}/google-vertex-anthropic/v1",
            max_retries=0,
        )
        model = "claude-sonnet-4-6@default"
    async with client:
        yield Asked(client, model)


class Asked:
    def __init__(self, client: Client, model: str) -> None:
        self.client = client
        self.fields: dict[str, Any] = {"model": model, "max_tokens": 3000}

    async def whole(self, *messages: Any, **fields: Any) -> anthropic.types.Message:
        reply = await self.client.messages.create(messages=list(messages), **{**self.fields, **fields})
        assert isinstance(reply, anthropic.types.Message)
        return reply

    async def streamed(self, *messages: Any, **fields: Any) -> anthropic.types.Message:
        """The message that the SDK itself makes of the events."""
        async with self.client.messages.stream(messages=list(messages), **{**self.fields, **fields}) as stream:
            async for _ in stream:
                pass
            return await stream.get_final_message()


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


async def test_a_reply_is_what_the_sdk_knows_streamed_or_not(asked: Asked) -> None:
    for ask in (asked.whole, asked.streamed):
        reply = await ask(user("[[sim words=Exactly%20this.]]"))

        assert [(block.type, getattr(block, "text", None)) for block in reply.content] == [("text", "Exactly this.")]
        assert (reply.role, reply.stop_reason) == ("assistant", "end_turn")
        assert reply.usage.output_tokens == 2
        assert reply.usage.input_tokens > 0


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_tool_loop_with_thinking_and_parallel_calls(asked: Asked, streaming: bool) -> None:
    ask = asked.streamed if streaming else asked.whole
    question = user("Weather? [[sim tools=2]]")
    first = await ask(question, tools=TOOLS, thinking=THINKING)
    calls = [block for block in first.content if isinstance(block, anthropic.types.ToolUseBlock)]
    results: list[Any] = [{"type": "tool_result", "tool_use_id": call.id, "content": "7"} for call in calls]
    turn: Any = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}

    second = await ask(question, turn, user(results), tools=TOOLS, thinking=THINKING)

    assert first.stop_reason == "tool_use"
    assert first.content[0].type == "thinking"
    assert [(call.name, call.input) for call in calls] == [("weather", {"city": "example"}), ("now", {})]
    assert (second.stop_reason, second.content[-1].type) == ("end_turn", "text")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (529, anthropic.InternalServerError),
    ],
)
async def test_errors_are_the_sdks(asked: Asked, status: int, error: type[anthropic.APIStatusError]) -> None:
    with pytest.raises(error) as raised:
        await asked.whole(user(f"[[sim fail={status}]]"))

    assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["type"] == "error"


async def test_an_error_in_a_stream_is_an_error_of_the_sdk(asked: Asked) -> None:
    with pytest.raises(anthropic.APIStatusError):
        await asked.streamed(user("[[sim tokens=9 fail=529 after=2]]"))


async def test_what_the_format_does_not_know_is_refused(asked: Asked) -> None:
    with pytest.raises(anthropic.BadRequestError, match="Extra inputs"):
        await asked.whole(user("hi"), extra_body={"frequency_penalty": 1})


async def test_structured_output_fits_the_schema(asked: Asked) -> None:
    schema = {**CITY, "additionalProperties": False}
    reply = await asked.whole(user("hi"), output_config={"format": {"type": "json_schema", "schema": schema}})

    (block,) = reply.content
    assert isinstance(block, anthropic.types.TextBlock)
    assert json.loads(block.text) == {"city": "example"}
