import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import cast

import orjson
import pytest
from switchyard.common.v1.usage_pb2 import TokenUsage
from switchyard.provider.v1 import provider_pb2 as pb

from libs.errors import Kind
from services.provider_adapter import waiting
from services.provider_adapter.http_calls import HttpCalls, open_http_calls
from tests.integration.provider_adapter.conftest import CREDENTIAL, Adapter, adapter_on, limits, request
from tests.integration.provider_adapter.scripted_upstream import (
    DEADLINE_S,
    DONE,
    REPLY,
    ROLE,
    STREAM_END,
    STREAM_HEAD,
    USAGE,
    Connection,
    Cut,
    ScriptedUpstream,
    UntilGone,
    delta,
    piece,
    whole,
)

WHOLE_STREAM = STREAM_HEAD + piece(ROLE + delta("Hel") + delta("lo") + delta(None, "stop") + USAGE + DONE) + STREAM_END


async def test_a_reply_that_does_not_stream_is_one_result_and_an_end(
    adapter: Adapter, upstream: ScriptedUpstream
) -> None:
    upstream.answer(whole(REPLY))

    outcome = await adapter.run(user_hash="h4sh", max_tokens=7)

    result, _ = outcome.messages
    value = orjson.loads(result.result.json)
    assert value["id"] == "gen-1-a"
    assert value["choices"][0]["message"]["content"] == "Hello"
    assert "usage" not in value
    assert outcome.end.usage == TokenUsage(prompt_tokens=3, completion_tokens=2)
    assert (outcome.end.finish_reason, outcome.end.upstream_id) == ("stop", "up-1")
    assert (outcome.end.upstream_status, outcome.end.has_content) == (200, True)
    received = upstream.received[0]
    assert received.line == "POST /v1/chat/completions HTTP/1.1"
    assert received.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["content-type"] == "application/json"
    assert received.json["model"] == "native-model"
    assert (received.json["user"], received.json["max_tokens"]) == ("h4sh", 7)


