"""The limits of one attempt against the loop's clock, and reading within them.

Owns which limit holds when, and how much of a body is read. Does not know wire formats. Invariant: no read outlasts the limit
that holds for it.

Limits: `connect` until there is a connection; `first_event` until the first content of a stream, or the head of a
reply that does not stream; `idle` between two reads after that; `total` over all. Comments of a queueing provider
count as life after the first content only.
"""

import asyncio
from typing import NamedTuple, Self

from services.provider_adapter.deadlines import Deadline, PhaseExpiredError
from services.provider_adapter.http_calls import Call
from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, ProviderFailedError

BODY_LIMIT_BYTES = 64 * 1024 * 1024
ERROR_BODY_LIMIT_BYTES = 64 * 1024
_ERROR_BODY_S = 5.0


class Limits(NamedTuple):
    """Seconds; the defaults of DESIGN §11."""

    connect_s: float = 5.0
    first_event_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 900.0


class Wait:
    """The limits of one attempt against the loop's clock."""

    __slots__ = ("_loop", "_started", "deadline", "limits")

    def __init__(self, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self.deadline = Deadline(self._loop)
        self.limits = limits

    def elapsed_s(self) -> float:
        return self._loop.time() - self._started

    def until_first_event(self) -> None:
        self._set(self._started + self.limits.first_event_s, Phase.FIRST_EVENT)

    def until_next_read(self) -> None:
        self._set(self._loop.time() + self.limits.idle_s, Phase.IDLE)

    def at_most(self, seconds: float) -> Self:
        self._set(self._loop.time() + seconds, Phase.IDLE)
        return self

    def close(self) -> None:
        self.deadline.close()

    def _set(self, when: float, phase: Phase) -> None:
        end = self._started + self.limits.total_s
        if when < end:
            self.deadline.set(when, phase)
        else:
            self.deadline.set(end, Phase.TOTAL)


async def read_all(call: Call, wait: Wait) -> bytes:
    """The whole body of a success."""
    parts: list[bytes] = []
    size = 0
    while True:
        wait.until_next_read()
        with wait.deadline:
            part = await call.read()
        if call.at_end and not parts and len(part) <= BODY_LIMIT_BYTES:
            return part
        if not part:
            return b"".join(parts)
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            raise ProviderFailedError(Failure(FailureClass.UPSTREAM, call.status, "The reply is too large."))
        parts.append(part)


async def read_some(call: Call, wait: Wait) -> bytes:
    """The beginning of a body that only says what went wrong; as much of it as comes soon."""
    parts: list[bytes] = []
    size = 0
    wait.at_most(_ERROR_BODY_S)
    try:
        with wait.deadline:
            while size < ERROR_BODY_LIMIT_BYTES and (part := await call.read()):
                parts.append(part)
                size += len(part)
    except (PhaseExpiredError, ProviderFailedError):
        pass
    return b"".join(parts)[:ERROR_BODY_LIMIT_BYTES]


def expired(error: PhaseExpiredError, call: Call | None) -> Failure:
    status = 0 if call is None else call.status
    return Failure(FailureClass.TIMEOUT, status, phase=error.phase)
