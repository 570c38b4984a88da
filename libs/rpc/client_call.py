"""One call on its way through a session, as the caller's end sees it.

Owns its replies until they are taken, its flow control, its deadline and its end. Does not read or write: the session
does. Invariant: a call waits on one future at a time, so whatever ends it (reply, error, deadline, cancellation, loss of
the peer) finishes that one future; and a callee that still works is told when nobody waits any more.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from switchyard.rpc.v1.session_pb2 import Frame, Start

from libs.errors import AppError
from libs.rpc.failures import deadline_exceeded, message_too_large, peer_lost, protocol_broken
from libs.rpc.frames import (
    FRAGMENT_BYTES,
    MAX_MESSAGE_BYTES,
    Assembly,
    MessageTooLargeError,
    error_from_proto,
    fragments,
)
from libs.rpc.outbox import Outbox

_MAX_TIMEOUT_MS = 2**32 - 1


class Session(Protocol):
    """What a call needs of its session."""

    outbox: Outbox
    peer: str

    def add(self, call: "ClientCall") -> int:
        """Routes frames to the call from now on; returns its id."""
        ...

    def remove(self, call_id: int) -> None: ...


class ClientCall:
    """A call; made when its stub's call is, begun on a session later.

    Args:
        window_bytes: how far the callee may be ahead of the consumer; 0 for calls with one reply, which need none.
    """

    __slots__ = (
        "_assembly",
        "_cancelled",
        "_closed",
        "_error",
        "_finished",
        "_id",
        "_last_number",
        "_loop",
        "_remote_open",
        "_replies",
        "_session",
        "_taken_bytes",
        "_timer",
        "_waiter",
        "_waiting_bytes",
        "_window_bytes",
        "deadline_s",
    )

    def __init__(self, window_bytes: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._window_bytes = window_bytes
        self._session: Session | None = None
        self._id = 0
        self._last_number: int | None = None
        self._replies: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._taken_bytes = 0
        self._assembly: Assembly | None = None
        self._waiter: asyncio.Future[int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: AppError | None = None
        self._finished = False  # nothing more will come
        self._remote_open = False  # the callee knows the call, and has not ended it
        self._cancelled = False
        self._closed = False
        self.deadline_s: float | None = None

    def open(self, timeout_s: float | None) -> None:
        """Starts the clock."""
        if self._cancelled:
            raise asyncio.CancelledError
        if timeout_s is not None:
            self.deadline_s = self._loop.time() + timeout_s

    async def begin(self, session: Session, path: str, request: bytes, metadata: Mapping[str, str]) -> None:
        """Sends the request; returns when the whole of it is queued."""
        timeout_ms = 0
        if self.deadline_s is not None:
            self._timer = self._loop.call_at(self.deadline_s, self._expire)
            timeout_ms = min(max(round((self.deadline_s - self._loop.time()) * 1000), 1), _MAX_TIMEOUT_MS)
        self._session = session
        self._id = session.add(self)
        start = Start(method=path, timeout_ms=timeout_ms, metadata=metadata)
        outbox = session.outbox
        size = len(request)
        if size <= FRAGMENT_BYTES and outbox.has_room:
            frame = Frame(
                call_id=self._id,
                start=start,
                payload=request,
                has_payload=True,
                end=True,
                credit_bytes=self._window_bytes,
            )
            self._last_number = outbox.put(frame, size)
            self._remote_open = True
        else:
            await self._send(outbox, start, request)

    async def _send(self, outbox: Outbox, start: Start, request: bytes) -> None:
        frame = Frame(call_id=self._id, start=start, credit_bytes=self._window_bytes)
        number = 0
        for piece, more in fragments(request):
            frame.payload, frame.has_payload, frame.more, frame.end = piece, True, more, not more
            if outbox.has_room:
                number = outbox.put(frame, len(piece))
            else:
                number = await self.wait(outbox.park(frame, len(piece)))
            self._remote_open = True
            frame = Frame(call_id=self._id)
        self._last_number = number

    async def wait(self, future: asyncio.Future[int]) -> int:
        """Waits for something on the call's behalf.

        Raises:
            AppError: the call ended meanwhile.
        """
        self._waiter = future
        try:
            number = await future
        finally:
            self._waiter = None
        if self._error is not None:
            raise self._error
        return number

    async def receive(self) -> bytes | None:
        """The next reply; None after the last.

        Raises:
            AppError: the call failed.
        """
        replies = self._replies
        while not replies:
            if self._cancelled:
                raise asyncio.CancelledError
            if self._finished:
                if self._error is not None:
                    raise self._error
                return None
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        reply = replies.popleft()
        if self._window_bytes:
            self._grant(len(reply))
        return reply

    def _grant(self, size: int) -> None:
        self._waiting_bytes -= size
        self._taken_bytes += size
        if self._taken_bytes * 2 >= self._window_bytes and self._remote_open and self._session is not None:
            self._session.outbox.put(Frame(call_id=self._id, credit_bytes=self._taken_bytes))
            self._taken_bytes = 0

    def take(self, frame: Frame) -> None:
        """Takes a frame that the session read for this call."""
        if frame.has_payload and not self._take_payload(frame.payload, frame.more):
            return
        if frame.end:
            self._remote_open = False
            if frame.HasField("error"):
                self._error = error_from_proto(frame.error)
            self._finish()
        elif self._replies:
            self._wake()

    def _take_payload(self, payload: bytes, more: bool) -> bool:
        reply: bytes | None = payload
        if more or self._assembly is not None:
            if self._assembly is None:
                self._assembly = Assembly()
            try:
                reply = self._assembly.add(payload, more)
            except MessageTooLargeError:
                self._fail(message_too_large(MAX_MESSAGE_BYTES))
                return False
        if reply is not None:
            self._replies.append(reply)
            self._waiting_bytes += len(reply)
            if self._waiting_bytes > self._window_bytes + MAX_MESSAGE_BYTES:
                assert self._session is not None
                self._fail(protocol_broken(self._session.peer))
                return False
        return True

    def lose_peer(self) -> None:
        """The session is gone."""
        assert self._session is not None
        self._remote_open = False
        if not self._finished:
            sent = self._last_number is not None and self._last_number <= self._session.outbox.taken
            self._error = peer_lost(self._session.peer, sent=sent)
            self._finish()

    def _expire(self) -> None:
        if not self._finished:
            self._fail(deadline_exceeded())

    def _fail(self, error: AppError) -> None:
        """Ends the call from our side, at once: replies that wait are not worth taking any more."""
        self._replies.clear()
        self._error = error
        self._finish()
        self.close()

    def _finish(self) -> None:
        self._finished = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(0)

    def cancel(self) -> bool:
        """Ends the call; whoever waits for it gets `CancelledError`. False: it had ended before."""
        if self._closed or self._cancelled:
            return False
        self._cancelled = True
        self._replies.clear()
        if self._waiter is not None:
            self._waiter.cancel()
        self.close()
        return True

    def close(self) -> None:
        """Forgets the call, and tells the callee if it still works on it. Belongs into a `finally`."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._session is not None:
            self._session.remove(self._id)
            if self._remote_open:
                self._session.outbox.put(Frame(call_id=self._id, cancel=True))
                self._remote_open = False
