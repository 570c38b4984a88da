"""Connections: an aiohttp request handler that bounds a request's head in time and size.

aiohttp bounds idle connections and single lines, not heads that trickle in or have many lines; and what it refuses itself
it answers in plain text that repeats what it got. Invariants: a connection that owes a head for longer than its limit, or
sends a larger one, is closed; refusals leave in the common envelope and repeat nothing.
"""

import asyncio
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError, LineTooLong

from libs.errors import AppError, Kind, internal
from services.edge_proxy.http.replies import error_reply

MAX_HEAD_BYTES: Final = 65_536


class Connection(web.RequestHandler):
    """One client connection."""

    __slots__ = ("_body", "_head_bytes", "_head_limit_s", "_head_timer")

    def __init__(self, manager: web.Server, *, head_limit_s: float, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._head_limit_s = head_limit_s
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body: StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owe_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            self._body = self._messages[-1][1]
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and self._is_head_too_large():
            self.force_close()
        elif not self._owes_head():
            self._head_bytes = 0
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

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What never became a request of ours."""
        super().handle_error(request, status, exc, message)
        reply = error_reply(_refusal(exc) if status < 500 else internal())
        reply.force_close()
        return reply

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """What is not HTTP is its sender's affair, answered by a 400; it is no error of ours."""
        if isinstance(kwargs.get("exc_info"), HttpProcessingError):
            self.log_debug(*args)
        else:
            super().log_exception(*args, **kwargs)

    def _owes_head(self) -> bool:
        """Whether what comes now is the head of a request; after a refusal it may still be the body of the last one."""
        return not (self._messages or self._request_in_progress) and (self._body is None or self._body.is_eof())

    def _is_head_too_large(self) -> bool:
        """Of what came since the last request: all of it is head, or head and the beginning of a body."""
        if not self._messages:
            return self._owes_head()
        head = self._messages[0][0]
        return sum(len(name) + len(value) + 4 for name, value in getattr(head, "raw_headers", ())) > MAX_HEAD_BYTES

    def _owe_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_limit_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._owes_head():
            self.force_close()


def _refusal(exc: BaseException | None) -> AppError:
    if isinstance(exc, LineTooLong):
        return AppError(Kind.INVALID, "HEAD_TOO_LARGE", "The head of the request is larger than 64 KiB")
    if isinstance(exc, ContentEncodingError):
        return AppError(Kind.INVALID, "BODY_BROKEN", "The content encoding of the request body is not supported")
    return AppError(Kind.INVALID, "HTTP_INVALID", "The request is not valid HTTP")
