"""Our end of one session, as a server: one stream from one peer, many calls on it.

Owns which call a frame belongs to, the session's limits and its end. Does not listen. Invariant: when the session ends,
for whatever reason, no servicer goes on working for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from switchyard.rpc.v1.session_pb2 import Frame, OpenRequest, OpenResponse

from libs.rpc.failures import draining, message_too_large, method_unknown, too_many_calls
from libs.rpc.frames import MAX_MESSAGE_BYTES, SESSION_CALL_ID, Assembly, MessageTooLargeError, error_frame
from libs.rpc.methods import MethodTable
from libs.rpc.outbox import Outbox
from libs.rpc.server_call import ServerCall

MAX_CALLS = 4096
_MAX_ASSEMBLING_BYTES = 4 * MAX_MESSAGE_BYTES
_FLUSH_TIMEOUT_S = 1.0
_LINGER_S = 1.0

Read = Callable[[], Awaitable[object]]
Write = Callable[[OpenResponse], Awaitable[object]]


class ProtocolBrokenError(Exception):
    """The peer did what no peer of ours does; the session ends."""


class ServerSession:
    """A session on a stream that a peer opened.

    Args:
        read: gives the next `OpenRequest`, anything else at the end.
        write: sends an `OpenResponse`.
        max_calls: calls at once; more are refused.
    """

    def __init__(
        self,
        table: MethodTable,
        read: Read,
        write: Write,
        *,
        peer: str,
        max_calls: int = MAX_CALLS,
    ) -> None:
        self.table = table
        self.peer = peer
        self.outbox = Outbox(self._write)
        self._read = read
        self._write_message = write
        self._max_calls = max_calls
        self._calls: dict[int, ServerCall] = {}
        self._assembling_bytes = 0
        self._draining = False
        self._lingering: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Carries calls until the peer ends the session, or `drain` or `end` does.

        Raises:
            ProtocolBrokenError: the peer broke the protocol.
        """
        loop = asyncio.get_running_loop()
        reader = loop.create_task(self._read_frames())
        writer = loop.create_task(self.outbox.run())
        try:
            await asyncio.wait({reader, writer, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                await self._flush(writer)
        finally:
            if self._lingering is not None:
                self._lingering.cancel()
            running = [call.task for call in self._calls.values() if call.task is not None]
            for call in list(self._calls.values()):
                call.cancel()
            outcomes = await _end([reader, writer])
            await asyncio.gather(*running, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, ProtocolBrokenError):
                raise outcome

    def drain(self) -> None:
        """Takes no new calls, says so, and ends the session when those in flight have ended.

        It is the peer that leaves then: what it sent before it heard of this is refused in proper form, so it knows
        that none of it was executed. A peer that does not leave is left after a while.
        """
        if not self._draining:
            self._draining = True
            self.outbox.put(error_frame(SESSION_CALL_ID, draining()))
            self._end_if_idle()

    def end(self) -> None:
        """Ends the session; calls in flight are cancelled."""
        if not self._ended.done():
            self._ended.set_result(None)

    def remove(self, call_id: int) -> None:
        call = self._calls.pop(call_id, None)
        if call is not None and call.assembly is not None:
            self._assembling_bytes -= call.assembly.held_bytes
            call.assembly = None
        if self._draining:
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if not self._calls and self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(_LINGER_S, self.end)

    async def _flush(self, writer: asyncio.Task[None]) -> None:
        flushing = asyncio.ensure_future(self.outbox.wait_empty())
        await asyncio.wait({flushing, writer}, timeout=_FLUSH_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        flushing.cancel()

    async def _write(self, frames: Sequence[Frame]) -> None:
        await self._write_message(OpenResponse(frames=frames))

    async def _read_frames(self) -> None:
        while True:
            batch = await self._read()
            if not isinstance(batch, OpenRequest):
                return
            for frame in batch.frames:
                self._take(frame)
            # A peer that sends without reading fills our way out; it has to read before we read on.
            await self.outbox.wait_drained()

    def _take(self, frame: Frame) -> None:
        call = self._calls.get(frame.call_id)
        if frame.HasField("start"):
            if call is not None or frame.call_id == SESSION_CALL_ID:
                raise ProtocolBrokenError(f"call id {frame.call_id} is in use")
            call = self._begin(frame)
        elif call is not None and frame.credit_bytes:
            call.add_credit(frame.credit_bytes)
        if call is None:
            return  # it was refused or has ended, and the peer may not know yet
        if frame.has_payload:
            self._take_payload(call, frame)
        elif frame.cancel:
            call.cancel()

    def _begin(self, frame: Frame) -> ServerCall | None:
        path = frame.start.method
        method = self.table.find(path)
        if self._draining:
            refusal = draining()
        elif method is None:
            refusal = method_unknown(path)
        elif len(self._calls) >= self._max_calls:
            refusal = too_many_calls()
        else:
            call = ServerCall(self, frame.call_id, method, frame.start, frame.credit_bytes)
            self._calls[frame.call_id] = call
            return call
        self.outbox.put(error_frame(frame.call_id, refusal))
        return None

    def _take_payload(self, call: ServerCall, frame: Frame) -> None:
        if call.task is not None:
            raise ProtocolBrokenError(f"call {frame.call_id} has its request already")
        if not frame.more and call.assembly is None:
            call.run(frame.payload)
            return
        if call.assembly is None:
            call.assembly = Assembly()
        before = call.assembly.held_bytes
        try:
            request = call.assembly.add(frame.payload, frame.more)
        except MessageTooLargeError:
            self._assembling_bytes -= before
            call.fail(message_too_large(MAX_MESSAGE_BYTES))
            return
        self._assembling_bytes += call.assembly.held_bytes - before
        if request is not None:
            call.assembly = None
            call.run(request)
        elif self._assembling_bytes > _MAX_ASSEMBLING_BYTES:
            call.fail(too_many_calls())


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> list[object]:
    for task in tasks:
        task.cancel()
    outcomes: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes
