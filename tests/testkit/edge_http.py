"""The edge's HTTP door on loopback with fakes behind it, a client session, and bare sockets."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from libs.tokens import TokenCounter
from services.edge_proxy.authentication import Authenticator
from services.edge_proxy.http.account import AccountRoutes
from services.edge_proxy.http.app import HttpServer, build_application
from services.edge_proxy.http.body import BodyLimits
from services.edge_proxy.http.catalogue import CatalogueRoutes
from services.edge_proxy.http.dialects import DIALECTS
from services.edge_proxy.http.inference import InferenceRoute
from tests.testkit.edge_proxy import Edge, account_key, chat_body

KEY = "sk-sy-v1-ordinary"
MANAGEMENT_KEY = "sk-sy-v1-management"
AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Short ones, so that tests are quick."""

    body: BodyLimits = field(default_factory=lambda: BodyLimits(max_bytes=4096, idle_s=0.1, total_s=1.0))
    keep_alive_s: float = 30.0
    head_s: float = 0.15


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class HttpDoor:
    edge: Edge
    port: int
    session: aiohttp.ClientSession

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, f"http://127.0.0.1:{self.port}{path}", **options) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, key: str | None = KEY, headers: dict[str, str] | None = None) -> Reply:
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.request("GET", f"/api/v1{path}", headers={**authorization, **(headers or {})})

    async def chat(self, *, key: str | None = KEY, headers: dict[str, str] | None = None, **body: Any) -> Reply:
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.post(chat_body(**body), {**authorization, **(headers or {})})

    async def post(self, data: Any, headers: dict[str, str] | None = None) -> Reply:
        headers = AUTHORIZATION if headers is None else headers
        return await self.request("POST", "/api/v1/chat/completions", data=data, headers=headers)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def answer(self, sent: bytes, *, within_s: float = 5.0) -> bytes:
        """One whole reply with a length over a bare connection, which the server may then keep open to drain it."""
        reader, writer = await self.connect()
        try:
            writer.write(sent)
            async with asyncio.timeout(within_s):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                return head + await reader.readexactly(int(length.partition(b":")[2]))
        finally:
            writer.close()

    async def raw(self, *sent: bytes, within_s: float = 5.0) -> bytes:
        """Whatever comes back over a bare connection until it is closed."""
        reader, writer = await self.connect()
        try:
            for piece in sent:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(within_s):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def raw_chat(body: bytes, *headers: bytes) -> bytes:
    """A whole request that asks for the connection to be closed."""
    lines = [
        b"POST /api/v1/chat/completions HTTP/1.1", b"Host: x", b"Connection: close",
        b"Authorization: Bearer " + KEY.encode(), b"Content-Length: %d" % len(body), *headers,
    ]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@asynccontextmanager
async def open_door(counter: TokenCounter, limits: Limits | None = None) -> AsyncIterator[HttpDoor]:
    limits = limits or Limits()
    edge = Edge(counter)
    edge.keys.known = {
        hashlib.sha256(KEY.encode()).hexdigest(): account_key(),
        hashlib.sha256(MANAGEMENT_KEY.encode()).hexdigest(): account_key(hash="b" * 64, is_management=True),
    }
    authenticator = Authenticator(edge.keys, edge.clock)

    async def check() -> str | None:
        return None

    app = build_application(
        inference={
            path: InferenceRoute(dialect, authenticator, edge.generations, counter, limits.body, limits.keep_alive_s)
            for path, dialect in DIALECTS.items()
        },
        catalogue=CatalogueRoutes(authenticator, edge.router, edge.clock),
        account=AccountRoutes(authenticator, edge.ledger, edge.analytics),
        metrics=edge.metrics,
        check=check,
        clock=edge.clock,
        tracer=None,
    )
    server = HttpServer(app, "127.0.0.1", 0, head_limit_s=limits.head_s, drain_s=1.0)
    port = await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield HttpDoor(edge, port, session)
    finally:
        await server.stop()
        await edge.settled()
