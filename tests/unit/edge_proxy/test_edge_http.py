"""The HTTP door: routes, errors, bodies and connections, whatever comes in."""

import asyncio
import gzip
import logging
from typing import Any

import aiohttp
import orjson
import pytest
from switchyard.events.v1 import usage_recorded_pb2 as events

from libs.errors import AppError, Kind, unavailable
from libs.traceparent import parse_traceparent
from services.edge_proxy.http.body import BodyLimits
from tests.testkit.edge_http import AUTHORIZATION, KEY, MANAGEMENT_KEY, HttpDoor, Limits, open_door, raw_chat
from tests.testkit.edge_proxy import TRACEPARENT, Gate, chat_body, end, provider_failure, result, until


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> Any:
    return orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]


async def test_completion_carries_its_generation_id(door: HttpDoor) -> None:
    door.edge.adapter.will(result("Hi."), end())
    reply = await door.chat()
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json["choices"][0]["message"]["content"] == "Hi."
    record = await door.edge.only_record()
    assert reply.headers["X-Generation-Id"] == record.generation_id


async def test_failed_generation_carries_its_id_and_retry_after(door: HttpDoor) -> None:
    door.edge.adapter.will(provider_failure("rate_limited", 429, retry_after_s=6.2))
    reply = await door.chat()
    assert (reply.status, reply.json["error"]["code"]) == (429, 429)
    assert reply.headers["Retry-After"] == "7"
    assert reply.json["error"]["availability"]["retry_after"] == 6.2
    assert reply.headers["X-Generation-Id"] == (await door.edge.only_record()).generation_id


async def test_stream_that_fails_before_its_first_byte_is_a_plain_error(door: HttpDoor) -> None:
    door.edge.adapter.will(provider_failure("upstream", 500))
    reply = await door.chat(stream=True)
    assert reply.status == 503
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Retry-After"] == "1"
    assert reply.headers["X-Generation-Id"].startswith("gen-")


async def test_refused_hold_and_unknown_model_carry_the_generation_id(door: HttpDoor) -> None:
    door.edge.ledger.failure = AppError(Kind.PAYMENT, "INSUFFICIENT_CREDITS", "no", {"affordable_tokens": "7"})
    reply = await door.chat()
    assert (reply.status, reply.json["error"]["metadata"]["affordable_tokens"]) == (402, 7)
    assert reply.headers["X-Generation-Id"].startswith("gen-")
    door.edge.router.failure = AppError(Kind.INVALID, "MODEL_UNKNOWN", "x/y is not a valid model ID")
    reply = await door.chat()
    assert reply.status == 400
    assert reply.headers["X-Generation-Id"].startswith("gen-")


