"""Server-sent events to the caller: headers at the first write, comments while nothing comes.

Owns the reply of one streamed request. Does not make events. Invariant: comments stand between events, never inside.
"""

import asyncio
from typing import Any, Final

from aiohttp import web

from services.edge_proxy.http.replies import GENERATION_ID
from services.edge_proxy.ports import ClientGoneError

KEEP_ALIVE: Final = b": OPENROUTER PROCESSING\n\n"
STALL_LIMIT_S: Final = 60.0
"""How long a caller may take nothing of what was written before the connection is given up."""


class EventStream:
    """A `Sink` over an aiohttp reply.

    The status line goes out with the first event, so that a failure before it can still be a plain error; only after
    `keep_alive_s` of silence a comment commits to 200 earlier.
    """

    def __init__(self, request: web.Request, generation_id: str, keep_alive_s: float) -> None:
        self._request = request
        self._keep_alive_s = keep_alive_s
        self._loop = asyncio.get_running_loop()
        self._last_write_s = self._loop.time()
        self._timer = self._loop.call_later(keep_alive_s, self._on_timer)
        self._preparing: asyncio.Future[Any] | None = None
        self._comment: asyncio.Future[None] | None = None
        self._gone = False
        self._writing = 0
        self.reply = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                GENERATION_ID: generation_id,
            }
        )

    @property
    def started(self) -> bool:
        return self._preparing is not None

    async def write(self, events: bytes) -> None:
        self._last_write_s = self._loop.time()
        self._writing += 1
        try:
            preparing = self._preparing
            if preparing is None:
                preparing = self._preparing = asyncio.ensure_future(self.reply.prepare(self._request))
            if not preparing.done():
                await preparing
            await self.reply.write(events)
        except ConnectionError:
            self._gone = True
            raise ClientGoneError from None
        finally:
            self._writing -= 1

    async def end(self) -> web.StreamResponse:
        """Ends the reply; to be returned to aiohttp."""
        self.close()
        try:
            await self.reply.write_eof()
        except ConnectionError:
            raise ClientGoneError from None
        return self.reply

    def close(self) -> None:
        """Stops the comments."""
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()

    def _on_timer(self) -> None:
        if self._gone:
            return
        if self._writing:
            self._check_stall()
            return
        due_s = self._last_write_s + self._keep_alive_s
        if self._loop.time() < due_s - 0.001:
            self._timer = self._loop.call_at(due_s, self._on_timer)
            return
        self._comment = asyncio.ensure_future(self._write_comment())
        self._timer = self._loop.call_later(self._keep_alive_s, self._on_timer)

    def _check_stall(self) -> None:
        """A write waits for the caller to read; comments would only wait behind it."""
        due_s = self._last_write_s + STALL_LIMIT_S
        if self._loop.time() < due_s:
            self._timer = self._loop.call_later(min(self._keep_alive_s, STALL_LIMIT_S), self._on_timer)
        elif self._request.transport is not None:
            self._request.transport.abort()

    async def _write_comment(self) -> None:
        try:
            await self.write(KEEP_ALIVE)
        except ClientGoneError:
            self._gone = True
