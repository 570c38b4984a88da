"""Connections: an aiohttp request handler that gives a request's head a deadline.

aiohttp bounds idle connections, not heads that trickle in; a slow-loris client would hold a connection for as long as
it likes. Invariant: a connection that owes a head for longer than its limit is closed.
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError


class Connection(web.RequestHandler):
    """One client connection."""

    __slots__ = ("_head_limit_s", "_head_timer")

    def __init__(self, manager: web.Server, *, head_limit_s: float, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._head_limit_s = head_limit_s
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owe_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages or self._request_in_progress:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None:
            self._owe_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """What is not HTTP is its sender's affair, answered by a 400; it is no error of ours."""
        if isinstance(kwargs.get("exc_info"), HttpProcessingError):
            self.log_debug(*args)
        else:
            super().log_exception(*args, **kwargs)

    def _owe_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_limit_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._request_in_progress and not self._messages:
            self.force_close()
