"""The native formats on the wire: keys, statuses, event sequences and the count."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from libs.settings import load
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings

MESSAGES = "/anthropic/v1/messages"
GEMINI = "/google/v1beta/models/gemini-2.5-flash"
ANTHROPIC_HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
GOOGLE_HEADERS = {"x-goog-api-key": "k"}


@pytest.fixture
async def native() -> AsyncIterator[RunningSimulator]:
    running = await start(load(ProviderSimulatorSettings, {}))
    yield running
    await running.stop()


async def post(simulator: RunningSimulator, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(simulator.base_url + path, headers=headers, data=orjson.dumps(body)) as response,
    ):
        return response.status, response.headers, await response.read()


async def stats(simulator: RunningSimulator, provider: str) -> dict[str, int]:
    async with aiohttp.ClientSession() as session, session.get(f"{simulator.base_url}/sim/stats") as response:
        (tally,) = (await response.json())["providers"][provider].values()
    assert isinstance(tally, dict)
    return tally


def messages(prompt: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 3000, "messages": [{"role": "user", "content": prompt}]}
    return {**body, **fields}


def contents(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": prompt}]}], **fields}


def events(raw: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: ")]


TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}


async def test_messages_streams_have_anthropics_order_of_events(native: RunningSimulator) -> None:
    body = messages("[[sim tools=2]]", stream=True, tools=[TOOL], thinking={"type": "enabled", "budget_tokens": 1024})
    _, headers, raw = await post(native, MESSAGES, ANTHROPIC_HEADERS, body)
    kinds = [(event["type"], event.get("index")) for event in events(raw)]

    assert headers["content-type"].startswith("text/event-stream")
    assert [kind for kind in dict.fromkeys(kinds) if kind[0] != "content_block_delta"] == [
        ("message_start", None),
        ("ping", None),
        ("content_block_start", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert all(f"event: {kind}\n".encode() in raw for kind, _ in kinds)
    pieces = [e["delta"]["partial_json"] for e in events(raw) if e.get("delta", {}).get("type") == "input_json_delta"]
    assert "".join(pieces) == '{"a": "example"}' * 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-api-key": "k"}, 400),
        ({"x-api-key": " ", "anthropic-version": "2023-06-01"}, 401),
        ({"Authorization": "Bearer t", "anthropic-version": "2023-06-01"}, 200),
        (ANTHROPIC_HEADERS, 200),
    ],
)
async def test_messages_want_a_key_and_a_version(
    native: RunningSimulator, headers: dict[str, str], status: int
) -> None:
    assert (await post(native, MESSAGES, headers, messages("hi")))[0] == status


async def test_gemini_wants_a_key_in_either_place(native: RunningSimulator) -> None:
    assert (await post(native, f"{GEMINI}:generateContent", {}, contents("hi")))[0] == 403
    assert (await post(native, f"{GEMINI}:generateContent?key=k", {}, contents("hi")))[0] == 200


@pytest.mark.parametrize("path", [MESSAGES, f"{GEMINI}:generateContent"])
@pytest.mark.parametrize("body", [[], {}, {"messages": 1}, None])
async def test_a_body_without_sense_is_refused(native: RunningSimulator, path: str, body: Any) -> None:
    status, _, raw = await post(native, path, {**ANTHROPIC_HEADERS, **GOOGLE_HEADERS}, body)

    assert status == 400
    assert orjson.loads(raw)["error"]["message"]


async def test_unknown_models_and_providers_are_not_found(native: RunningSimulator) -> None:
    assert (await post(native, MESSAGES, ANTHROPIC_HEADERS, messages("hi", model="gpt-4o")))[0] == 404
    assert (await post(native, "/nobody/v1/messages", ANTHROPIC_HEADERS, messages("hi")))[0] == 404
    assert (await post(native, "/google/v1beta/models/x:generateContent", GOOGLE_HEADERS, contents("hi")))[0] == 404


async def test_gemini_streams_in_server_sent_events_with_a_running_count(native: RunningSimulator) -> None:
    path = f"{GEMINI}:streamGenerateContent?alt=sse"
    _, _, raw = await post(native, path, GOOGLE_HEADERS, contents("[[sim words=one%20two]]"))
    told = events(raw)

    parts = [event["candidates"][0]["content"].get("parts", [{}])[0].get("text") for event in told]
    assert parts == ["one", " two", None]
    assert [event["usageMetadata"]["candidatesTokenCount"] for event in told] == [1, 2, 2]
    assert told[-1]["candidates"][0]["finishReason"] == "STOP"
    assert (await post(native, f"{GEMINI}:streamGenerateContent", GOOGLE_HEADERS, contents("hi")))[0] == 400


async def test_thoughts_are_counted_like_words(native: RunningSimulator) -> None:
    thinking = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}}
    _, _, raw = await post(
        native, f"{GEMINI}:generateContent", GOOGLE_HEADERS, contents("[[sim tokens=3]]", **thinking)
    )
    counts = orjson.loads(raw)["usageMetadata"]

    assert (counts["candidatesTokenCount"], counts["thoughtsTokenCount"]) == (3, 4)
    tally = await stats(native, "google")
    assert (tally["prompt_tokens"], tally["completion_tokens"]) == (counts["promptTokenCount"], 7)


async def test_thoughts_of_messages_are_counted_like_words(native: RunningSimulator) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = messages("[[sim tokens=3]]", thinking=thinking)
    _, _, raw = await post(native, MESSAGES, ANTHROPIC_HEADERS, body)
    counts = orjson.loads(raw)["usage"]

    assert (counts["output_tokens"], counts["output_tokens_details"]) == (7, {"thinking_tokens": 4})
    tally = await stats(native, "anthropic")
    assert (tally["prompt_tokens"], tally["completion_tokens"]) == (counts["input_tokens"], 7)


async def test_thoughts_keep_within_the_limit(native: RunningSimulator) -> None:
    for limit, expected in ((3, 3), (6, 6)):
        config = {"maxOutputTokens": limit, "thinkingConfig": {"thinkingBudget": 1024}}
        path = f"{GEMINI}:generateContent"
        _, _, raw = await post(native, path, GOOGLE_HEADERS, contents("hi", generationConfig=config))
        counts = orjson.loads(raw)["usageMetadata"]

        assert counts["candidatesTokenCount"] + counts.get("thoughtsTokenCount", 0) == expected


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 418, 429, 500, 503, 529])
async def test_fail_answers_with_the_status_in_the_formats_shape(native: RunningSimulator, status: int) -> None:
    prompt = f"[[sim fail={status}]]"
    code, headers, raw = await post(native, MESSAGES, ANTHROPIC_HEADERS, messages(prompt))
    error = orjson.loads(raw)
    google_code, _, google_raw = await post(native, f"{GEMINI}:generateContent", GOOGLE_HEADERS, contents(prompt))
    google = orjson.loads(google_raw)["error"]

    assert (code, error["type"], google_code, google["code"]) == (status, "error", status, status)
    assert error["error"].keys() == {"type", "message"}
    assert ("retry-after" in headers) == (status == 429)
    assert any("retryDelay" in detail for detail in google.get("details", ())) == (status == 429)
    assert (await stats(native, "anthropic"))["failed"] == 1


async def test_every_request_is_counted_under_its_outcome(native: RunningSimulator) -> None:
    for prompt in ("hi", "[[sim fail=500]]", "[[sim garbage=html]]", "[[sim nonsense=1]]"):
        await post(native, MESSAGES, ANTHROPIC_HEADERS, messages(prompt))
    with pytest.raises(aiohttp.ClientError):
        await post(native, MESSAGES, ANTHROPIC_HEADERS, messages("[[sim cut=0]]"))

    tally = await stats(native, "anthropic")
    assert (tally["asked"], tally["answered"], tally["failed"], tally["cut"]) == (5, 1, 3, 1)


async def test_a_half_finished_call_is_not_given_out(native: RunningSimulator) -> None:
    tools = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}}]}]  # fmt: skip
    body = contents("[[sim tools=2]]", tools=tools, generationConfig={"maxOutputTokens": 5})
    _, _, raw = await post(native, f"{GEMINI}:generateContent", GOOGLE_HEADERS, body)
    candidate = orjson.loads(raw)["candidates"][0]

    assert [part["functionCall"]["args"] for part in candidate["content"]["parts"]] == [{"a": "example"}]
    assert candidate["finishReason"] == "MAX_TOKENS"
