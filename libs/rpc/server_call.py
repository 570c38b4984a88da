"""One call on its way through a session, as the callee's end sees it.

Owns running the servicer in a task of its own, with deadline, flow control and the end of the call. Does not read or
write: the session does. Invariant: a call that began ends with exactly one `end` frame, unless its caller is gone.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from switchyard.rpc.v1.session_pb2 import Frame, Start

from libs.errors import AppError
from libs.rpc.context import CallContext
from libs.rpc.failures import deadline_exceeded, hidden, request_malformed
from libs.rpc.frames import FRAGMENT_BYTES, Assembly, error_frame, fragments
from libs.rpc.methods import Method, MethodTable
from libs.rpc.outbox import Outbox
from libs.rpc.trace import enter_trace, served_span
from libs.traceparent import TRACEPARENT

_MAX_CREDIT_BYTES = 2**32


class Session(Protocol):
    """What a call needs of its session."""

    outbox: Outbox
    table: MethodTable
    peer: str

    def remove(self, call_id: int) -> None: ...


class ServerCall:
    """A call whose start was read; it runs once its request is complete."""

    __slots__ = (
        "_call_id",
        "_credit_bytes",
        "_credit_waiter",
        "_deadline_s",
        "_expired",
        "_loop",
        "_metadata",
        "_method",
        "_running",
        "_session",
        "_stopped",
        "_timer",
        "assembly",
        "task",
    )

    def __init__(self, session: Session, call_id: int, method: Method, start: Start, credit_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._call_id = call_id
        self._method = method
        self._metadata = dict(start.metadata)
        self._credit_bytes = credit_bytes
        self._credit_waiter: asyncio.Future[None] | None = None
        self._expired = False
        self._stopped = False
        self._running = False  # a task that is cancelled before its first step never runs at all
        self._deadline_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.assembly: Assembly | None = None
        self.task: asyncio.Task[None] | None = None
        if start.timeout_ms:
            self._deadline_s = self._loop.time() + start.timeout_ms / 1000
            self._timer = self._loop.call_at(self._deadline_s, self._expire)

    def run(self, request: bytes) -> None:
        """Starts the servicer."""
        self.task = self._loop.create_task(self._run(request))

    def add_credit(self, credit_bytes: int) -> None:
        self._credit_bytes = min(self._credit_bytes + credit_bytes, _MAX_CREDIT_BYTES)
        waiter = self._credit_waiter
        if waiter is not None and self._credit_bytes > 0 and not waiter.done():
            waiter.set_result(None)

    def cancel(self) -> None:
        """The caller is gone, or nobody will hear the answer."""
        self._stop()
        if not self._running:
            self.forget()

    def fail(self, error: AppError) -> None:
        """Ends a call that does not run yet."""
        self.forget()
        self._session.outbox.put(error_frame(self._call_id, error))

    def forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._session.remove(self._call_id)

    def _stop(self) -> None:
        """Cancels the servicer, once: deadline and caller often end a call together, and its clean-up is not to be cut off."""
        if self.task is not None and not self._stopped:
            self._stopped = True
            self.task.cancel()

    def _expire(self) -> None:
        self._expired = True
        self._stop()
        if not self._running:
            self.fail(deadline_exceeded())

    async def _run(self, request: bytes) -> None:
        self._running = True
        error: AppError | None = None
        try:
            traceparent = self._metadata.get(TRACEPARENT)
            if traceparent is not None:
                enter_trace(traceparent)
            tracer = self._session.table.tracer
            if tracer is None:
                await self._serve(request)
            else:
                with served_span(tracer, self._method.path):
                    await self._serve(request)
        except AppError as failure:
            error = failure
        except asyncio.CancelledError:
            if not self._expired:
                raise
            error = deadline_exceeded()
        except Exception as failure:  # noqa: BLE001 (hidden() logs it)
            error = hidden(failure, self._method.path)
        finally:
            self.forget()
        if error is not None:
            self._session.outbox.put(error_frame(self._call_id, error))

    async def _serve(self, data: bytes) -> None:
        method = self._method
        try:
            request = method.parse(data)
        except (DecodeError, ValueError):
            raise request_malformed() from None
        context = CallContext(self._metadata, self._deadline_s, self._session.peer)
        if method.streaming:
            replies: AsyncGenerator[Any, None] = method.handler(request, context)
            try:
                await self._serve_stream(replies)
            finally:
                await replies.aclose()
        else:
            reply = method.serialize(await method.handler(request, context))
            await self._send(reply, end=True)

    async def _serve_stream(self, replies: AsyncGenerator[Any, None]) -> None:
        serialize = self._method.serialize
        step = replies.__anext__
        while True:
            if self._credit_bytes <= 0:
                await self._wait_for_credit()
            try:
                reply = serialize(await step())
            except StopAsyncIteration:
                self._session.outbox.put(Frame(call_id=self._call_id, end=True))
                return
            self._credit_bytes -= len(reply)
            await self._send(reply, end=False)

    async def _send(self, reply: bytes, *, end: bool) -> None:
        outbox = self._session.outbox
        size = len(reply)
        if size <= FRAGMENT_BYTES and outbox.has_room:
            outbox.put(Frame(call_id=self._call_id, payload=reply, has_payload=True, end=end), size)
            return
        for piece, more in fragments(reply):
            frame = Frame(call_id=self._call_id, payload=piece, has_payload=True, more=more, end=end and not more)
            if outbox.has_room:
                outbox.put(frame, len(piece))
            else:
                await outbox.park(frame, len(piece))

    async def _wait_for_credit(self) -> None:
        self._credit_waiter = self._loop.create_future()
        try:
            await self._credit_waiter
        finally:
            self._credit_waiter = None
