"""Connections to peers: where they are, and one that comes back for ever.

Owns name resolution, connecting, back-off. Does not carry calls. Invariant: every attempt is a fresh gRPC channel, so
nothing of an earlier failure (addresses, back-off inside gRPC) delays the next.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

from grpc import aio
from switchyard.rpc.v1.session_pb2 import OpenRequest, OpenResponse
from switchyard.rpc.v1.session_pb2_grpc import SessionServiceStub

from libs.logs import Throttled, facts
from libs.retry import Backoff
from libs.rpc.client_session import ClientSession

CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_DNS = "dns:///"
_CONNECT_TIMEOUT_S = 5.0
_STEADY_S = 1.0
"""A session that lived this long is none of a peer that keeps failing."""

_RESOLVE_PAUSE_S = 0.5
"""Between two look-ups at least."""

SessionCallback = Callable[[ClientSession], None]
_Stream = aio.StreamStreamCall[OpenRequest, OpenResponse]

_log = logging.getLogger(__name__)


class Link:
    """Keeps one session to one address.

    Args:
        on_up: called with every session that is up, before it carries anything.
        on_down: called with it as soon as it takes no new calls.
    """

    def __init__(
        self, address: str, peer: str, backoff: Backoff, on_up: SessionCallback, on_down: SessionCallback
    ) -> None:
        self.wanted = True
        self._address = address
        self._peer = peer
        self._backoff = backoff
        self._on_up = on_up
        self._on_down = on_down
        self._warn = Throttled(_log)

    async def run(self) -> None:
        """Connects, and connects again, until cancelled or, once a session was lost, no longer `wanted`."""
        delays = self._backoff.delays()
        async with TaskSet() as sessions:
            while self.wanted:
                since_s = time.monotonic()
                await self._connect_once(sessions)
                if time.monotonic() - since_s > _STEADY_S:
                    delays = self._backoff.delays()
                await asyncio.sleep(next(delays))

    async def _connect_once(self, sessions: "TaskSet") -> None:
        """Returns when the attempt failed, or when the session takes no new calls any more."""
        channel = aio.insecure_channel(self._address, CHANNEL_OPTIONS)
        retired: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def retire(session: ClientSession) -> None:
            self._on_down(session)
            if not retired.done():
                retired.set_result(None)

        stream = await self._open(channel)
        if stream is None:
            await channel.close()
            return
        session = ClientSession(stream, self._peer, retire)
        sessions.spawn(_carry(session, channel))
        _log.info("session up", extra=facts(peer=self._peer, address=self._address))
        self._on_up(session)
        await retired
        _log.info("session retired", extra=facts(peer=self._peer, address=self._address))

    async def _open(self, channel: aio.Channel) -> "_Stream | None":
        """An open stream; None if the attempt failed."""
        stream: _Stream = SessionServiceStub(channel).Open()
        why = "timeout"
        try:
            # The server sends its metadata at once; a stream that could not be opened has some too, and has ended.
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await stream.initial_metadata()
                if not stream.done():
                    return stream
                why = (await stream.code()).name
        except TimeoutError:
            stream.cancel()
        self._warn.warning("cannot connect", peer=self._peer, address=self._address, why=why)
        return None


async def _carry(session: ClientSession, channel: aio.Channel) -> None:
    try:
        await session.run()
    finally:
        await channel.close()


class Target:
    """Keeps a link to every address that a target stands for."""

    def __init__(
        self,
        target: str,
        peer: str,
        backoff: Backoff,
        resolve_interval_s: float,
        on_up: SessionCallback,
        on_down: SessionCallback,
    ) -> None:
        self._target = target
        self._peer = peer
        self._backoff = backoff
        self._resolve_interval_s = resolve_interval_s
        self._on_up = on_up
        self._on_down = on_down
        self._links: dict[str, Link] = {}
        self._look_again = asyncio.Event()
        self._warn = Throttled(_log)

    async def run(self) -> None:
        """Follows the target until cancelled."""
        if not self._target.startswith(_DNS):
            await Link(self._target, self._peer, self._backoff, self._on_up, self._on_down).run()
        async with TaskSet() as tasks:
            while True:
                self._look_again.clear()
                self._update(await self._resolve(), tasks)
                await asyncio.sleep(min(_RESOLVE_PAUSE_S, self._resolve_interval_s))
                if self._links:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._look_again.wait(), self._resolve_interval_s)

    async def _resolve(self) -> set[str]:
        """Empty when the name cannot be resolved now."""
        try:
            return await resolve(self._target.removeprefix(_DNS))
        except OSError as error:
            self._warn.warning("cannot resolve", peer=self._peer, target=self._target, why=str(error))
            return set()

    def _update(self, addresses: set[str], tasks: "TaskSet") -> None:
        for address, link in self._links.items():
            # That a name cannot be resolved now is no reason to leave anybody.
            link.wanted = not addresses or address in addresses
        for address in addresses - self._links.keys():
            link = Link(address, self._peer, self._backoff, self._on_up, self._on_link_down)
            self._links[address] = link
            tasks.spawn(self._keep(address, link))

    async def _keep(self, address: str, link: Link) -> None:
        try:
            await link.run()
        finally:
            del self._links[address]

    def _on_link_down(self, session: ClientSession) -> None:
        self._on_down(session)
        self._look_again.set()


class TaskSet:
    """Tasks that live no longer than a block."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def __len__(self) -> int:
        return len(self._tasks)

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def resolve(name: str) -> set[str]:
    """The addresses behind `host:port`.

    Raises:
        OSError: the name cannot be resolved now.
    """
    host, _, port = name.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    return {_join(str(address[0]), int(address[1])) for *_, address in found}


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
