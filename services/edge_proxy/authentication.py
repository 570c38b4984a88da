"""Who is calling: bearer keys, answered from memory for a moment, asked again before the answer can be two seconds old.

Owns the edge's memory of keys. Does not own keys: key_management does. Invariants: a disabled key stops working within
two seconds (DESIGN §4.6); while key_management is away known keys serve from memory for a minute, then 503.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from switchyard.keys.v1.keys_pb2 import Key

from libs.clock import Clock
from libs.errors import AppError, Kind
from services.edge_proxy.ports import Keys

FRESH_S: Final = 1.5
STALE_S: Final = 60.0
AWAY_WAIT_S: Final = 0.1
REFUSED_FRESH_S: Final = 0.5
MAX_ENTRIES: Final = 50_000
_MAX_KEY_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A key, or why there is none: as text, for an error that is kept keeps every frame it went through."""

    key: Key | None
    asked_s: float
    reason: str = ""
    message: str = ""


class Authenticator:
    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._memory: OrderedDict[str, _Remembered] = OrderedDict()
        self._asking: dict[str, asyncio.Future[_Remembered]] = {}
        self._is_away = False

    async def key_of(self, authorization: str | None) -> Key:
        """The key of an `Authorization` header.

        Raises:
            AppError: UNAUTHENTICATED, or NO_ROUTE when nobody can tell.
        """
        key_hash = self._hash(_bearer(authorization))
        known = self._memory.get(key_hash)
        now_s = self._clock.monotonic_s()
        if known is None or now_s - known.asked_s > (FRESH_S if known.key is not None else REFUSED_FRESH_S):
            known = await self._ask_again(key_hash, known) if known else await self._ask(key_hash, None)
        if known.key is None:
            raise AppError(Kind.UNAUTHENTICATED, known.reason, known.message)
        if known.key.HasField("expires_at_ms") and known.key.expires_at_ms <= self._clock.now_ms():
            raise AppError(Kind.UNAUTHENTICATED, "KEY_EXPIRED", "This API key has expired")
        return known.key

    async def _ask_again(self, key_hash: str, known: _Remembered) -> _Remembered:
        """While key_management is away nobody waits long for what memory can answer."""
        if not self._is_away or known.key is None or self._clock.monotonic_s() - known.asked_s > STALE_S:
            return await self._ask(key_hash, known)
        try:
            async with asyncio.timeout(AWAY_WAIT_S):
                return await self._ask(key_hash, known)
        except TimeoutError:
            return known

    async def _ask(self, key_hash: str, known: _Remembered | None) -> _Remembered:
        """Asks once however many requests wait for the answer."""
        asking = self._asking.get(key_hash)
        if asking is None:
            asking = asyncio.ensure_future(self._ask_now(key_hash, known))
            self._asking[key_hash] = asking
            asking.add_done_callback(lambda done: self._answered(key_hash, done))
        return await asyncio.shield(asking)

    def _answered(self, key_hash: str, done: "asyncio.Future[_Remembered]") -> None:
        self._asking.pop(key_hash, None)
        if not done.cancelled():
            done.exception()  # those who still wait for it get it; there may be none

    async def _ask_now(self, key_hash: str, known: _Remembered | None) -> _Remembered:
        asked_s = self._clock.monotonic_s()
        try:
            answer = _Remembered(await self._keys.authenticate(key_hash), asked_s)
        except AppError as error:
            if error.kind is Kind.UNAUTHENTICATED:
                answer = _Remembered(None, asked_s, error.reason, error.message)
            else:
                self._is_away = True
                if known is not None and known.key is not None and asked_s - known.asked_s <= STALE_S:
                    return known
                raise
        self._is_away = False
        self._memory[key_hash] = answer
        self._memory.move_to_end(key_hash)
        if len(self._memory) > MAX_ENTRIES:
            self._memory.popitem(last=False)
        return answer

    def _hash(self, plaintext: str) -> str:
        return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise AppError(
            Kind.UNAUTHENTICATED, "KEY_MISSING", "No auth credentials found: the Authorization header is missing"
        )
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_KEY_LENGTH:
        raise AppError(Kind.UNAUTHENTICATED, "KEY_MALFORMED", "The Authorization header must be `Bearer <API key>`")
    return token


def require_inference(key: Key) -> None:
    if key.is_management:
        raise AppError(
            Kind.FORBIDDEN, "MANAGEMENT_KEY", "Management keys cannot run inference; use an ordinary API key"
        )


def require_management(key: Key) -> None:
    if not key.is_management:
        raise AppError(Kind.FORBIDDEN, "NOT_A_MANAGEMENT_KEY", "Only management keys can perform this operation")
