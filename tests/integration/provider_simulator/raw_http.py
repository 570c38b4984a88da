"""HTTP by hand, for what no client library shows: cut sockets, silence, broken bodies."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

DEADLINE_S = 10.0
UPSTREAM = "/v1/chat/completions"


def chat_body(content: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def request_bytes(body: Any, path: str = UPSTREAM, *, authorization: str = "Bearer key") -> bytes:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: simulator\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + payload


@dataclass(frozen=True)
class RawReply:
    """What came before the end of the connection."""

    head: str
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(" ", 2)[1])

    @property
    def chunked_to_the_end(self) -> bool:
        return self.body.endswith(b"0\r\n\r\n")

    @property
    def error(self) -> dict[str, Any]:
        error = json.loads(self.body)["error"]
        assert isinstance(error, dict)
        return error

    def header(self, name: str) -> str | None:
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return next((value for key, _, value in lines if key.lower() == name), None)


async def connect(base_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(base_url)
    return await asyncio.open_connection(address.hostname, address.port)


async def exchange(base_url: str, raw: bytes) -> RawReply | None:
    """Sends and reads until the other side closes; None if it closed without a word."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await connect(base_url)
        try:
            writer.write(raw)
            received = await reader.read(-1)
        finally:
            writer.close()
            await writer.wait_closed()
    if not received:
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    return RawReply(head.decode(), body)


async def ask(base_url: str, content: Any = "hello", path: str = UPSTREAM, **fields: Any) -> RawReply:
    reply = await exchange(base_url, request_bytes(chat_body(content, **fields), path))
    assert reply is not None
    return reply


async def get(base_url: str, path: str) -> Any:
    head = f"GET {path} HTTP/1.1\r\nHost: simulator\r\nAuthorization: Bearer key\r\nConnection: close\r\n\r\n"
    reply = await exchange(base_url, head.encode())
    assert reply is not None
    return json.loads(reply.body)


async def tally(base_url: str, provider: str = "upstream", model: str = "m") -> dict[str, int]:
    stats = await get(base_url, "/sim/stats")
    counted = stats["providers"][provider][model]
    assert isinstance(counted, dict)
    return counted


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 (the condition is another server's answer)
            await asyncio.sleep(0.01)
