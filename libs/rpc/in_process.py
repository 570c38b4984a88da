"""Calls within one process: the same stubs, no socket, no bytes, no task, no queue.

Owns running a servicer inside its caller's task. Does not copy messages: they are passed by reference, so nobody may
change a message after handing it over, on either side. Invariant: the servicer sees deadline and cancellation as over a
session, and its `finally` blocks run however the call ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, set_span_in_context

from libs.errors import AppError
from libs.rpc.calls import ClientMethod, MetadataPairs, StreamCall, UnaryCall, UnaryClientChannel
from libs.rpc.context import CallContext
from libs.rpc.failures import deadline_exceeded, hidden, method_unknown
from libs.rpc.interruption import Interruptible
from libs.rpc.methods import MethodTable
from libs.rpc.trace import end_span, start_span

_PEER = "in-process"


class InProcessChannel(UnaryClientChannel):
    """A channel to the servicers of a table in this process.

    The table may still be filled after the channel was made. Spans are made by the table's tracer, one per call.
    """

    def __init__(self, table: MethodTable) -> None:
        self._table = table

    async def channel_ready(self) -> None:
        """Always ready."""

    async def close(self, grace: float | None = None) -> None:
        """Nothing is held."""

    def make_unary(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> UnaryCall[Any]:
        return _UnaryCall(self._table, method.path, request, timeout_s, metadata)

    def make_stream(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> StreamCall[Any]:
        running = _RunningStream(self._table, method.path)
        return StreamCall(_replies(running, request, timeout_s, metadata), running.cancel)


class _UnaryCall(Interruptible, UnaryCall[Any]):
    def __init__(
        self, table: MethodTable, path: str, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> None:
        self._table = table
        self._path = path
        self._request = request
        self._timeout_s = timeout_s
        self._metadata = metadata
        self._done = False

    def __await__(self) -> Generator[Any, None, Any]:
        tracer = self._table.tracer
        if tracer is None:
            return self._run().__await__()
        return self._run_traced(start_span(tracer, self._path, SpanKind.SERVER)).__await__()

    async def _run(self) -> Any:
        method = self._table.find(self._path)
        if method is None:
            raise method_unknown(self._path)
        self.raise_interruption()
        timer, deadline_s = _arm(self, self._timeout_s)
        self.enter()
        ours = False
        try:
            try:
                return await method.handler(self._request, CallContext(self._metadata, deadline_s, _PEER))
            finally:
                self._done = True
                ours = self.leave()
                if timer is not None:
                    timer.cancel()
        except AppError:
            raise
        except asyncio.CancelledError:
            if ours:
                self.raise_interruption()
            raise
        except Exception as error:  # noqa: BLE001 (hidden() logs it)
            raise hidden(error, self._path) from None

    async def _run_traced(self, span: Span) -> Any:
        token = attach(set_span_in_context(span))
        try:
            reply = await self._run()
        except BaseException as error:
            end_span(span, error)
            raise
        finally:
            detach(token)
        end_span(span)
        return reply

    def cancel(self) -> bool:
        return not self._done and self.interrupt(None)


class _RunningStream(Interruptible):
    """A server-streaming call as its deadline and `cancel()` see it.

    It does not refer to the caller's iterator, so that dropping the iterator ends the call.
    """

    def __init__(self, table: MethodTable, path: str) -> None:
        self.path = path
        self._table = table
        self._replies: AsyncGenerator[Any, None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._done = False
        self._span: Span | None = None

    def begin(self, request: Any, context: CallContext) -> Callable[[], Awaitable[Any]]:
        """Starts the servicer; returns what gives its next reply."""
        self.raise_interruption()
        method = self._table.find(self.path)
        if method is None:
            raise method_unknown(self.path)
        replies: AsyncGenerator[Any, None] = method.handler(request, context)
        self._replies = replies
        if self._table.tracer is None:
            return replies.__anext__
        self._span = start_span(self._table.tracer, self.path, SpanKind.SERVER)
        return partial(_step_traced, replies, self._span)

    async def end(self, error: BaseException | None) -> None:
        """Runs what is left of the servicer."""
        self._done = True
        try:
            if self._closing is not None:
                await self._closing
            elif self._replies is not None:
                await self._close(self._replies)
        finally:
            if self._span is not None:
                end_span(self._span, error)

    def cancel(self) -> bool:
        return not self._done and self.interrupt(None)

    def interrupt(self, interruption: Exception | None) -> bool:
        if not super().interrupt(interruption):
            return False
        if not self.running and self._replies is not None:
            self._closing = asyncio.ensure_future(self._close(self._replies))
        return True

    async def _close(self, replies: AsyncGenerator[Any, None]) -> None:
        try:
            await replies.aclose()
        except Exception as error:  # noqa: BLE001 (what a servicer's clean-up raises has no caller left; it is logged)
            hidden(error, self.path)


async def _replies(
    running: _RunningStream, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
) -> AsyncGenerator[Any, None]:
    timer, deadline_s = _arm(running, timeout_s)
    failure: BaseException | None = None
    try:
        step = running.begin(request, CallContext(metadata, deadline_s, _PEER))
        while True:
            running.raise_interruption()
            running.enter()
            ours = False
            try:
                try:
                    reply = await step()
                finally:
                    ours = running.leave()
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if ours:
                    running.raise_interruption()
                raise
            yield reply
    except AppError as error:
        failure = error
        raise
    except Exception as error:  # noqa: BLE001 (hidden() logs it)
        failure = hidden(error, running.path)
        raise failure from None
    finally:
        if timer is not None:
            timer.cancel()
        await running.end(failure)


async def _step_traced(replies: AsyncGenerator[Any, None], span: Span) -> Any:
    token = attach(set_span_in_context(span))
    try:
        return await replies.__anext__()
    finally:
        detach(token)


def _arm(call: Interruptible, timeout_s: float | None) -> tuple[asyncio.TimerHandle | None, float | None]:
    """The timer that ends the call, and its deadline in the loop's time."""
    if timeout_s is None:
        return None, None
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    return loop.call_at(deadline_s, _expire, call), deadline_s


def _expire(call: Interruptible) -> None:
    call.interrupt(deadline_exceeded())
