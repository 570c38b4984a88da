"""Replies that many callers get alike: kept for a moment, asked for again, sent as they are.

Owns the edge's memory of such replies. Does not know what they say. Invariants: what is sent is at most a second old, as
long as whoever was asked answers; memory is bounded in bytes; of one reply there is one question at a time.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, NamedTuple

from libs.clock import Clock

FRESH_S: Final = 1.0
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_ENTRIES: Final = 512


class Prepared(NamedTuple):
    json: bytes
    etag: str
    asked_s: float = 0.0


Ask = Callable[[str], Awaitable[Prepared | None]]
"""Takes the etag that is known, or nothing; None: it is still that."""


class PreparedReplies:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: OrderedDict[Hashable, Prepared] = OrderedDict()
        self._bytes = 0
        self._asking: dict[Hashable, asyncio.Future[Prepared]] = {}

    async def get(self, key: Hashable, ask: Ask) -> Prepared:
        """Raises whatever `ask` raises; nothing of that is kept."""
        known = self._ready.get(key)
        if known is not None and self._clock.monotonic_s() - known.asked_s <= FRESH_S:
            return known
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._refresh(key, known, ask))
            asking.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(asking)

    def _asked(self, key: Hashable, done: "asyncio.Future[Prepared]") -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # whoever still waits has it; if nobody does, it is not news

    async def _refresh(self, key: Hashable, known: Prepared | None, ask: Ask) -> Prepared:
        asked_s = self._clock.monotonic_s()
        answer = await ask(known.etag if known is not None else "")
        if answer is None and known is not None:
            fresh = known._replace(asked_s=asked_s)
        else:
            fresh = (answer or Prepared(b"", ""))._replace(asked_s=asked_s)
        self._keep(key, fresh)
        return fresh

    def _keep(self, key: Hashable, fresh: Prepared) -> None:
        old = self._ready.pop(key, None)
        self._bytes += len(fresh.json) - (len(old.json) if old is not None else 0)
        self._ready[key] = fresh
        while self._ready and (self._bytes > MAX_BYTES or len(self._ready) > MAX_ENTRIES):
            _, gone = self._ready.popitem(last=False)
            self._bytes -= len(gone.json)


def prepared(json: bytes) -> Prepared:
    """A reply whose maker gave it no etag."""
    return Prepared(json, f'"{hashlib.sha256(json).hexdigest()[:32]}"')