async def test_a_stream_is_chunks_and_an_end(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(WHOLE_STREAM)

    outcome = await adapter.run(stream=True)

    assert outcome.text == "Hello"
    assert outcome.sse.count(b"data: ") == 4
    assert outcome.end.usage == TokenUsage(prompt_tokens=3, completion_tokens=2)
    assert outcome.end.finish_reason == "stop"
    assert upstream.received[0].json["stream_options"] == {"include_usage": True}


async def test_a_stream_byte_by_byte_says_the_same(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(STREAM_HEAD, *(piece(bytes([byte])) for byte in ROLE + delta("é") + DONE), STREAM_END)

    assert (await adapter.run(stream=True)).text == "é"


async def test_a_stream_without_usage_says_so(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(STREAM_HEAD + piece(delta("a") + delta(None, "stop") + DONE) + STREAM_END)

    assert not (await adapter.run(stream=True)).end.HasField("usage")


async def test_an_empty_stream_is_an_answer_without_content(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(STREAM_HEAD + piece(ROLE + delta(None, "stop") + USAGE + DONE) + STREAM_END)

    outcome = await adapter.run(stream=True)

    assert outcome.sse.count(b"data: ") == 2
    assert not outcome.end.has_content


async def test_the_first_chunk_does_not_wait_for_the_second(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    more = asyncio.Event()
    upstream.answer(STREAM_HEAD + piece(ROLE + delta("a")), more, piece(delta("b") + DONE) + STREAM_END)

    messages = adapter.servicer.Generate(request(stream=True), None)
    async with asyncio.timeout(DEADLINE_S):
        first = await anext(messages)
        more.set()
        rest = [message async for message in messages]

    assert first.chunks.sse.count(b"data: ") == 2
    assert rest[-1].HasField("end")


async def test_a_finished_connection_is_used_again(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(WHOLE_STREAM)
    upstream.answer(whole(REPLY))

    await adapter.run(stream=True)
    await adapter.run()

    assert len(upstream.connections) == 1


async def test_a_connection_whose_end_of_framing_comes_late_is_used_again(
    adapter: Adapter, upstream: ScriptedUpstream, calls: HttpCalls
) -> None:
    done = asyncio.Event()
    upstream.answer(WHOLE_STREAM.removesuffix(STREAM_END), done, STREAM_END)
    upstream.answer(whole(REPLY))

    outcome = await adapter.run(stream=True)
    done.set()
    connector = calls._session.connector
    assert connector is not None
    async with asyncio.timeout(DEADLINE_S):
        while not any(connector._conns.values()):  # noqa: ASYNC110 (the pool tells nobody)
            await asyncio.sleep(0)
    await adapter.run()

    assert outcome.end.has_content
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("answer", "expected", "kind"),
    [
        (
            whole({"error": {"message": "bad", "code": "c"}}, "400 Bad Request"),
            {"class": "invalid_request", "status": "400", "retryable_elsewhere": "false", "provider_code": "c"},
            Kind.INVALID,
        ),
        (
            whole({"error": {"message": "slow"}}, "429 Too Many Requests", "Retry-After: 7"),
            {"class": "rate_limited", "status": "429", "retryable_elsewhere": "true", "retry_after_s": "7"},
            Kind.RATE_LIMITED,
        ),
        (
            whole(b"<html>x</html>", "503 Service Unavailable", "retry-after-ms: 1500", kind="text/html"),
            {"class": "overloaded", "status": "503", "retry_after_s": "1.5"},
            Kind.OVERLOADED,
        ),
        (whole(b"<html>x</html>", kind="text/html"), {"class": "upstream", "status": "200"}, Kind.UPSTREAM),
        (whole(b'{"choices": [', kind="application/json"), {"class": "upstream", "status": "200"}, Kind.UPSTREAM),
        (
            whole({"error": {"message": "filtered", "code": "content_filter"}}),
            {"class": "content_policy", "status": "200", "provider_message": "filtered"},
            Kind.FORBIDDEN,
        ),
        (
            whole(b"", "302 Found", "Location: http://127.0.0.1:1/"),
            {"class": "upstream", "status": "302"},
            Kind.UPSTREAM,
        ),
        (whole(b"", "500 Oops"), {"class": "upstream", "status": "500"}, Kind.UPSTREAM),
        (b"HTTP/1.1 204 No Content\r\n\r\n", {"class": "upstream"}, Kind.UPSTREAM),
        (b"garbage\r\n\r\n", {"class": "upstream", "status": "0"}, Kind.UPSTREAM),
    ],
)
async def test_answers_that_are_no_replies_fail_before_the_first_chunk(
    adapter: Adapter, upstream: ScriptedUpstream, answer: bytes, expected: dict[str, str], kind: Kind, stream: bool
) -> None:
    upstream.answer(answer, Cut())

    outcome = await adapter.run(stream=stream)

    assert outcome.messages == []
    assert expected.items() <= outcome.failure.items()
    assert outcome.failure["after_first_chunk"] == "false"
    assert outcome.error is not None
    assert outcome.error.kind is kind
    assert len(upstream.received) == 1


async def test_an_error_that_repeats_our_credential_does_not_show_it(
    adapter: Adapter, upstream: ScriptedUpstream
) -> None:
    message = f"Incorrect key {CREDENTIAL}, see {upstream.base_url}"
    upstream.answer(whole({"error": {"message": message, "code": CREDENTIAL}}, "401 Unauthorized"))

    outcome = await adapter.run()

    assert outcome.failure["class"] == "authentication"
    assert CREDENTIAL not in str(outcome.failure)
    assert "127.0.0.1" not in str(outcome.failure)


@pytest.mark.parametrize(
    "broken",
    [
        piece(b'data: {"error":{"message":"boom","code":500}}\n\n') + STREAM_END,
        piece(b"data: {oops\n\n") + STREAM_END,
        STREAM_END,
        b"",
        b"20\r\nhalf a piece",
    ],
)
async def test_a_stream_that_breaks_after_the_first_chunk_keeps_what_was_sent(
    adapter: Adapter, upstream: ScriptedUpstream, broken: bytes
) -> None:
    upstream.answer(STREAM_HEAD + piece(ROLE + delta("a")) + broken, Cut())

    outcome = await adapter.run(stream=True)

    assert outcome.text == "a"
    assert (outcome.failure["class"], outcome.failure["after_first_chunk"]) == ("upstream", "true")


@pytest.mark.parametrize("start", [b"", STREAM_HEAD, STREAM_HEAD + piece(ROLE), STREAM_HEAD + piece(b": ping\n\n")])
async def test_a_stream_that_breaks_before_content_fails_before_the_first_chunk(
    adapter: Adapter, upstream: ScriptedUpstream, start: bytes
) -> None:
    upstream.answer(start, Cut())

    outcome = await adapter.run(stream=True)

    assert outcome.messages == []
    assert (outcome.failure["class"], outcome.failure["after_first_chunk"]) == ("upstream", "false")


async def test_a_connection_that_breaks_after_the_finish_harms_nobody(
    adapter: Adapter, upstream: ScriptedUpstream
) -> None:
    upstream.answer(STREAM_HEAD + piece(ROLE + delta("a") + delta(None, "stop")), Cut())

    assert (await adapter.run(stream=True)).end.finish_reason == "stop"


async def test_a_reply_that_is_cut_fails(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(whole(REPLY)[:-5], Cut())

    assert (await adapter.run()).failure["class"] == "upstream"


async def test_a_reply_beyond_the_bound_fails(
    adapter: Adapter, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BODY_LIMIT_BYTES", 1000)
    upstream.answer(whole({**REPLY, "padding": "x" * 2000}))

    assert "too large" in (await adapter.run()).failure["provider_message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_before_the_first_event_is_a_timeout(
    adapter: Adapter, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.answer(UntilGone())

    outcome = await adapter.run(stream=stream, limits=limits(first_event_ms=50))

    assert outcome.error is not None
    assert outcome.error.kind is Kind.TIMEOUT
    assert (outcome.failure["class"], outcome.failure["phase"], outcome.failure["status"]) == (
        "timeout",
        "first_event",
        "0",
    )
    await upstream.wait_until_gone()


async def test_comments_do_not_put_off_the_first_event(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    async def chatter(connection: Connection) -> None:
        while True:
            await connection.write(piece(b": still queued\n\n"))
            await asyncio.sleep(0.005)

    upstream.answer(STREAM_HEAD + piece(ROLE), chatter)

    outcome = await adapter.run(stream=True, limits=limits(first_event_ms=60, idle_ms=40))

    assert (outcome.failure["phase"], outcome.failure["after_first_chunk"]) == ("first_event", "false")


async def test_silence_in_a_stream_is_a_timeout_after_the_first_chunk(
    adapter: Adapter, upstream: ScriptedUpstream
) -> None:
    upstream.answer(STREAM_HEAD + piece(ROLE + delta("a")), UntilGone())

    outcome = await adapter.run(stream=True, limits=limits(idle_ms=50))

    assert outcome.text == "a"
    assert (outcome.failure["class"], outcome.failure["phase"], outcome.failure["after_first_chunk"]) == (
        "timeout",
        "idle",
        "true",
    )
    await upstream.wait_until_gone()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reply_that_never_ends_is_a_timeout(adapter: Adapter, upstream: ScriptedUpstream, stream: bool) -> None:
    async def drip(connection: Connection) -> None:
        while True:
            await connection.write(piece(delta("a")))
            await asyncio.sleep(0.005)

    upstream.answer(STREAM_HEAD, drip)

    outcome = await adapter.run(stream=stream, limits=limits(idle_ms=1000, total_ms=80))

    assert outcome.failure["phase"] == "total"
    assert outcome.failure["after_first_chunk"] == ("true" if stream else "false")


async def test_an_unreachable_provider_is_an_upstream_failure_without_its_address(
    adapter: Adapter, upstream: ScriptedUpstream
) -> None:
    async with open_http_calls(10) as calls:
        # Port 1 of the loopback interface: nobody listens there.
        outcome = await adapter_on(calls, upstream_base_url="http://127.0.0.1:1/v1").run()

    assert (outcome.failure["class"], outcome.failure["phase"], outcome.failure["status"]) == (
        "upstream",
        "connect",
        "0",
    )
    assert outcome.failure["retryable_elsewhere"] == "true"
    assert "127.0.0.1" not in str(outcome.failure)


async def test_no_free_connection_within_the_limit_is_a_timeout(upstream: ScriptedUpstream) -> None:
    upstream.answer(UntilGone())
    async with open_http_calls(max_connections=1) as calls:
        adapter = adapter_on(calls, upstream_base_url=upstream.base_url)
        first = asyncio.create_task(adapter.run())
        await upstream.wait_until_asked()
        outcome = await adapter.run(limits=limits(connect_ms=50))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    assert (outcome.failure["class"], outcome.failure["phase"]) == ("timeout", "connect")


async def test_leaving_a_stream_closes_the_providers_call_at_once(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(STREAM_HEAD + piece(ROLE + delta("a")), UntilGone())

    messages = cast("AsyncGenerator[pb.GenerateResponse]", adapter.servicer.Generate(request(stream=True), None))
    await anext(messages)
    await messages.aclose()

    await upstream.wait_until_gone()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("start", [b"", STREAM_HEAD])
async def test_cancelling_an_attempt_closes_the_providers_call_at_once(
    adapter: Adapter, upstream: ScriptedUpstream, stream: bool, start: bytes
) -> None:
    upstream.answer(start, UntilGone())
    running = asyncio.create_task(adapter.run(stream=stream))
    await upstream.wait_until_asked()

    running.cancel()

    await upstream.wait_until_gone()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_slow_reader_holds_the_provider_back(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    block = piece(delta("x" * 60_000))

    async def pour(connection: Connection) -> None:
        while True:
            await connection.write(block)

    upstream.answer(STREAM_HEAD + piece(ROLE), pour)
    messages = cast("AsyncGenerator[pb.GenerateResponse]", adapter.servicer.Generate(request(stream=True), None))
    await anext(messages)

    written = await _written_at_rest(upstream.connections[0])
    await messages.aclose()

    assert written < 32 * 1024 * 1024


async def _written_at_rest(connection: Connection) -> int:
    """Bytes written once nothing moves any more."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            before = connection.written_bytes
            for _ in range(50):
                await asyncio.sleep(0.002)
            if connection.written_bytes == before:
                return before


async def test_a_slow_reader_is_not_taken_for_a_silent_provider(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    more = asyncio.Event()
    upstream.answer(STREAM_HEAD + piece(ROLE + delta("a")), more, piece(delta("b", "stop") + DONE) + STREAM_END)
    messages = adapter.servicer.Generate(request(stream=True, limits=limits(idle_ms=30)), None)
    await anext(messages)

    late = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, late.set)
    await late.wait()
    more.set()

    assert [message async for message in messages][-1].HasField("end")


async def test_a_large_request_is_sent_whole(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(whole(REPLY))
    content = "x" * 3_000_000

    outcome = await adapter.run(body=orjson.dumps({"messages": [{"role": "user", "content": content}]}))

    assert outcome.end.has_content
    assert upstream.received[0].json["messages"][0]["content"] == content


async def test_a_connection_closed_for_idleness_is_replaced_unseen(
    adapter: Adapter, upstream: ScriptedUpstream
) -> None:
    upstream.answer(whole(REPLY))
    upstream.answer(whole(REPLY))

    await adapter.run()
    upstream.connections[0].writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    outcome = await adapter.run()

    assert outcome.end.has_content
    assert (len(upstream.connections), len(upstream.received)) == (2, 2)


@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_request_that_was_sent_is_never_sent_again(
    adapter: Adapter, upstream: ScriptedUpstream, earlier: int
) -> None:
    for _ in range(earlier):
        upstream.answer(whole(REPLY))
        await adapter.run()
    upstream.answer(Cut())

    outcome = await adapter.run()

    assert (outcome.failure["class"], outcome.failure["status"]) == ("upstream", "0")
    assert outcome.failure["retryable_elsewhere"] == "true"
    assert len(upstream.received) == earlier + 1


async def test_a_body_that_is_no_request_never_reaches_a_provider(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    outcome = await adapter.run(body=b"{")

    assert outcome.error is not None
    assert outcome.error.kind is Kind.INVALID
    assert upstream.received == []


async def test_an_unknown_provider_fails_with_a_class(adapter: Adapter) -> None:
    async with open_http_calls(1) as calls:
        outcome = await adapter_on(calls).run(provider_slug="acme")

    assert (outcome.failure["class"], outcome.failure["retryable_elsewhere"]) == ("authentication", "true")
