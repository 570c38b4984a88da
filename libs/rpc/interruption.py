"""Ending a stretch of somebody else's task, as `asyncio.timeout` does it.

Owns the bookkeeping of one such stretch. Does not know why it ends. Invariant: a cancellation that we sent is taken back
on the way out; one that came from outside is never swallowed.
"""

import asyncio
from typing import Any


class Interruptible:
    """A call that runs in its caller's task, and that a deadline or `cancel()` may end.

    Ending it means cancelling that task. `interruption` is what the caller gets then: an error, or `CancelledError`
    for None.
    """

    _task: asyncio.Task[Any] | None = None
    _cancelling = 0
    interrupted = False
    interruption: Exception | None = None

    def enter(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        self._task = task

    def leave(self) -> bool:
        """Ends the stretch; whether a cancellation that is now in flight is ours alone."""
        task, self._task = self._task, None
        assert task is not None
        return self.interrupted and task.uncancel() <= self._cancelling

    def interrupt(self, interruption: Exception | None) -> bool:
        """Ends the stretch, or prevents the next; False: it was interrupted before."""
        if self.interrupted:
            return False
        self.interrupted = True
        self.interruption = interruption
        if self._task is not None:
            self._task.cancel()
        return True

    @property
    def running(self) -> bool:
        return self._task is not None

    def raise_interruption(self) -> None:
        if self.interrupted:
            raise self.interruption or asyncio.CancelledError
