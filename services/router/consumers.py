"""What the router hears: how every attempt at every edge ended.

Reads the usage topic without a group, so that each replica sees everything; starts at most one window in the past, so
that a restarted router knows what the others know. Invariant: a record that cannot be read is skipped, never fatal.
"""

import logging
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded

from libs.bus.port import Delivered, EventLog
from libs.bus.topics import USAGE
from libs.clock import Clock
from libs.logs import Throttled
from services.router import convert
from services.router.core.health import WINDOW_S
from services.router.handlers import RouterHandlers

logger = logging.getLogger(__name__)


class UsageObserver:
    def __init__(self, handlers: RouterHandlers, event_log: EventLog, clock: Clock) -> None:
        self._handlers = handlers
        self._event_log = event_log
        self._clock = clock
        self._throttled = Throttled(logger, clock=clock)

    async def run(self) -> None:
        """Listens until cancelled."""
        since_ms = self._clock.now_ms() - WINDOW_S * 1000
        await self._event_log.observe(USAGE.name, self.observe, since_ms=since_ms)

    async def observe(self, batch: Sequence[Delivered]) -> None:
        for delivered in batch:
            event = UsageRecorded()
            try:
                event.ParseFromString(delivered.record.value)
            except DecodeError:
                self._throttled.warning("usage record cannot be read", offset=delivered.offset)
                continue
            self._handlers.learn(convert.outcomes_from_proto(event))