async def test_bug_is_a_bare_500(door: HttpDoor, caplog: pytest.LogCaptureFixture) -> None:
    door.edge.adapter.will(RuntimeError("the password is hunter2"))
    reply = await door.chat()
    assert (reply.status, reply.json["error"]["message"]) == (500, "Internal Server Error")
    assert b"hunter2" not in reply.body
    assert (await door.edge.only_record()).outcome == events.OUTCOME_FAILED


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/api/v1/nothing"), ("GET", "/api/v1/chat/completions"), ("PUT", "/api/v1/key"),
     ("GET", "/api/v1/models/a/b/c/d"), ("POST", "/api/v1/models")],
)  # fmt: skip
async def test_route_that_does_not_exist_is_404_in_the_envelope(door: HttpDoor, method: str, path: str) -> None:
    reply = await door.request(method, path)
    assert reply.status == 404
    assert reply.json["error"]["code"] == 404
    assert path in reply.json["error"]["message"]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /caf\xe9 HTTP/1.1", b"GET /%ff%fe HTTP/1.1", b"GET /\xf0\x9f\x98\x80 HTTP/1.1",
        b"GET /api/v1/models/\xe9/x HTTP/1.1", b"GET /api/v1/generation?id=\xff HTTP/1.1",
        b"GET /api/v1/models/%ed%a0%80/x HTTP/1.1", b"GET /api/v1/models/%00/x HTTP/1.1",
        b"GET http://[ HTTP/1.1", b"GET //x HTTP/1.1", b"OPTIONS * HTTP/1.1",
    ],
)  # fmt: skip
async def test_path_of_any_bytes_gets_a_client_error(
    door: HttpDoor, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    authorization = b"Authorization: Bearer " + KEY.encode()
    answer = await door.raw(line + b"\r\nHost: x\r\nConnection: close\r\n" + authorization + b"\r\n\r\n")
    assert answer == b"" or 400 <= status_of(answer) < 500
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "name", [b"User-Agent", b"HTTP-Referer", b"X-Title", b"X-Session-Id", b"X-Request-Id", b"traceparent"]
)
async def test_header_of_any_bytes_does_not_spoil_the_request(
    door: HttpDoor, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    door.edge.adapter.will(result(), end())
    answer = await door.raw(raw_chat(chat_body(), name + b": caf\xe9 \xff\xf0"))
    assert status_of(answer) == 200
    assert (await door.edge.only_record()).outcome == events.OUTCOME_COMPLETED
    assert not door.edge.ledger.held
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_authorization_of_any_bytes_is_401(door: HttpDoor) -> None:
    answer = await door.raw(
        b"GET /api/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \xe9\xff\r\n\r\n"
    )
    assert status_of(answer) == 401


async def test_what_the_head_tells_reaches_the_record(door: HttpDoor) -> None:
    door.edge.adapter.will(result(), end())
    headers = {
        "HTTP-Referer": "https://app.example/" + "x" * 600, "X-Title": "App", "User-Agent": "agent/1",
        "x-session-id": "s-1", "X-Request-Id": "r-1", "traceparent": TRACEPARENT,
    }  # fmt: skip
    assert (await door.chat(headers=headers)).status == 200
    record = await door.edge.only_record()
    assert len(record.http_referer) == 512
    assert (record.app_title, record.user_agent) == ("App", "agent/1")
    assert (record.session_id, record.request_id) == ("s-1", "r-1")
    assert door.edge.usage_log.traceparents[0].split("-")[1] == TRACEPARENT.split("-")[1]


async def test_flags_of_anthropics_betas_reach_the_adapter(door: HttpDoor) -> None:
    door.edge.adapter.will(result(), end())
    await door.chat(headers={"x-anthropic-beta": "interleaved-thinking-2025-05-14"})
    assert door.edge.adapter.requests[0].anthropic_beta == "interleaved-thinking-2025-05-14"


async def test_request_without_a_trace_gets_one(door: HttpDoor) -> None:
    door.edge.adapter.will(result(), end())
    await door.chat()
    assert parse_traceparent(door.edge.usage_log.traceparents[0]) is not None


async def test_session_id_that_is_too_long_is_400(door: HttpDoor) -> None:
    assert (await door.chat(headers={"x-session-id": "x" * 257})).status == 400


async def test_management_key_cannot_run_inference(door: HttpDoor) -> None:
    assert (await door.chat(key=MANAGEMENT_KEY)).status == 403
    assert (await door.chat(key=None)).status == 401
    assert (await door.chat(key="wrong")).status == 401
    assert door.edge.router.requests == []


async def test_key_management_away_is_503_with_retry_after(door: HttpDoor) -> None:
    door.edge.keys.failure = unavailable("key_management")
    reply = await door.chat()
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\x00\xff"])
async def test_body_that_is_no_request_is_400(door: HttpDoor, body: bytes) -> None:
    reply = await door.post(body)
    assert (reply.status, reply.json["error"]["metadata"]["reason"]) == (400, "INVALID_JSON")


async def test_body_in_pieces_is_read_whole(door: HttpDoor) -> None:
    async def pieces() -> Any:
        body = chat_body()
        for at in range(0, len(body), 7):
            yield body[at : at + 7]
            await asyncio.sleep(0)

    door.edge.adapter.will(result(), end())
    assert (await door.post(pieces())).status == 200


async def test_body_said_to_be_over_the_bound_is_413_before_it_is_read(door: HttpDoor) -> None:
    answer = await door.answer(raw_chat(b"").replace(b"Content-Length: 0", b"Content-Length: 4097"))
    assert status_of(answer) == 413
    assert error_of(answer)["code"] == 413


async def test_chunked_body_over_the_bound_is_413(door: HttpDoor) -> None:
    async def pieces() -> Any:
        for _ in range(9):
            yield b" " * 512

    reply = await door.post(pieces())
    assert (reply.status, reply.json["error"]["metadata"]["reason"]) == (413, "BODY_TOO_LARGE")


async def test_body_at_the_bound_is_read(door: HttpDoor) -> None:
    door.edge.adapter.will(result(), end())
    body = chat_body()
    assert (await door.post(body + b" " * (4096 - len(body)))).status == 200


async def test_compressed_body_counts_by_what_it_unpacks_to(door: HttpDoor) -> None:
    headers = {**AUTHORIZATION, "Content-Encoding": "gzip"}
    reply = await door.post(gzip.compress(b" " * 1_000_000), headers)
    assert reply.status == 413
    door.edge.adapter.will(result(), end())
    assert (await door.post(gzip.compress(chat_body()), headers)).status == 200


async def test_body_not_encoded_as_its_head_says_is_400(door: HttpDoor) -> None:
    reply = await door.post(b"this is no gzip", {**AUTHORIZATION, "Content-Encoding": "gzip"})
    assert reply.status == 400


async def test_chunked_body_that_breaks_the_framing_is_a_client_error(door: HttpDoor) -> None:
    head = raw_chat(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    answer = await door.raw(head + b"zz\r\n{}\r\n")
    assert answer == b"" or status_of(answer) == 400
    assert door.edge.router.requests == []


async def test_body_that_stops_coming_is_408(door: HttpDoor) -> None:
    answer = await door.answer(raw_chat(b"").replace(b"Content-Length: 0", b"Content-Length: 100") + b"{")
    assert status_of(answer) == 408
    assert error_of(answer)["code"] == 408
    assert b"connection: close" in answer.lower()


async def test_body_that_trickles_for_too_long_is_408(counter: Any) -> None:
    limits = Limits(body=BodyLimits(max_bytes=4096, idle_s=5.0, total_s=0.2))
    async with open_door(counter, limits) as door:
        reader, writer = await door.connect()
        writer.write(raw_chat(b"").replace(b"Content-Length: 0", b"Content-Length: 4000"))

        async def trickle() -> None:
            while not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.01)

        trickling = asyncio.ensure_future(trickle())
        try:
            async with asyncio.timeout(5):
                assert status_of(await reader.read(4096)) == 408
        finally:
            trickling.cancel()
            writer.close()


@pytest.mark.parametrize("head", [b"", b"G", b"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\n"])
async def test_head_that_does_not_come_in_time_closes_the_connection(door: HttpDoor, head: bytes) -> None:
    assert await door.raw(head) == b""


async def test_second_head_on_a_connection_has_the_same_deadline(door: HttpDoor) -> None:
    reader, writer = await door.connect()
    writer.write(b"GET /api/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        assert b" 404 " in await reader.readuntil(b"\r\n")
        await reader.readuntil(b"}")
        writer.write(b"GET /api/v1/no")
        rest = await reader.read()
    writer.close()
    assert b"HTTP/1.1" not in rest


async def test_idle_connection_between_requests_outlives_the_head_deadline(door: HttpDoor) -> None:
    reader, writer = await door.connect()
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(request)
    async with asyncio.timeout(5):
        await reader.readuntil(b'"ok"}')
    await asyncio.sleep(0.3)  # twice the deadline: nothing but time can tell that nothing happens
    writer.write(request)
    async with asyncio.timeout(5):
        assert b" 200 " in await reader.readuntil(b"\r\n")
    writer.close()


async def test_request_that_takes_longer_than_the_head_deadline_is_answered(door: HttpDoor) -> None:
    gate = Gate()
    door.edge.adapter.will(gate, result(), end())
    request = asyncio.ensure_future(door.raw(raw_chat(chat_body())))
    await until(lambda: gate.reached)
    await asyncio.sleep(0.3)  # twice the deadline, as above
    gate.open()
    assert status_of(await request) == 200


async def test_head_over_its_bound_is_refused(door: HttpDoor) -> None:
    answer = await door.raw(raw_chat(chat_body(), b"X-Long: " + b"x" * 70_000))
    assert answer == b"" or status_of(answer) in {400, 431}
    assert door.edge.router.requests == []


@pytest.mark.parametrize("lines", [12, 100])
async def test_head_of_many_lines_over_its_bound_is_refused(door: HttpDoor, lines: int) -> None:
    head = raw_chat(chat_body(), *(b"X-%d: " % line + b"x" * (80_000 // lines) for line in range(lines)))
    answer = await door.raw(head)
    assert answer == b"" or status_of(answer) == 400
    pieces = [head[start : start + 4096] for start in range(0, len(head), 4096)]
    answer = await door.raw(*pieces)
    assert answer == b"" or status_of(answer) == 400
    assert door.edge.router.requests == []


async def test_refusal_of_a_large_body_arrives_though_the_body_goes_on(counter: Any) -> None:
    async with open_door(counter, Limits(body=BodyLimits(max_bytes=1024), head_s=0.05)) as door:
        reader, writer = await door.connect()
        writer.write(raw_chat(b"").replace(b"Content-Length: 0", b"Content-Length: 900000"))
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        assert status_of(head) == 413
        for _ in range(8):
            writer.write(b" " * 100_000)
            await writer.drain()
        await asyncio.sleep(0.1)  # twice the deadline of a head: the connection lingers for the body, it owes no head
        assert not reader.at_eof()
        writer.write(b" " * 100_000)
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(
    "spoiled",
    [
        (b"Host: x", b"Host: x\r\nContent-Type: a\r\nContent-Type: b"),
        (b"Host: x", b"Host: x\r\nContent-Encoding: br"),
        (b"Host: x", b"Host : x"),
        (b"Host: x\r\n", b""),
        (b"HTTP/1.1", b"HTTP/1.1\xff"),
        (b"completions", b"completions\xff\xfe"),
        (b"POST", b"BREW"),
        (b"Content-Length: ", b"Content-Length: -"),
        (b"\r\n", b"\n"),
    ],
)
async def test_what_is_refused_as_http_leaves_in_the_common_envelope_and_repeats_nothing(
    door: HttpDoor, spoiled: tuple[bytes, bytes]
) -> None:
    answer = await door.raw(raw_chat(chat_body()).replace(*spoiled))
    assert status_of(answer) == 400
    assert error_of(answer)["code"] == 400
    assert b"connection: close" in answer.lower() or answer.startswith(b"HTTP/1.0")
    assert KEY.encode() not in answer
    assert b"completions" not in answer


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"HELO there\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_not_http_gets_400_or_a_closed_connection(door: HttpDoor, sent: bytes) -> None:
    answer = await door.raw(sent)
    assert answer == b"" or status_of(answer) == 400


async def test_caller_who_leaves_cancels_the_providers_call(door: HttpDoor, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    door.edge.adapter.will(gate)
    _, writer = await door.connect()
    writer.write(raw_chat(chat_body()))
    await until(lambda: gate.reached)
    writer.close()
    await until(lambda: door.edge.usage_log.events)
    record = await door.edge.only_record()
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_CANCELLED, 0)
    assert door.edge.adapter.calls[0].cancelled
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


async def test_every_request_leaves_one_log_line_without_its_contents(
    door: HttpDoor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    door.edge.adapter.will(result("a very private answer"), end())
    reply = await door.chat(messages=[{"role": "user", "content": "a very private question"}])
    await until(lambda: [r for r in caplog.records if r.message == "request"])
    lines = [vars(record)["data"] for record in caplog.records if record.message == "request"]
    assert len(lines) == 1
    assert lines[0]["route"] == "/api/v1/chat/completions"
    assert (lines[0]["status"], lines[0]["generation_id"]) == (200, reply.headers["X-Generation-Id"])
    everything = "".join(str(vars(record)) for record in caplog.records)
    assert "private" not in everything
    assert KEY not in everything


async def test_metrics_name_routes_not_paths(door: HttpDoor) -> None:
    await door.get("/models/acme/model-one")
    await door.get("/whatever/this/is")
    text = (await door.request("GET", "/metrics")).body.decode()
    assert 'route="/api/v1/models/{author}/{slug}",status="200"' in text
    assert 'route="unknown",status="404"' in text
    assert "whatever" not in text
    assert "switchyard_requests_in_flight 1.0" in text


async def test_server_that_stops_lets_a_running_request_finish(counter: Any) -> None:
    gate = Gate()
    async with open_door(counter) as door:
        door.edge.adapter.will(gate, result(), end())
        request = asyncio.ensure_future(door.raw(raw_chat(chat_body())))
        await until(lambda: gate.reached)
        asyncio.get_running_loop().call_later(0.05, gate.open)
    assert status_of(await request) == 200
    with pytest.raises(OSError):  # noqa: PT011 (refused or reset, as the system likes)
        await asyncio.open_connection("127.0.0.1", door.port)


async def test_session_of_the_client_library_reuses_the_connection(door: HttpDoor) -> None:
    connector = door.session.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    for _ in range(3):
        door.edge.adapter.will(result(), end())
        assert (await door.chat()).status == 200
    assert sum(len(kept) for kept in connector._conns.values()) == 1
