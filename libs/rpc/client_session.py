"""Our end of one session, as a client: one stream to one peer, many calls on it.

Owns the stream's reader and writer and which call a frame belongs to. Does not connect or reconnect. Invariant: when the
session ends, for whatever reason, every call on it ends at once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import grpc
from grpc import aio
from switchyard.rpc.v1.session_pb2 import Frame, OpenRequest, OpenResponse

from libs.logs import facts
from libs.rpc.client_call import ClientCall
from libs.rpc.frames import SESSION_CALL_ID
from libs.rpc.outbox import Outbox

_LEAVE_TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)


class ClientSession:
    """A session on an open stream.

    Args:
        on_retired: called once, as soon as the session takes no new calls; those on it may go on until `run` returns.
    """

    def __init__(
        self,
        stream: "aio.StreamStreamCall[OpenRequest, OpenResponse]",
        peer: str,
        on_retired: "Callable[[ClientSession], None]",
    ) -> None:
        self.peer = peer
        self.outbox = Outbox(self._write)
        self._on_retired = on_retired
        self._retired = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stream = stream
        self._calls: dict[int, ClientCall] = {}
        self._last_id = SESSION_CALL_ID

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    def add(self, call: ClientCall) -> int:
        self._last_id += 1
        self._calls[self._last_id] = call
        return self._last_id

    def remove(self, call_id: int) -> None:
        self._calls.pop(call_id, None)
        self._check_over()

    async def run(self) -> None:
        """Carries calls until the stream ends or the task is cancelled; then ends those that are left."""
        loop = asyncio.get_running_loop()
        reader, writer = loop.create_task(self._read()), loop.create_task(self.outbox.run())
        try:
            await asyncio.wait({reader, writer, self._over}, return_when=asyncio.FIRST_COMPLETED)
            if self._over.done():
                await self._leave(reader)
        finally:
            self._end()
            self._stream.cancel()
            reader.cancel()
            writer.cancel()
            for outcome in await asyncio.gather(reader, writer, return_exceptions=True):
                if isinstance(outcome, BaseException) and not _is_expected(outcome):
                    _log.error("session failed unexpectedly", exc_info=outcome, extra=facts(peer=self.peer))

    async def _leave(self, reader: asyncio.Task[None]) -> None:
        """Says that no more calls come, so that a server on its way down need not guess."""
        with suppress(TimeoutError, grpc.RpcError, asyncio.InvalidStateError):
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self.outbox.wait_empty()
                await self._stream.done_writing()
                await asyncio.wait({reader})

    async def _read(self) -> None:
        while True:
            batch = await self._stream.read()
            if not isinstance(batch, OpenResponse):
                return
            calls = self._calls
            for frame in batch.frames:
                call = calls.get(frame.call_id)
                if call is not None:
                    call.take(frame)
                elif frame.call_id == SESSION_CALL_ID and frame.HasField("error"):
                    self._retire()

    async def _write(self, frames: Sequence[Frame]) -> None:
        await self._stream.write(OpenRequest(frames=frames))

    def _end(self) -> None:
        self._retire()
        for call in list(self._calls.values()):
            call.lose_peer()

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self._on_retired(self)
            self._check_over()

    def _check_over(self) -> None:
        if self._retired and not self._calls and not self._over.done():
            self._over.set_result(None)


def _is_expected(outcome: BaseException) -> bool:
    """Whether that is how a stream ends: by a status of gRPC, or because we cancelled it or it has ended already."""
    return isinstance(outcome, grpc.RpcError | asyncio.CancelledError | asyncio.InvalidStateError)
