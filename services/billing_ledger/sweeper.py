"""Voids the holds of edges that died, and of events that never came.

Owns the schedule and the caution. Does not own the rule of what is stale: the store's `sweep` does.
Invariant: after a start of its own, or after the database was away, nothing is swept until every live edge had the time
to renew its lease.
"""

import asyncio
import logging
from dataclasses import dataclass

from libs.clock import Clock
from libs.errors import AppError
from libs.logs import Throttled, facts
from services.billing_ledger.handlers import LedgerHandlers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """Seconds: between rounds; of quiet after a start or an outage; after a lease's end; a hold's longest life."""

    interval_s: float = 5.0
    quiet_s: float = 60.0
    grace_s: float = 30.0
    max_age_s: float = 86_400.0


class Sweeper:
    def __init__(self, handlers: LedgerHandlers, clock: Clock, policy: SweepPolicy) -> None:
        self._handlers = handlers
        self._clock = clock
        self._policy = policy
        self._waiting = Throttled(logger)
        self._earliest_s = clock.monotonic_s() + policy.quiet_s
        self._last_round_ms = clock.now_ms()

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(self._policy.interval_s)

    async def round(self) -> int:
        """Sweeps if the time has come; returns how many holds were voided."""
        now_ms = self._clock.now_ms()
        if now_ms - self._last_round_ms > self._policy.quiet_s * 1000:
            # The machine slept, and the edges with it: their leases ended by the wall clock, not by their fault.
            self._earliest_s = self._clock.monotonic_s() + self._policy.quiet_s
        self._last_round_ms = now_ms
        if self._clock.monotonic_s() < self._earliest_s:
            return await self._look()
        return await self._sweep()

    async def _look(self) -> int:
        """While quiet, only finds out whether the database is there."""
        try:
            await self._handlers.credits("-")
        except AppError as error:
            self._stay_quiet(error)
        return 0

    async def _sweep(self) -> int:
        policy = self._policy
        try:
            swept = await self._handlers.sweep(grace_s=policy.grace_s, max_age_s=policy.max_age_s)
        except AppError as error:
            self._stay_quiet(error)
            return 0
        if swept:
            logger.warning("holds swept", extra=facts(holds=swept))
        return swept

    def _stay_quiet(self, error: AppError) -> None:
        self._earliest_s = self._clock.monotonic_s() + self._policy.quiet_s
        self._waiting.warning("no sweeping while the database is away", reason=error.reason)
