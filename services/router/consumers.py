"""What the router hears: how every attempt at every edge ended, and what routers counted in the day before.

Reads both topics without a group, so that each replica sees everything; goes back as far as something still says
something of now. Both are read at once and in any order, while plans are made. Invariant: a record that cannot be read
is skipped, never fatal.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError
from switchyard.events.v1.endpoint_health_recorded_pb2 import EndpointHealthRecorded
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded

from libs.bus.port import Delivered, EventLog
from libs.bus.topics import HEALTH, USAGE
from libs.clock import Clock
from libs.logs import Throttled
from services.router import convert_health
from services.router.core.health import REPLAY_S
from services.router.core.history import BUCKET_S, DAY, RECENT
from services.router.handlers import RouterHandlers

_AT_ONCE: Final = 10
"""Records of usage, between which plans get their turn: after a start there are hundreds of thousands."""
logger = logging.getLogger(__name__)


class UsageObserver:
    def __init__(self, handlers: RouterHandlers, event_log: EventLog, clock: Clock) -> None:
        self._handlers = handlers
        self._event_log = event_log
        self._clock = clock
        self._throttled = Throttled(logger, clock=clock)

    async def run(self) -> None:
        """Listens until cancelled."""
        since_ms = self._clock.now_ms() - REPLAY_S * 1000
        await self._event_log.observe(USAGE.name, self.observe, since_ms=since_ms)

    async def observe(self, batch: Sequence[Delivered]) -> None:
        for number, delivered in enumerate(batch, start=1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            event = UsageRecorded()
            try:
                event.ParseFromString(delivered.record.value)
            except DecodeError:
                self._throttled.warning("usage record cannot be read", offset=delivered.offset)
                continue
            self._handlers.learn(convert_health.outcomes_from_proto(event), convert_health.served_from_proto(event))


class HealthObserver:
    def __init__(self, handlers: RouterHandlers, event_log: EventLog, clock: Clock) -> None:
        self._handlers = handlers
        self._event_log = event_log
        self._clock = clock
        self._throttled = Throttled(logger, clock=clock)

    async def run(self) -> None:
        """Listens until cancelled."""
        since_ms = self._clock.now_ms() - DAY * BUCKET_S * 1000
        await self._event_log.observe(HEALTH.name, self.observe, since_ms=since_ms)

    async def observe(self, batch: Sequence[Delivered]) -> None:
        measured_from = self._clock.now_ms() // (BUCKET_S * 1000) - RECENT + 1
        for delivered in batch:
            await asyncio.sleep(0)
            message = EndpointHealthRecorded()
            try:
                message.ParseFromString(delivered.record.value)
                bucket = convert_health.bucket_from_proto(message, measured_from)
            except (DecodeError, ValueError) as error:
                self._throttled.warning(
                    "health record cannot be read", offset=delivered.offset, reason=str(error)[:200]
                )
                continue
            self._handlers.see(bucket.number, bucket.tallies)
