"""A token that a credential is exchanged for, kept as long as it holds.

Owns its life: got once for all who wait, kept until shortly before it expires, renewed in the background while it still
holds. Does not know how it is got or what it is used for. Invariant: a failed exchange is not tried again for a moment,
however many ask.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from services.provider_adapter.protocols.failures import ProviderFailedError

_RENEW_BEFORE_S = 300.0
_USE_UNTIL_S = 30.0
_FAILED_FOR_S = 2.0
# A younger token that is refused is no better for being exchanged again.
_FRESH_FOR_S = 60.0


class Token:
    """What the token server gave; `until` is unix seconds."""

    __slots__ = ("headers", "until")

    def __init__(self, text: str, until: float) -> None:
        self.headers: Mapping[str, str] = {"Authorization": f"Bearer {text}"}
        self.until = until


class TokenAuthorizer:
    """See `Authorizer`.

    Args:
        ask: gets a token; raises ProviderFailedError.
        now_s: unix seconds.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Token]], now_s: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._now_s = now_s
        self._token: Token | None = None
        self._taken_s = 0.0
        self._asking: asyncio.Task[Token] | None = None
        self._failed: tuple[float, ProviderFailedError] | None = None

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:  # noqa: ARG002 (a token is for any)
        token, now_s = self._token, self._now_s()
        if token is not None and now_s < token.until - _USE_UNTIL_S:
            if now_s >= token.until - _RENEW_BEFORE_S and not self._has_just_failed(now_s):
                self._asked()
            return token.headers
        if self._failed is not None and self._has_just_failed(now_s):
            raise ProviderFailedError(self._failed[1].failure)
        # The one who asked first may leave; the others still wait.
        return (await asyncio.shield(self._asked())).headers

    def refused(self) -> None:
        """A token may be taken back before its time."""
        if self._token is not None and self._now_s() >= self._taken_s + _FRESH_FOR_S:
            self._token = None

    def _has_just_failed(self, now_s: float) -> bool:
        return self._failed is not None and now_s < self._failed[0] + _FAILED_FOR_S

    def _asked(self) -> "asyncio.Task[Token]":
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._take)
        return self._asking

    def _take(self, asked: "asyncio.Task[Token]") -> None:
        self._asking = None
        if asked.cancelled():
            return
        error = asked.exception()
        if error is None:
            self._token, self._taken_s, self._failed = asked.result(), self._now_s(), None
        elif isinstance(error, ProviderFailedError):
            self._failed = (self._now_s(), error)
