"""Whatever comes in over HTTP: its documented error, quickly, and the process stays healthy."""

import asyncio
import io
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.testkit.api import MODEL, Api
from tests.testkit.shapes import Shape

GOOD: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]}


def api_of(shape: Shape) -> Api:
    return Api(shape.api_base, shape.api_key, shape.management_key)


async def post_raw(api: Api, body: bytes, **headers: str) -> tuple[int, Any]:
    sent = {"Authorization": f"Bearer {api._key}", "Content-Type": "application/json", **headers}
    async with api.session.post(f"{api.base}/chat/completions", data=io.BytesIO(body), headers=sent) as reply:
        return reply.status, json.loads(await reply.read())


async def raw_bytes(shape: Shape, sent: bytes, *, within_s: float) -> bytes:
    """What comes back over a bare connection until it is closed."""
    address = urlsplit(shape.api_base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(within_s):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not valid JSON"),
        (b'{"model": "\xff\xfe"}', "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"model": "a/b", "messages": ' + b"[" * 100_000, "not valid JSON"),
        (json.dumps({**GOOD, "messages": None}).encode(), "messages"),
        (json.dumps({**GOOD, "messages": []}).encode(), "messages"),
        (json.dumps({**GOOD, "messages": "hi"}).encode(), "messages"),
        (json.dumps({**GOOD, "messages": [{"role": "pope", "content": "x"}]}).encode(), "messages.0.role"),
        (json.dumps({**GOOD, "messages": [{"role": "user", "content": 5}]}).encode(), "messages.0.content"),
        (json.dumps({**GOOD, "temperature": "hot"}).encode(), "temperature"),
        (json.dumps({**GOOD, "temperature": 3}).encode(), "temperature"),
        (json.dumps({**GOOD, "max_tokens": 0}).encode(), "max_tokens"),
        (json.dumps({**GOOD, "max_tokens": True}).encode(), "max_tokens"),
        (json.dumps({**GOOD, "stream": "yes"}).encode(), "stream"),
        (json.dumps({**GOOD, "models": "a"}).encode(), "models"),
        (json.dumps({**GOOD, "provider": {"order": "groq"}}).encode(), "provider.order"),
        (json.dumps({**GOOD, "model": 7}).encode(), "model"),
        (json.dumps({"messages": GOOD["messages"]}).encode(), "model"),
        (json.dumps({**GOOD, "model": "no/such"}).encode(), "no/such is not a valid model ID"),
    ],
)
async def test_a_bad_request_is_400_and_says_why(shape: Shape, body: bytes, said: str) -> None:
    async with api_of(shape) as api:
        started = time.monotonic()
        status, answer = await post_raw(api, body)
        assert status == 400
        assert said in answer["error"]["message"]
        assert answer["error"]["code"] == 400
        assert time.monotonic() - started < 2


async def test_null_in_an_optional_field_is_as_if_absent(shape: Shape) -> None:
    async with api_of(shape) as api:
        reply = await api.post({**GOOD, "temperature": None, "max_tokens": None, "provider": None, "tools": None})
        assert reply.status == 200, reply.body


async def test_keys_that_are_missing_bad_or_of_the_wrong_kind_are_refused(shape: Shape) -> None:
    async with api_of(shape) as api:
        async with api.session.post(f"{api.base}/chat/completions", json=GOOD) as reply:
            assert reply.status == 401
            assert (await reply.json())["error"]["code"] == 401
        assert (await api.post(GOOD, key="sk-sy-v1-wrong")).status == 401
        assert (await api.post(GOOD, key=shape.management_key)).status == 403
        assert (await api.get("/credits")).status == 403
        assert (await api.get("/key", key="nonsense")).status == 401


async def test_unknown_routes_are_404_in_the_common_envelope(shape: Shape) -> None:
    async with api_of(shape) as api:
        assert (await api.get("/nothing")).error["code"] == 404
        assert (await api.get("/chat/completions")).error["code"] == 404
        assert (await api.get("/models/no/such/endpoints")).status == 404
        assert (await api.get("/generation?id=gen-1-aaaaaaaaaaaaaaaaaaaa")).status == 404
        assert (await api.get("/generation")).status == 400


async def test_a_body_over_32_mib_is_413_and_one_just_below_is_read(shape: Shape) -> None:
    async with api_of(shape) as api:
        status, answer = await post_raw(api, b" " * (32 * 1024 * 1024 + 1))
        assert (status, answer["error"]["code"]) == (413, 413)
        padded = {**GOOD, "ignored": "x" * (31 * 1024 * 1024)}
        status, _ = await post_raw(api, json.dumps(padded).encode())
        assert status == 200


async def test_a_body_over_the_bound_without_a_length_is_413(shape: Shape) -> None:
    async def pieces() -> Any:
        for _ in range(33):
            yield b" " * (1024 * 1024)

    async with api_of(shape) as api:
        headers = {"Authorization": f"Bearer {shape.api_key}"}
        async with api.session.post(f"{api.base}/chat/completions", data=pieces(), headers=headers) as reply:
            assert reply.status == 413


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELO there\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
async def test_what_is_not_http_gets_400_or_a_closed_connection(shape: Shape, sent: bytes) -> None:
    answer = await raw_bytes(shape, sent + b"\r\n\r\n", within_s=15)
    assert answer == b"" or b" 400 " in answer.split(b"\r\n", 1)[0]


async def test_a_head_that_trickles_in_is_closed(shape: Shape) -> None:
    started = time.monotonic()
    answer = await raw_bytes(shape, b"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\n", within_s=14)
    assert answer == b"" or b" 408 " in answer
    assert time.monotonic() - started > 5


@pytest.mark.timeout(90)
async def test_a_body_that_stops_coming_is_408(shape: Shape) -> None:
    head = (
        f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shape.api_key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    answer = await raw_bytes(shape, head.encode(), within_s=60)
    assert b" 408 " in answer.split(b"\r\n", 1)[0]


async def test_after_all_of_this_the_process_is_healthy(shape: Shape) -> None:
    async with api_of(shape) as api:
        root = shape.api_base.removesuffix("/api/v1")
        for path in ("/healthz", "/readyz"):
            async with api.session.get(root + path) as reply:
                assert reply.status == 200
        assert (await api.chat("Hello")).status == 200
