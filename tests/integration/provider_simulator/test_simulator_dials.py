import asyncio
import json
import time

import pytest

from services.provider_simulator.main import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_simulator.raw_http import (
    DEADLINE_S,
    UPSTREAM,
    ask,
    chat_body,
    connect,
    exchange,
    get,
    request_bytes,
    tally,
    until,
)

GROQ = "/groq/v1/chat/completions"


@pytest.mark.parametrize("stream", [False, True])
async def test_fail_answers_with_the_status(simulator: RunningSimulator, stream: bool) -> None:
    reply = await ask(simulator.base_url, "[[sim fail=503]]", stream=stream)

    assert reply.status == 503
    assert reply.error["code"] == "service_unavailable"


async def test_fail_after_events_ends_the_stream_with_an_error_and_no_end_mark(simulator: RunningSimulator) -> None:
    reply = await ask(simulator.base_url, "[[sim fail=500 after=0]]", stream=True)

    assert reply.status == 200
    assert b'"error":' in reply.body
    assert b'"content":"signal' not in reply.body
    assert b"[DONE]" not in reply.body
    assert reply.chunked_to_the_end


async def test_fail_after_events_answers_a_plain_request_with_the_status(simulator: RunningSimulator) -> None:
    assert (await ask(simulator.base_url, "[[sim fail=502 after=3]]")).status == 502


@pytest.mark.parametrize("stream", [False, True])
async def test_cut_before_the_first_event_sends_nothing(simulator: RunningSimulator, stream: bool) -> None:
    raw = request_bytes(chat_body("[[sim cut=0]]", stream=stream))

    assert await exchange(simulator.base_url, raw) is None
    assert (await tally(simulator.base_url))["cut"] == 1


async def test_cut_closes_the_stream_after_the_events(simulator: RunningSimulator) -> None:
    reply = await ask(simulator.base_url, "[[sim cut=3]]", stream=True)

    assert reply.status == 200
    assert reply.body.count(b'"delta":{"content"') == 3
    assert b"[DONE]" not in reply.body
    assert not reply.chunked_to_the_end


async def test_cut_sends_a_part_of_a_plain_body(simulator: RunningSimulator) -> None:
    reply = await ask(simulator.base_url, "[[sim cut=8]]")
    promised = int(reply.header("content-length") or 0)

    assert reply.status == 200
    assert 0.3 * promised < len(reply.body) < 0.7 * promised


@pytest.mark.parametrize(("stream", "events"), [(True, 2), (False, 2), (True, 0), (False, 0)])
async def test_stall_stays_silent_until_the_caller_leaves(
    simulator: RunningSimulator, stream: bool, events: int
) -> None:
    reader, writer = await connect(simulator.base_url)
    writer.write(request_bytes(chat_body(f"[[sim stall={events}]]", stream=stream)))
    if events:
        async with asyncio.timeout(DEADLINE_S):
            await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(-1)
    assert (await tally(simulator.base_url))["cut"] == 0
    writer.close()
    await writer.wait_closed()

    async def counted() -> bool:
        return (await tally(simulator.base_url))["cut"] == 1

    await until(counted)


async def test_stall_ends_when_the_requests_time_is_over(settings: ProviderSimulatorSettings) -> None:
    running = await start(settings.model_copy(update={"request_limit_s": 0.05}))
    try:
        reply = await ask(running.base_url, "[[sim stall=1]]", stream=True)

        assert not reply.chunked_to_the_end
        assert (await tally(running.base_url))["cut"] == 1
    finally:
        await running.stop()


async def test_empty_answer_has_neither_text_nor_finish_reason(simulator: RunningSimulator) -> None:
    whole = json.loads((await ask(simulator.base_url, "[[sim empty=1]]")).body)
    streamed = await ask(simulator.base_url, "[[sim empty=1]]", stream=True, stream_options={"include_usage": True})

    assert whole["choices"][0]["message"]["content"] == ""
    assert whole["choices"][0]["finish_reason"] is None
    assert whole["usage"]["completion_tokens"] == 0
    assert b'"finish_reason":"' not in streamed.body
    assert b'"completion_tokens":0' in streamed.body
    assert b"data: [DONE]" in streamed.body


async def test_delays_are_kept(simulator: RunningSimulator) -> None:
    for stream in (False, True):
        started_s = time.monotonic()
        await ask(simulator.base_url, "[[sim ttft_ms=60 chunk_ms=20 tokens=5]]", stream=stream)

        assert time.monotonic() - started_s >= 0.06 + 4 * 0.02 - 0.005


async def test_first_event_comes_while_the_others_wait(simulator: RunningSimulator) -> None:
    reader, writer = await connect(simulator.base_url)
    writer.write(request_bytes(chat_body("[[sim chunk_ms=600000 words=one%20two]]", stream=True)))
    async with asyncio.timeout(DEADLINE_S):
        received = await reader.readuntil(b'"content":"one"')
    writer.close()
    await writer.wait_closed()

    assert b'"two"' not in received


