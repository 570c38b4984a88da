"""AWS's own SDK, pointed at the simulator: signed requests, Converse, and its binary streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from libs.settings import load
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {
    "tools": [
        {"toolSpec": {"name": "weather", "description": "Tells it", "inputSchema": {"json": CITY}}},
        {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
    ]
}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    running = await start(load(ProviderSimulatorSettings, {}))
    yield running
    await running.stop()


@pytest.fixture
def client(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    sdk = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"{simulator.base_url}/amazon-bedrock",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=True),
    )
    yield sdk
    sdk.close()


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}]}


async def converse(client: Any, *messages: dict[str, Any], **fields: Any) -> Any:
    return await asyncio.to_thread(client.converse, modelId=MODEL, messages=list(messages), **fields)


async def streamed(client: Any, *messages: dict[str, Any], **fields: Any) -> list[tuple[str, Any]]:
    """Events by name, as the SDK reads them."""

    def read() -> list[tuple[str, Any]]:
        reply = client.converse_stream(modelId=MODEL, messages=list(messages), **fields)
        with closing(reply["stream"]) as stream:
            return [next(iter(event.items())) for event in stream]

    return await asyncio.to_thread(read)


async def test_a_reply_is_what_the_sdk_knows(client: Any) -> None:
    reply = await converse(client, user("[[sim words=Exactly%20this.]]"), system=[{"text": "Be brief."}])

    assert reply["output"]["message"] == {"role": "assistant", "content": [{"text": "Exactly this."}]}
    assert reply["stopReason"] == "end_turn"
    usage = reply["usage"]
    assert usage["outputTokens"] == 2
    assert usage["totalTokens"] == usage["inputTokens"] + 2
    assert reply["ResponseMetadata"]["RequestId"]


async def test_a_stream_has_the_order_of_events_and_the_words_of_the_whole_reply(client: Any) -> None:
    whole = await converse(client, user("hello"))
    events = await streamed(client, user("hello"))

    assert list(dict.fromkeys(kind for kind, _ in events)) == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    said = "".join(value["delta"]["text"] for kind, value in events if kind == "contentBlockDelta")
    assert said == whole["output"]["message"]["content"][0]["text"]
    assert events[-1][1]["usage"] == whole["usage"]


async def test_a_loop_with_thoughts_and_parallel_calls(client: Any) -> None:
    ask = user("[[sim tools=2]]")
    fields: dict[str, Any] = {
        "toolConfig": TOOLS,
        "inferenceConfig": {"maxTokens": 2_000},
        "additionalModelRequestFields": THINKING,
    }
    first = await converse(client, ask, **fields)
    message = first["output"]["message"]
    calls = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"t": 7}}]}} for call in calls]

    second = await converse(client, ask, message, {"role": "user", "content": results}, **fields)

    assert first["stopReason"] == "tool_use"
    assert "signature" in message["content"][0]["reasoningContent"]["reasoningText"]
    assert [(call["name"], call["input"]) for call in calls] == [("weather", {"city": "example"}), ("now", {})]
    assert second["stopReason"] == "end_turn"
    with pytest.raises(ClientError, match="Expected toolResult blocks"):
        await converse(client, ask, message, {"role": "user", "content": results[:1]}, **fields)


async def test_streamed_calls_and_thoughts_come_in_blocks(client: Any) -> None:
    events = await streamed(
        client,
        user("[[sim tools=2]]"),
        toolConfig=TOOLS,
        inferenceConfig={"maxTokens": 2_000},
        additionalModelRequestFields=THINKING,
    )

    starts = [value["start"]["toolUse"]["name"] for kind, value in events if kind == "contentBlockStart"]
    deltas = [value["delta"] for kind, value in events if kind == "contentBlockDelta"]
    assert starts == ["weather", "now"]
    assert "".join(d["reasoningContent"].get("text", "") for d in deltas if "reasoningContent" in d)
    assert json.loads("".join(d["toolUse"]["input"] for d in deltas if "toolUse" in d)[: -len("{}")]) == {
        "city": "example"
    }
    assert ("messageStop", {"stopReason": "tool_use"}) in events


async def test_structured_output_and_media(client: Any) -> None:
    schema = json.dumps({**CITY, "additionalProperties": False})
    wanted = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, "name": "city"}}}}
    parts = [
        {"text": "Look"},
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
        {"document": {"format": "pdf", "name": "paper", "source": {"bytes": b"%PDF-1.4"}}},
    ]

    reply = await converse(client, {"role": "user", "content": parts}, outputConfig=wanted)

    assert json.loads(reply["output"]["message"]["content"][0]["text"]) == {"city": "example"}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
async def test_errors_have_the_names_that_the_sdk_knows(client: Any, status: int, name: str) -> None:
    with pytest.raises(getattr(client.exceptions, name)) as caught:
        await converse(client, user(f"[[sim fail={status}]]"))

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


async def test_an_error_in_a_stream_is_an_exception_after_what_was_said(client: Any) -> None:
    def read() -> list[Any]:
        said: list[Any] = []
        reply = client.converse_stream(modelId=MODEL, messages=[user("[[sim tokens=9 fail=503 after=2]]")])
        with closing(reply["stream"]) as stream, pytest.raises(EventStreamError, match="serviceUnavailableException"):
            said.extend(event for event in stream if "contentBlockDelta" in event)
        return said

    # The SDK's iterator raises where the exception stands; extend has kept what came before.
    assert len(await asyncio.to_thread(read)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"inferenceConfig": {"maxTokens": 5}, "additionalModelRequestFields": {"seed": 7}},
        {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 9_000}}},
        {"inferenceConfig": {"temperature": 0.5, "topP": 0.5}},
        {"toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "unknown"}}}},
        {"system": [{"text": " "}]},
    ],
)
async def test_what_bedrock_refuses_is_a_validation_error(client: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(client.exceptions.ValidationException):
        await converse(client, user("hi"), **fields)
