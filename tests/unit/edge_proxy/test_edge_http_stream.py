"""Streams over HTTP: comments while nothing comes, late errors, and callers who leave (reference behaviour-facts §5.1)."""

import asyncio
import logging

import orjson
import pytest
from switchyard.events.v1 import usage_recorded_pb2 as events

from libs.errors import unavailable
from libs.tokens import TokenCounter
from services.edge_proxy.http import sse
from tests.testkit.edge_http import HttpDoor, Limits, open_door, raw_chat
from tests.testkit.edge_proxy import Gate, chat_body, chunks, end, provider_failure, until

COMMENT = b": OPENROUTER PROCESSING\n\n"
QUICK = Limits(keep_alive_s=0.03)


def last_event(body: bytes) -> dict[str, object]:
    event = body.rstrip().rpartition(b"data: ")[2]
    return dict(orjson.loads(event))


async def opened_after_comments(door: HttpDoor, gate: Gate, body: bytes) -> bytes:
    """The whole reply of a stream whose gate opens once a comment has come."""
    reader, writer = await door.connect()
    writer.write(raw_chat(body))
    async with asyncio.timeout(5):
        got = await reader.readuntil(COMMENT)
        got += await reader.readuntil(COMMENT)
        gate.open()
        got += await reader.read()
    writer.close()
    return got


async def test_stream_over_http_ends_with_usage_and_done(door: HttpDoor) -> None:
    door.edge.adapter.will(chunks("Hel"), chunks("lo"), end())
    reply = await door.chat(stream=True)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.headers["Cache-Control"] == "no-cache"
    assert reply.headers["X-Generation-Id"] == (await door.edge.only_record()).generation_id
    blocks = reply.body.split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    assert orjson.loads(blocks[-3][6:])["usage"]["completion_tokens"] == 5
    assert COMMENT not in reply.body


async def test_silence_before_the_first_event_is_filled_with_comments(counter: TokenCounter) -> None:
    async with open_door(counter, QUICK) as door:
        gate = Gate()
        door.edge.adapter.will(gate, chunks("Hi"), end())
        got = await opened_after_comments(door, gate, chat_body(stream=True))
    assert b" 200 OK" in got.split(b"\r\n", 1)[0]
    assert got.index(COMMENT) < got.index(b"Hi")
    assert b"data: [DONE]" in got


async def test_silence_between_events_is_filled_with_comments_between_them(counter: TokenCounter) -> None:
    async with open_door(counter, QUICK) as door:
        gate = Gate()
        door.edge.adapter.will(chunks("Hel"), gate, chunks("lo"), end())
        got = await opened_after_comments(door, gate, chat_body(stream=True))
    assert got.index(b"Hel") < got.index(COMMENT) < got.index(b'"lo"')
    assert b"data: [DONE]" in got


async def test_error_after_comments_is_the_last_event_of_a_200(counter: TokenCounter) -> None:
    async with open_door(counter, QUICK) as door:
        gate = Gate()
        door.edge.adapter.will(gate, provider_failure("rate_limited", 429))
        got = await opened_after_comments(door, gate, chat_body(stream=True))
        record = await door.edge.only_record()
    assert b" 200 OK" in got.split(b"\r\n", 1)[0]
    assert b"[DONE]" not in got
    assert b'"code":429' in got
    assert b'"finish_reason":"error"' in got
    assert (record.outcome, record.http_status, record.cost_nano_usd) == (events.OUTCOME_FAILED, 429, 0)


async def test_stream_that_breaks_off_ends_with_an_error_event_and_a_proper_body(door: HttpDoor) -> None:
    door.edge.adapter.will(chunks("Hel"), provider_failure("upstream", 502))
    reply = await door.chat(stream=True)
    assert reply.status == 200
    error = last_event(reply.body)["error"]
    assert isinstance(error, dict)
    assert error["code"] == 502
    assert b"[DONE]" not in reply.body


async def test_usage_that_cannot_be_recorded_ends_the_stream_with_an_error(door: HttpDoor) -> None:
    door.edge.usage_log.failure = unavailable("spool")
    door.edge.adapter.will(chunks("Hel"), end())
    reply = await door.chat(stream=True)
    error = last_event(reply.body)["error"]
    assert isinstance(error, dict)
    assert error["code"] == 503
    assert b"[DONE]" not in reply.body
    await door.edge.settled()
    assert not door.edge.ledger.held


async def test_bug_mid_stream_does_not_look_like_a_clean_end(door: HttpDoor) -> None:
    door.edge.adapter.will(chunks("Hel"), RuntimeError("a bug"))
    got = await door.raw(raw_chat(chat_body(stream=True)))
    assert got.endswith(b"\n\n\r\n")
    assert b"Hel" in got
    assert got.count(b"HTTP/1.1") == 1
    assert (await door.edge.only_record()).cost_nano_usd == 0


async def test_caller_who_leaves_mid_stream_is_charged_for_what_was_sent(
    door: HttpDoor, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    door.edge.adapter.will(chunks("one", " two"), gate, end())
    reader, writer = await door.connect()
    writer.write(raw_chat(chat_body(stream=True)))
    async with asyncio.timeout(5):
        await reader.readuntil(b" two")
    await until(lambda: gate.reached)
    writer.close()
    await until(lambda: door.edge.usage_log.events)
    record = await door.edge.only_record()
    assert (record.outcome, record.usage.completion_tokens) == (events.OUTCOME_CANCELLED, 2)
    assert record.cost_nano_usd > 0
    assert door.edge.adapter.calls[0].cancelled
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


async def test_caller_who_leaves_during_comments_is_noticed_and_pays_nothing(
    counter: TokenCounter, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_door(counter, QUICK) as door:
        gate = Gate()
        door.edge.adapter.will(gate)
        reader, writer = await door.connect()
        writer.write(raw_chat(chat_body(stream=True)))
        async with asyncio.timeout(5):
            await reader.readuntil(COMMENT)
        writer.close()
        await until(lambda: door.edge.usage_log.events)
        record = await door.edge.only_record()
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_CANCELLED, 0)
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


async def test_caller_who_does_not_read_for_too_long_is_let_go(
    counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "STALL_LIMIT_S", 0.2)
    async with open_door(counter, QUICK) as door:
        door.edge.adapter.will(*[chunks("x" * 1_000_000) for _ in range(30)], end())
        _, writer = await door.connect()
        writer.write(raw_chat(chat_body(stream=True)))
        await until(lambda: door.edge.usage_log.events)
        record = await door.edge.only_record()
        assert (record.outcome, door.edge.adapter.calls[0].cancelled) == (events.OUTCOME_CANCELLED, True)
        writer.close()


async def test_caller_who_does_not_read_gets_no_pile_of_comments(counter: TokenCounter) -> None:
    async with open_door(counter, QUICK) as door:
        text = "x" * 1_000_000
        door.edge.adapter.will(*[chunks(text) for _ in range(30)], end())
        reader, writer = await door.connect()
        writer.write(raw_chat(chat_body(stream=True)))
        async with asyncio.timeout(5):
            await reader.readuntil(b"x")
        before = len(asyncio.all_tasks())
        await asyncio.sleep(0.5)  # many keep-alive intervals: nothing but time can tell that nothing piles up
        assert len(asyncio.all_tasks()) <= before + 1
        writer.transport.abort()
        await until(lambda: door.edge.usage_log.events)
        assert (await door.edge.only_record()).outcome == events.OUTCOME_CANCELLED