@pytest.mark.parametrize("stream", [False, True])
async def test_garbage_comes_with_status_200_and_counts_as_failed(simulator: RunningSimulator, stream: bool) -> None:
    replies = [
        await ask(simulator.base_url, f"[[sim garbage={kind}]]", stream=stream) for kind in ("html", "json", "utf8")
    ]

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert b"<html>" in replies[0].body
    if not stream:
        with pytest.raises(json.JSONDecodeError):
            json.loads(replies[1].body)
    with pytest.raises(UnicodeDecodeError):
        replies[2].body.decode()
    assert (await tally(simulator.base_url))["failed"] == 3


async def test_directive_for_another_provider_is_passed_over(simulator: RunningSimulator) -> None:
    prompt = "[[sim fail=500 only=groq]]"
    body = {**chat_body(prompt), "model": "gpt-oss-120b"}
    groq = await exchange(simulator.base_url, request_bytes(body, GROQ))
    azure = await exchange(simulator.base_url, request_bytes(body, "/azure/v1/chat/completions"))

    assert groq is not None
    assert azure is not None
    assert (groq.status, azure.status) == (500, 200)


@pytest.mark.parametrize(
    ("model", "status"), [("openai/gpt-oss-120b", 500), ("gpt-oss-120b", 500), ("meta/llama", 200)]
)
async def test_directive_for_a_model_goes_by_either_name(simulator: RunningSimulator, model: str, status: int) -> None:
    body = {**chat_body(f"[[sim fail=500 model={model}]]"), "model": "gpt-oss-120b"}
    reply = await exchange(simulator.base_url, request_bytes(body, GROQ))

    assert reply is not None
    assert reply.status == status


async def test_unknown_key_is_refused_with_the_known_ones(simulator: RunningSimulator) -> None:
    reply = await ask(simulator.base_url, "[[sim speed=9]]")

    assert reply.status == 400
    assert all(key in reply.error["message"] for key in ("'speed'", "ttft_ms", "garbage", "only"))


async def test_tools_dial_without_tools_is_refused(simulator: RunningSimulator) -> None:
    reply = await ask(simulator.base_url, "[[sim tools=1]]")

    assert (reply.status, reply.error["param"]) == (400, "tools")


async def test_request_without_bearer_is_refused(
    simulator: RunningSimulator, settings: ProviderSimulatorSettings
) -> None:
    for authorization in ("", "Bearer ", "Basic abc"):
        reply = await exchange(simulator.base_url, request_bytes(chat_body(), authorization=authorization))
        assert reply is not None
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    lax = await start(settings.model_copy(update={"require_bearer": False}))
    try:
        reply = await exchange(lax.base_url, request_bytes(chat_body(), authorization=""))
    finally:
        await lax.stop()
    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(
    ("path", "code"), [("/nobody/v1/chat/completions", "provider_not_found"), ("/v1/paintings", "unknown_url")]
)
async def test_unknown_provider_and_route_are_not_found(simulator: RunningSimulator, path: str, code: str) -> None:
    reply = await exchange(simulator.base_url, request_bytes(chat_body(), path))

    assert reply is not None
    assert (reply.status, reply.error["code"]) == (404, code)


async def test_bodies_are_taken_up_to_the_limit(settings: ProviderSimulatorSettings) -> None:
    running = await start(settings.model_copy(update={"max_body_bytes": 2_000_000}))
    try:
        large = await ask(running.base_url, "hello world " * 100_000)
        too_large = await ask(running.base_url, "x" * 2_000_001)
    finally:
        await running.stop()

    assert large.status == 200
    assert json.loads(large.body)["usage"]["prompt_tokens"] > 200_000
    assert (too_large.status, too_large.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"model": 5}', b'{"messages": []}', b"\xff\xfe"])
async def test_body_that_makes_no_sense_is_refused(simulator: RunningSimulator, raw: bytes) -> None:
    reply = await exchange(simulator.base_url, request_bytes(raw))

    assert reply is not None
    assert reply.status == 400
    assert set(reply.error) == {"message", "type", "param", "code"}


async def test_long_answer_arrives_whole(simulator: RunningSimulator) -> None:
    reply = await ask(simulator.base_url, "[[sim tokens=5000]]", UPSTREAM, stream=True)

    assert reply.body.count(b'"delta":{"content"') == 5000
    assert (await tally(simulator.base_url))["completion_tokens"] == 5000


async def test_health_is_ok(simulator: RunningSimulator) -> None:
    assert (await get(simulator.base_url, "/healthz"))["status"] == "ok"
