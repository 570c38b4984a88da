"""One timer per attempt that interrupts whoever waits for the provider.

Owns the timer and the interruption. Does not choose limits: generate.py does. Invariant: a moment that moves later
costs no call to the event loop; the timer interrupts only inside a `with` block, never a caller that holds a chunk.
"""

import asyncio
from types import TracebackType
from typing import Self

from services.provider_adapter.protocols.failures import Phase


class PhaseExpiredError(Exception):
    """The provider exceeded a limit."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase)
        self.phase = phase


class Deadline:
    """Like `asyncio.timeout`, but re-usable by one attempt from wait to wait, in whichever task it is waiting.

    Use: `deadline.set(when, phase)`, then `with deadline: await …`; `close()` at the end.
    """

    __slots__ = ("_cancelling", "_expired", "_handle", "_loop", "_phase", "_task", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self._when = 0.0
        self._phase = Phase.TOTAL

    def set(self, when: float, phase: Phase) -> None:
        """Interrupt waits at `when` (loop time) and say that `phase` took too long."""
        self._when = when
        self._phase = phase
        handle = self._handle
        if handle is None or handle.when() > when:
            if handle is not None:
                handle.cancel()
            self._handle = self._loop.call_at(when, self._fire)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        assert task is not None
        if self._loop.time() >= self._when:
            raise PhaseExpiredError(self._phase)
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._expired:
            return
        self._expired = False
        # As asyncio.timeout does: somebody else's cancellation goes first.
        if task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise PhaseExpiredError(self._phase) from error

    def _fire(self) -> None:
        self._handle = None
        if self._loop.time() < self._when:
            self._handle = self._loop.call_at(self._when, self._fire)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()
