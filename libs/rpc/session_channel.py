"""The channel that services call one another through: sessions to every replica of a peer.

Owns which session a call takes and how long it waits for one. Does not retry calls: only callers know which are worth
it (metadata `sent: "false"` says that a call was certainly not executed). Invariant: what a caller gets is a reply,
`AppError` or `CancelledError`, and it gets one of them within the time it gave.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.trace import Span, SpanKind, Tracer

from libs.errors import AppError, unavailable
from libs.retry import Backoff
from libs.rpc.calls import ClientMethod, MetadataPairs, StreamCall, UnaryCall, UnaryClientChannel
from libs.rpc.client_call import ClientCall
from libs.rpc.client_session import ClientSession
from libs.rpc.failures import not_connected, protocol_broken
from libs.rpc.frames import WINDOW_BYTES
from libs.rpc.links import Target, TaskSet
from libs.rpc.trace import end_span, start_span
from libs.traceparent import TRACEPARENT, current_traceparent, format_traceparent

_BACKOFF = Backoff(first_s=0.05, cap_s=1.0)
_MAX_WAITING = 10_000


class SessionChannel(UnaryClientChannel):
    """A channel over sessions, one for each address of each target; calls go where the fewest are in flight.

    Connects at `start()` or at the first call, and again for ever. `host:port` is connected to as it is (gRPC resolves
    the name anew at each attempt, and takes one address of it). `dns:///host:port` gets a session to every address that
    DNS gives, looked up again every `resolve_interval_s` and after each loss; a session to an address that DNS no longer
    gives stays until its server drains or dies.

    Args:
        peer: the service behind the targets, as errors and logs name it.
        connect_wait_s: how long a call waits while no session is up, unless its own timeout is shorter.
        window_bytes: how far the callee of one streaming call may be ahead of its consumer.
        tracer: makes a CLIENT span of every call; None makes none, and passes the current span on.
    """

    def __init__(
        self,
        targets: Sequence[str],
        *,
        peer: str,
        connect_wait_s: float = 2.0,
        window_bytes: int = WINDOW_BYTES,
        backoff: Backoff = _BACKOFF,
        resolve_interval_s: float = 10.0,
        tracer: Tracer | None = None,
    ) -> None:
        self.peer = peer
        self.window_bytes = window_bytes
        self.tracer = tracer
        self._targets = tuple(targets)
        self._connect_wait_s = connect_wait_s
        self._backoff = backoff
        self._resolve_interval_s = resolve_interval_s
        self._sessions: list[ClientSession] = []
        self._turn = 0
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._following = TaskSet()
        self._closed = False

    def start(self) -> None:
        """Begins to connect; does nothing the second time."""
        if not self._following and not self._closed:
            for target in self._targets:
                following = Target(
                    target, self.peer, self._backoff, self._resolve_interval_s, self._on_up, self._on_down
                )
                self._following.spawn(following.run())

    async def wait_ready(self, timeout_s: float) -> None:
        """Waits until a session is up.

        Raises:
            AppError: none came up in time.
        """
        self.start()
        try:
            async with asyncio.timeout(timeout_s):
                await self.channel_ready()
        except TimeoutError:
            raise unavailable(self.peer) from None

    async def channel_ready(self) -> None:
        """Waits until a session is up, for ever."""
        self.start()
        while not self._sessions:
            await self._session_up()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        if self._closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        if try_to_connect:
            self.start()
        return grpc.ChannelConnectivity.READY if self._sessions else grpc.ChannelConnectivity.CONNECTING

    async def close(self, grace: float | None = None) -> None:  # noqa: ARG002 (grpc's signature)
        """Ends every session; calls in flight fail at once."""
        self._closed = True
        await self._following.end()
        self._wake_waiting()

    def make_unary(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> UnaryCall[Any]:
        return _UnarySessionCall(self, method, request, timeout_s, metadata)

    def make_stream(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> StreamCall[Any]:
        call = ClientCall(self.window_bytes)
        return StreamCall(_replies(self, call, method, request, timeout_s, metadata), call.cancel)

    async def begin(
        self, call: ClientCall, method: ClientMethod, request: Any, timeout_s: float | None, metadata: Mapping[str, str]
    ) -> None:
        """Sends the request on the session that has the least to do.

        Raises:
            AppError: no session came up in time, or the call ended before its request was queued.
        """
        call.open(timeout_s)
        sessions = self._sessions
        session = sessions[0] if len(sessions) == 1 else await self._choose(call)
        await call.begin(session, method.path, method.serialize(request), metadata)

    async def _choose(self, call: ClientCall) -> ClientSession:
        if not self._sessions:
            await self._wait_for_session(call)
        # The turn moves on so that calls of equal merit are spread.
        self._turn += 1
        sessions = self._sessions
        first = self._turn % len(sessions)
        return min(sessions[first:] + sessions[:first], key=_in_flight)

    async def _wait_for_session(self, call: ClientCall) -> None:
        self.start()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._connect_wait_s
        if call.deadline_s is not None:
            until_s = min(until_s, call.deadline_s)
        while not self._sessions:
            if self._closed or len(self._waiting) >= _MAX_WAITING:
                raise not_connected(self.peer)
            try:
                async with asyncio.timeout_at(until_s):
                    await call.wait(self._session_up())
            except TimeoutError:
                raise not_connected(self.peer) from None

    def _session_up(self) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        future.add_done_callback(self._stop_waiting)
        return future

    def _stop_waiting(self, future: asyncio.Future[int]) -> None:
        if future.cancelled():
            with suppress(ValueError):  # others were woken meanwhile
                self._waiting.remove(future)

    def _wake_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_result(0)

    def _on_up(self, session: ClientSession) -> None:
        self._sessions = [*self._sessions, session]
        self._wake_waiting()

    def _on_down(self, session: ClientSession) -> None:
        self._sessions = [other for other in self._sessions if other is not session]


def _in_flight(session: ClientSession) -> int:
    return session.in_flight


class _UnarySessionCall(UnaryCall[Any]):
    def __init__(
        self,
        channel: SessionChannel,
        method: ClientMethod,
        request: Any,
        timeout_s: float | None,
        metadata: MetadataPairs | None,
    ) -> None:
        self._channel = channel
        self._method = method
        self._request = request
        self._timeout_s = timeout_s
        self._metadata = metadata
        self._call = ClientCall()

    def __await__(self) -> Generator[Any, None, Any]:
        tracer = self._channel.tracer
        if tracer is None:
            return self._run(current_traceparent()).__await__()
        return self._run_traced(start_span(tracer, self._method.path, SpanKind.CLIENT)).__await__()

    async def _run(self, traceparent: str | None) -> Any:
        call = self._call
        try:
            metadata = _with_trace(self._metadata, traceparent)
            await self._channel.begin(call, self._method, self._request, self._timeout_s, metadata)
            reply = await call.receive()
        finally:
            call.close()
        if reply is None:
            raise protocol_broken(self._channel.peer)
        return _parse(self._channel.peer, self._method, reply)

    async def _run_traced(self, span: Span) -> Any:
        try:
            reply = await self._run(format_traceparent(span.get_span_context()))
        except BaseException as error:
            end_span(span, error)
            raise
        end_span(span)
        return reply

    def cancel(self) -> bool:
        return self._call.cancel()


async def _replies(
    channel: SessionChannel,
    call: ClientCall,
    method: ClientMethod,
    request: Any,
    timeout_s: float | None,
    metadata: MetadataPairs | None,
) -> AsyncGenerator[Any, None]:
    span: Span | None = None
    failure: BaseException | None = None
    try:
        if channel.tracer is None:
            traceparent = current_traceparent()
        else:
            span = start_span(channel.tracer, method.path, SpanKind.CLIENT)
            traceparent = format_traceparent(span.get_span_context())
        await channel.begin(call, method, request, timeout_s, _with_trace(metadata, traceparent))
        while (reply := await call.receive()) is not None:
            yield _parse(channel.peer, method, reply)
    except AppError as error:
        failure = error
        raise
    finally:
        call.close()
        if span is not None:
            end_span(span, failure)


def _with_trace(metadata: MetadataPairs | None, traceparent: str | None) -> dict[str, str]:
    pairs = {key: str(value) for key, value in metadata} if metadata else {}
    if traceparent is not None:
        pairs.setdefault(TRACEPARENT, traceparent)
    return pairs


def _parse(peer: str, method: ClientMethod, reply: bytes) -> Any:
    try:
        return method.parse(reply)
    except DecodeError:
        raise protocol_broken(peer) from None
