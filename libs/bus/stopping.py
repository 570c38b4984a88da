"""How consumer loops end: told once, they finish what is in hand, then go.

Owns the stop signal, the grace period and the endless retry around a session with a log. Knows no log.
Invariant: a cancelled consumer ends within its grace period and its task is never left behind.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from libs.logs import Throttled
from libs.retry import Backoff

_log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 (an outcome, not an error)
    """A wait was cut short because the loop was told to stop."""


class Stop:
    """A stop signal that also wakes whoever waits for something else."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._wakes: list[asyncio.Event] = []

    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        self._event.set()
        for wake in self._wakes:
            wake.set()

    def wakes(self, event: asyncio.Event) -> asyncio.Event:
        """The event, which will also be set by the stop."""
        self._wakes.append(event)
        if self._event.is_set():
            event.set()
        return event

    async def pause(self, delay_s: float) -> None:
        """Waits.

        Raises:
            Stopped: the stop came first.
        """
        if await wait_for_event(self._event, delay_s):
            raise Stopped


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether the event was set in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True


def is_cancelled(error: BaseException) -> bool:
    """Whether someone cancelled us, rather than a library of ours having cancelled something of its own and let go."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class Loops:
    """The consumer loops of one event log."""

    def __init__(self, finish_s: float) -> None:
        self._finish_s = finish_s
        self._running: dict[asyncio.Task[None], Stop] = {}
        self._closed = False

    async def run(self, body: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
        """Runs a loop; when cancelled tells it to stop, gives it the grace period to end by itself, then cancels it."""
        if self._closed:
            raise RuntimeError("the event log is closed")
        stop = Stop()
        task = asyncio.create_task(body(stop))
        self._running[task] = stop
        try:
            await asyncio.shield(task)
        finally:
            del self._running[task]
            await self._end({task: stop})

    async def close(self) -> None:
        """Ends all loops; each finishes what is in hand if it can in time."""
        self._closed = True
        await self._end(dict(self._running))

    async def _end(self, loops: dict[asyncio.Task[None], Stop]) -> None:
        for stop in loops.values():
            stop.set()
        try:
            await _wait(loops, self._finish_s)
        finally:
            late = [task for task in loops if not task.done()]
            for task in late:
                task.cancel()
            await _wait(late, self._finish_s)
            for task in loops:
                if task.done() and not task.cancelled():
                    task.exception()  # marks it as seen; shield has raised it where it matters


async def _wait(tasks: Iterable[asyncio.Task[None]], timeout_s: float) -> None:
    pending = [task for task in tasks if not task.done()]
    if pending:
        await asyncio.wait(pending, timeout=timeout_s)


async def keep_going(session: Callable[[], Awaitable[None]], stop: Stop, backoff: Backoff, what: str) -> None:
    """Runs sessions one after the other until told to stop; a session that fails is followed by a back-off."""
    throttled = Throttled(_log)
    delays = backoff.delays()
    while not stop.is_set():
        started_s = time.monotonic()
        try:
            await session()
        except Stopped:
            return
        except (Exception, asyncio.CancelledError) as error:  # a consumer loop survives whatever a log's client raises
            if is_cancelled(error):
                raise
            throttled.warning("event log session ended, trying again", what=what, error=repr(error)[:300])
            if time.monotonic() - started_s > backoff.cap_s:
                delays = backoff.delays()
            try:
                await stop.pause(next(delays))
            except Stopped:
                return
