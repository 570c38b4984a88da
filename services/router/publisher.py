"""What the router tells other routers, and its own next life: what it counted in five minutes that are over.

Owns when a bucket is published and the records' headers. Does not count. Invariant: of what somebody else published as
fully nothing is published again, so that many replicas write little more than one.
"""

import asyncio
import logging
from typing import Final

from libs.bus.port import HEADER_EVENT_ID, HEADER_MESSAGE_TYPE, HEADER_PRODUCED_BY, EventLog, Record
from libs.bus.topics import HEALTH
from libs.clock import Clock
from libs.logs import Throttled
from libs.metrics import Metrics
from services.router import convert_health
from services.router.core.health import REPLAY_S
from services.router.core.history import BUCKET_S
from services.router.handlers import RouterHandlers

GRACE_S: Final = 20
"""After the end of a bucket: what ended in it may be on its way."""
SPREAD_S: Final = 20
"""Over which replicas spread, so that the later ones see what the first one wrote."""
CATCH_UP_S: Final = 60
"""After the start: what is read again should be read by then."""
_INTERVAL_S: Final = 1.0
_RETRY_S: Final = 5
logger = logging.getLogger(__name__)


class HealthPublisher:
    """Also lets time pass for health, so that plans seldom have to.

    Args:
        router_id: differs between routers and between their lives.
        luck: from 0 to 1; differs between routers.
    """

    def __init__(
        self,
        handlers: RouterHandlers,
        event_log: EventLog,
        clock: Clock,
        metrics: Metrics,
        *,
        router_id: str,
        luck: float,
    ) -> None:
        self._handlers = handlers
        self._event_log = event_log
        self._clock = clock
        self._metrics = metrics
        self._router_id = router_id
        self._delay_s = GRACE_S + round(SPREAD_S * luck)
        started_s = clock.now_ms() // 1000
        self._not_before_s = started_s + CATCH_UP_S
        self._next = -((REPLAY_S - started_s) // BUCKET_S)
        """The first bucket of which everything is read."""
        self._throttled = Throttled(logger, clock=clock)

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Looks once."""
        self._show()
        now_s = self._clock.now_ms() // 1000
        while now_s >= self._not_before_s and (self._next + 1) * BUCKET_S + self._delay_s <= now_s:
            try:
                await self._publish(self._next)
            except OSError as error:
                self._throttled.warning("health waits for the event log", reason=type(error).__name__)
                self._not_before_s = now_s + _RETRY_S
                return
            self._next += 1

    async def _publish(self, bucket: int) -> None:
        tallies = self._handlers.unseen(bucket)
        for message in convert_health.bucket_to_proto(bucket, tallies, self._router_id):
            headers = {
                HEADER_EVENT_ID: message.snapshot_id,
                HEADER_MESSAGE_TYPE: HEALTH.message,
                HEADER_PRODUCED_BY: "router",
            }
            await self._event_log.publish([Record(HEALTH.name, message.bucket, message.SerializeToString(), headers)])

    def _show(self) -> None:
        status = self._handlers.health_status()
        for standing, count in status.by_standing.items():
            self._metrics.endpoints_behind.labels(standing).set(count)
        self._metrics.credentials_cooling.set(status.cooling)
        self._metrics.endpoints_known.set(status.endpoints)
        self._metrics.sticky_sessions.set(status.sessions)
