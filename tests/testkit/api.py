"""A caller of the public API over plain HTTP, as tests need one: replies whole, streams event by event, money exact.

Owns parsing of replies with exact decimals. Does not judge them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import aiohttp

MODEL = "meta-llama/llama-3.3-70b-instruct"
Json = Any


def exact(text: str | bytes) -> Json:
    """JSON with its decimals kept exact."""
    return json.loads(text, parse_float=Decimal)


@dataclass
class Reply:
    """What a caller got.

    Attributes:
        whole: the reply came to its proper end: a whole body, or `[DONE]`.
        error: the error object, wherever it stood.
    """

    status: int
    generation_id: str = ""
    body: Json = None
    chunks: list[Json] = field(default_factory=list)
    whole: bool = False
    error: Json = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def usage(self) -> Json:
        if self.chunks:
            return next((chunk["usage"] for chunk in reversed(self.chunks) if chunk.get("usage")), None)
        return self.body.get("usage") if isinstance(self.body, dict) else None

    @property
    def cost(self) -> Decimal:
        usage = self.usage
        return Decimal(usage["cost"]) if usage else Decimal(0)

    @property
    def text(self) -> str:
        if self.chunks:
            deltas = [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]
            return "".join(delta.get("content") or "" for delta in deltas)
        return str(self.body["choices"][0]["message"]["content"])


class Api(AbstractAsyncContextManager["Api"]):
    def __init__(self, base: str, key: str, management_key: str = "", *, total_s: float = 60.0) -> None:
        self.base = base
        self._key = key
        self._management_key = management_key
        timeout = aiohttp.ClientTimeout(total=total_s)
        self.session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.session.close()

    def _headers(self, key: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {key or self._key}"}

    async def get(self, path: str, *, key: str | None = None) -> Reply:
        async with self.session.get(self.base + path, headers=self._headers(key)) as reply:
            body = exact(await reply.read())
            return Reply(reply.status, body=body, error=body.get("error"), whole=True, headers=dict(reply.headers))

    async def chat(self, content: str, *, model: str = MODEL, stream: bool = False, **fields: Json) -> Reply:
        messages = [{"role": "user", "content": content}]
        return await self.post({"model": model, "messages": messages, "stream": stream, **fields})

    async def post(self, body: Json, *, path: str = "/chat/completions", key: str | None = None) -> Reply:
        async with self.session.post(self.base + path, json=body, headers=self._headers(key)) as reply:
            if reply.content_type == "text/event-stream":
                return await read_stream(reply)
            return await read_whole(reply)

    async def chat_and_leave(self, content: str, *, after_chunks: int, model: str = MODEL) -> Reply:
        """Streams and closes the connection after some content chunks."""
        body = {"model": model, "messages": [{"role": "user", "content": content}], "stream": True}
        async with self.session.post(f"{self.base}/chat/completions", json=body, headers=self._headers()) as reply:
            answer = Reply(reply.status, reply.headers.get("X-Generation-Id", ""))
            async for line in reply.content:
                if line.startswith(b"data: {"):
                    answer.chunks.append(exact(line[6:]))
                if len(answer.chunks) >= after_chunks:
                    break
            reply.close()
            return answer

    async def credits(self) -> tuple[Decimal, Decimal]:
        """Total credits and total usage, USD."""
        reply = await self.get("/credits", key=self._management_key)
        assert reply.status == 200, reply.body
        data = reply.body["data"]
        return Decimal(data["total_credits"]), Decimal(data["total_usage"])

    async def record(self, generation_id: str) -> Json:
        """The generation's record, or None."""
        reply = await self.get(f"/generation?id={generation_id}")
        return reply.body["data"] if reply.status == 200 else None


async def read_whole(reply: aiohttp.ClientResponse) -> Reply:
    body = exact(await reply.read())
    error = body.get("error") if isinstance(body, dict) else None
    generation_id = reply.headers.get("X-Generation-Id", "")
    return Reply(reply.status, generation_id, body, whole=error is None, error=error, headers=dict(reply.headers))


async def read_stream(reply: aiohttp.ClientResponse) -> Reply:
    answer = Reply(reply.status, reply.headers.get("X-Generation-Id", ""), headers=dict(reply.headers))
    async for line in reply.content:
        if line.strip() == b"data: [DONE]":
            answer.whole = True
        elif line.startswith(b"data: {"):
            chunk = exact(line[6:])
            answer.chunks.append(chunk)
            answer.error = chunk.get("error") or answer.error
    return answer


async def eventually(
    condition: Callable[[], Awaitable[object]], *, within_s: float = 30.0, every_s: float = 0.1
) -> None:
    """Waits for a condition; its last value, or exception, explains a failure."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        value = await condition()
        if value:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s: last {value!r}"
        await asyncio.sleep(every_s)
