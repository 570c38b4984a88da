"""The one HTTP client of the service: opens calls to providers and reads what they answer.

Owns the session, its pool and the translation of its exceptions. Does not know wire formats. Invariant: a call that
was not read to its end takes its connection with it; one that was gives it back.

A completion is not idempotent: once a byte of a request was written, nothing is sent again here. So a connection out of
the pool is looked at before it is used, and one that the provider has closed for idleness is replaced.
"""

import asyncio
import io
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, ProviderFailedError
from services.provider_adapter.tls_sessions import ResumingContext, resuming_context

_LARGE_REQUEST_BYTES = 512 * 1024
_DRAIN_S = 1.0
_KEEP_ALIVE_S = 30.0
_DNS_CACHE_S = 60
_KNOWN_TIMEOUTS = 64

_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)


class _Connector(TCPConnector):
    """Gives out connections that are open as far as this side can know; keeps TLS sessions for the next one."""

    def __init__(self, tls: ResumingContext, **settings: Any) -> None:
        super().__init__(ssl=tls, **settings)
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._tls = tls

    async def connect(self, *request: Any, **settings: Any) -> Connection:
        while True:
            connection = await super().connect(*request, **settings)
            protocol = connection.protocol
            if protocol is None or protocol not in self._used or is_quiet(protocol.transport):
                return connection
            connection.close()

    def _release(self, key: Any, protocol: ResponseHandler, **settings: Any) -> None:
        if protocol not in self._used:
            if key.is_ssl and protocol.transport is not None:
                self._tls.remember(protocol.transport.get_extra_info("ssl_object"))
            self._used.add(protocol)
        super()._release(key, protocol, **settings)


def is_quiet(transport: asyncio.BaseTransport | None) -> bool:
    """Whether an idle connection is as it was left: whatever came meanwhile, the loop has not seen it yet, ends it."""
    file = -1 if transport is None or transport.is_closing() else transport.get_extra_info("socket").fileno()
    if file < 0:
        return False
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return not poll.poll(0)


class Call:
    """One answer that has begun: status and headers are there, the body is still to be read."""

    __slots__ = ("_content", "_draining", "_response", "headers", "status")

    def __init__(self, response: ClientResponse, draining: "_Draining") -> None:
        self._response = response
        self._draining = draining
        self._content = response.content
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers

    async def read(self) -> bytes:
        """What has arrived, at least one byte; empty at the end.

        Raises:
            ProviderFailedError: the connection broke, and all that came before has been read.
        """
        try:
            return await self._content.readany()
        except _BROKEN as error:
            # The reader raises before it gives out what had arrived; a cut must not eat that.
            rest = self._content._read_nowait(-1)  # noqa: SLF001 (no public way past the exception)
            if rest:
                return rest
            raise ProviderFailedError(_cut(self.status)) from error

    async def read_some(self, most_bytes: int) -> bytes:
        """The body, or what had come when it was this long; ends the call.

        Raises:
            ProviderFailedError: the connection broke.
        """
        parts: list[bytes] = []
        size = 0
        try:
            while size < most_bytes and (part := await self.read()):
                parts.append(part)
                size += len(part)
        finally:
            self.close(complete=self.at_end)
        return b"".join(parts)

    @property
    def at_end(self) -> bool:
        """Whether the body has arrived and been read, so that a further read would give nothing."""
        return self._content.at_eof()

    def close(self, *, complete: bool) -> None:
        """Ends the call: an incomplete one at once, with its connection.

        After a complete one the last bytes of framing may still be on their way; the connection returns to the pool
        when they come, and is closed if they do not come soon.
        """
        response = self._response
        if response.closed:
            return
        if complete and self._content.exception() is None:
            self._draining.add(response)
        else:
            response.close()


