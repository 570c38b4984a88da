"""An upstream that sends exactly the bytes it is told to, cuts where it is told to, and tells who is still there."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

DEADLINE_S = 10.0


class Cut:
    """Close the connection here."""


class UntilGone:
    """Say nothing until the caller closes the connection."""


Step = bytes | Cut | UntilGone | asyncio.Event | Callable[["Connection"], Awaitable[None]]


@dataclass
class Received:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = orjson.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    written_bytes: int = 0

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.written_bytes += len(data)


@dataclass
class ScriptedUpstream:
    base_url: str = ""
    scripts: deque[Sequence[Step]] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, *steps: Step) -> None:
        """The next request is answered so."""
        self.scripts.append(steps)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                self.asked.set()
                if not await self._play(connection, self.scripts.popleft()):
                    break
        except ConnectionError:
            self.gone.set()
        finally:
            writer.close()

    async def _play(self, connection: Connection, steps: Sequence[Step]) -> bool:
        for step in steps:
            if isinstance(step, bytes):
                await connection.write(step)
            elif isinstance(step, Cut):
                return False
            elif isinstance(step, UntilGone):
                await connection.reader.read(1)
                self.gone.set()
                return False
            elif isinstance(step, asyncio.Event):
                await step.wait()
            else:
                await step(connection)
        return True

    async def wait_until_asked(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.asked.wait()

    async def wait_until_gone(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.gone.wait()


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(line, headers, body)


@asynccontextmanager
async def scripted_upstream() -> AsyncIterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await upstream.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def whole(body: Any, status: str = "200 OK", *headers: str, kind: str = "application/json") -> bytes:
    """A response with a length."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def piece(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def delta(content: str | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """A chunk as an event of an upstream."""
    held = {} if content is None else {"content": content}
    chunk = {"id": "up-1", "choices": [{"index": 0, "delta": held, "finish_reason": finish}], **fields}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


ROLE = b'data: {"id":"up-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
USAGE = b'data: {"id":"up-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
REPLY = {
    "id": "up-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
