"""Google's own SDK, pointed at the simulator: the Gemini API, and Vertex AI."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from libs.settings import load
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings

# The SDK's own class is what aiohttp warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

MODEL = "gemini-2.5-flash"
CITY: dict[str, Any] = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
TOOLS: Any = [
    {"function_declarations": [{"name": "weather", "description": "Tells it", "parameters": CITY}, {"name": "now"}]}
]
THINKING: Any = {"thinking_budget": 1024, "include_thoughts": True}


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    running = await start(load(ProviderSimulatorSettings, {}))
    yield running
    await running.stop()


@pytest.fixture(params=["gemini", "vertex"])
async def asked(simulator: RunningSimulator, request: pytest.FixtureRequest) -> AsyncIterator["Asked"]:
    if request.param == "gemini":
        options = types.HttpOptions(base_url=f"{simulator.base_url}/google", api_version="v1beta")
        client = genai.Client(api_key="any", http_options=options)
    else:
        options = types.HttpOptions(base_url=f"{simulator.base_url}/google-vertex", api_version="v1")
        client = genai.Client(
            vertexai=True,
            project="p",
            location="global",
            credentials=Credentials("any"),  # type: ignore[no-untyped-call]
            http_options=options,
        )
    async with client.aio as sdk:
        yield Asked(sdk)


class Asked:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def whole(self, contents: Any, **config: Any) -> types.GenerateContentResponse:
        reply = await self.client.models.generate_content(model=MODEL, contents=contents, config=_config(config))
        assert isinstance(reply, types.GenerateContentResponse)
        return reply

    async def streamed(self, contents: Any, **config: Any) -> list[types.GenerateContentResponse]:
        events = await self.client.models.generate_content_stream(
            model=MODEL, contents=contents, config=_config(config)
        )
        return [event async for event in events]


def _config(fields: dict[str, Any]) -> types.GenerateContentConfig:
    calling = types.AutomaticFunctionCallingConfig(disable=True)
    return types.GenerateContentConfig(automatic_function_calling=calling, **fields)


def parts(reply: types.GenerateContentResponse) -> list[types.Part]:
    assert reply.candidates
    content = reply.candidates[0].content
    return (content.parts or []) if content is not None else []


async def test_a_reply_is_what_the_sdk_knows(asked: Asked) -> None:
    reply = await asked.whole("[[sim words=Exactly%20this.]]")

    assert reply.text == "Exactly this."
    assert reply.candidates
    assert reply.candidates[0].finish_reason is types.FinishReason.STOP
    assert reply.usage_metadata is not None
    assert reply.usage_metadata.candidates_token_count == 2
    counts = reply.usage_metadata
    assert counts.total_token_count == (counts.prompt_token_count or 0) + 2


async def test_a_stream_says_the_words_of_the_whole_reply(asked: Asked) -> None:
    whole = await asked.whole("hello")
    events = await asked.streamed("hello")

    assert "".join(event.text or "" for event in events) == whole.text
    assert events[-1].candidates
    assert events[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert events[-1].usage_metadata is not None
    assert whole.usage_metadata is not None
    assert events[-1].usage_metadata.candidates_token_count == whole.usage_metadata.candidates_token_count


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_tool_loop_with_thinking_and_parallel_calls(asked: Asked, streaming: bool) -> None:
    question = types.Content(role="user", parts=[types.Part(text="Weather? [[sim tools=2]]")])
    if streaming:
        said = [part for event in await asked.streamed([question], tools=TOOLS, thinking_config=THINKING) for part in parts(event)]  # fmt: skip
    else:
        said = parts(await asked.whole([question], tools=TOOLS, thinking_config=THINKING))
    calls = [part.function_call for part in said if part.function_call is not None]
    results = [types.Part.from_function_response(name=call.name or "", response={"output": "7"}) for call in calls]
    kept = [part for part in said if part.function_call is not None or part.text]

    second = await asked.whole(
        [question, types.Content(role="model", parts=kept), types.Content(role="user", parts=results)],
        tools=TOOLS,
        thinking_config=THINKING,
    )

    assert any(part.thought for part in said)
    assert any(part.thought_signature for part in said)
    assert [(call.name, call.args) for call in calls] == [("weather", {"city": "example"}), ("now", {})]
    assert second.text


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_errors_are_the_sdks(asked: Asked, status: int) -> None:
    with pytest.raises(errors.ClientError if status < 500 else errors.ServerError) as raised:
        await asked.whole(f"[[sim fail={status}]]")

    assert raised.value.code == status
    assert raised.value.status
    assert raised.value.message


async def test_structured_output_fits_the_schema(asked: Asked) -> None:
    reply = await asked.whole("hi", response_mime_type="application/json", response_schema=CITY)

    assert json.loads(reply.text or "") == {"city": "example"}


async def test_what_the_format_refuses_is_refused(asked: Asked) -> None:
    with pytest.raises(errors.ClientError):
        await asked.whole("hi", temperature=3)
