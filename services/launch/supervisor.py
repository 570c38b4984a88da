"""Keeps processes alive: starts them in any order, starts again whatever dies, stops them all at the end.

Owns restarts and back-off. Does not know what the processes do. Invariant: every change of the living is reported, so
that the output file never names the dead for long.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from libs.logs import facts
from libs.retry import Backoff

logger = logging.getLogger(__name__)

_BACKOFF: Final = Backoff(first_s=0.2, cap_s=5.0, jitter=0.1)
_HEALTHY_S: Final = 10.0


class Part(Protocol):
    """Something with a process that can be started again."""

    @property
    def kind(self) -> str:
        """Its key in the `processes` map."""
        ...

    @property
    def name(self) -> str: ...

    async def start(self) -> int:
        """Returns the pid. Raises OSError or a failure of its own when it cannot start now."""
        ...

    async def wait(self) -> str:
        """Returns when the process is no more: how it ended."""
        ...

    async def stop(self) -> None: ...


class Supervisor:
    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._alive: dict[str, tuple[str, int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._parts: list[Part] = []

    def processes(self) -> dict[str, list[int]]:
        """Pids by kind, of whatever lives now."""
        kinds: dict[str, list[int]] = {}
        for name in sorted(self._alive):
            kind, pid = self._alive[name]
            kinds.setdefault(kind, []).append(pid)
        return kinds

    def keep_alive(self, part: Part) -> None:
        self._parts.append(part)
        self._tasks.append(asyncio.create_task(self._keep_alive(part)))

    async def stop(self, order: Callable[[Part], int]) -> None:
        """Stops everything, lower ranks of `order` first, those of one rank together."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for rank in sorted({order(part) for part in self._parts}):
            await asyncio.gather(*(part.stop() for part in self._parts if order(part) == rank))

    async def _keep_alive(self, part: Part) -> None:
        loop = asyncio.get_running_loop()
        delays = _BACKOFF.delays()
        while True:
            started_s = loop.time()
            try:
                pid = await part.start()
            except Exception:
                logger.exception("process cannot be started", extra=facts(process=part.name))
            else:
                self._alive[part.name] = (part.kind, pid)
                self._on_change()
                logger.info("process started", extra=facts(process=part.name, pid=pid))
                how = await part.wait()
                self._alive.pop(part.name, None)
                self._on_change()
                logger.warning("process ended", extra=facts(process=part.name, pid=pid, how=how))
            if loop.time() - started_s > _HEALTHY_S:
                delays = _BACKOFF.delays()
            await asyncio.sleep(next(delays))