class _Draining:
    """Answers whose content is complete and whose framing is not yet."""

    def __init__(self) -> None:
        self._timers: dict[ClientResponse, asyncio.TimerHandle] = {}

    def add(self, response: ClientResponse) -> None:
        timer = asyncio.get_running_loop().call_later(_DRAIN_S, self._close, response)
        self._timers[response] = timer
        response.content.on_eof(lambda: self._forget(response))

    def close(self) -> None:
        for response in list(self._timers):
            self._close(response)

    def _close(self, response: ClientResponse) -> None:
        self._forget(response)
        response.close()

    def _forget(self, response: ClientResponse) -> None:
        timer = self._timers.pop(response, None)
        if timer is not None:
            timer.cancel()


class HttpCalls:
    """Calls over one session."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._timeouts: dict[float, ClientTimeout] = {}
        self._draining = _Draining()

    def close(self) -> None:
        """Ends what is still on its way; the session is closed by its owner."""
        self._draining.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, connect_s: float, proxy: str = "") -> Call:
        """Sends a request, through a proxy if one is named, and waits for the answer's head.

        Raises:
            ProviderFailedError: no connection within the limit, or the connection broke before an answer.
        """
        try:
            return await self._send("POST", url, headers, body, connect_s, proxy)
        except _BROKEN as error:
            raise ProviderFailedError(_failure_before_answer(error)) from error

    async def get(self, url: str, headers: Mapping[str, str], connect_s: float, proxy: str = "") -> Call:
        """Asks for a document.

        Raises:
            ProviderFailedError: no answer came.
        """
        try:
            return await self._send("GET", url, headers, None, connect_s, proxy)
        except _BROKEN as error:
            raise ProviderFailedError(_failure_before_answer(error)) from error

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, connect_s: float, proxy: str
    ) -> Call:
        # aiohttp writes large bodies in pieces only when they come as a file.
        data = io.BytesIO(body) if body is not None and len(body) > _LARGE_REQUEST_BYTES else body
        # What is percent-encoded stays so: a signature covers it, and a model's name may hold a slash.
        address = URL(url, encoded=True) if "%" in url else url
        response = await self._session.request(
            method,
            address,
            headers=headers,
            data=data,
            timeout=self._timeout(connect_s),
            allow_redirects=False,
            proxy=proxy or None,
        )
        return Call(response, self._draining)

    def _timeout(self, connect_s: float) -> ClientTimeout:
        found = self._timeouts.get(connect_s)
        if found is None:
            found = ClientTimeout(total=None, connect=connect_s, sock_read=None, sock_connect=None)
            if len(self._timeouts) < _KNOWN_TIMEOUTS:
                self._timeouts[connect_s] = found
        return found


@asynccontextmanager
async def open_http_calls(max_connections: int, ca_file: Path | None = None) -> AsyncIterator[HttpCalls]:
    """The client of this process: keep-alive, caches of DNS and TLS sessions, no cookies, redirects or foreign proxies.

    Args:
        max_connections: at a time.
        ca_file: PEM of certificate authorities that are trusted beside the system's.
    """
    connector = _Connector(
        resuming_context(ca_file),
        limit=max_connections,
        keepalive_timeout=_KEEP_ALIVE_S,
        ttl_dns_cache=_DNS_CACHE_S,
        use_dns_cache=True,
    )
    async with ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, raise_for_status=False
    ) as session:
        calls = HttpCalls(session)
        try:
            yield calls
        finally:
            calls.close()


def _cut(status: int) -> Failure:
    return Failure(FailureClass.UPSTREAM, status, "The provider cut the reply.")


def _failure_before_answer(error: Exception) -> Failure:
    """Messages of the client name hosts and ports: none of them is passed on."""
    if isinstance(error, aiohttp.ServerTimeoutError):
        return Failure(FailureClass.TIMEOUT, message="The provider could not be reached in time.", phase=Phase.CONNECT)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError | aiohttp.InvalidURL):
        return Failure(FailureClass.UPSTREAM, message="The provider could not be reached.", phase=Phase.CONNECT)
    return Failure(
        FailureClass.UPSTREAM, message="The provider closed the connection without an answer.", phase=Phase.FIRST_EVENT
    )
