"""The consumer of `switchyard.usage.v1`: every event becomes a row, or goes to the dead-letter topic with a reason.

Owns nothing but the hand-over. Invariant: a batch counts as handled only after its rows are durable.
"""

import logging
from collections.abc import Sequence
from typing import Final

from libs.bus.port import Delivered, Rejected
from libs.bus.topics import USAGE
from libs.clock import Clock
from libs.logs import facts
from services.analytics import convert
from services.analytics.handlers import AnalyticsHandlers

logger = logging.getLogger(__name__)

TOPIC: Final = USAGE.name
GROUP: Final = "analytics"
MAX_BATCH: Final = 500


class UsageConsumer:
    """`handle` is the `Handler` of the event log."""

    def __init__(self, handlers: AnalyticsHandlers, clock: Clock) -> None:
        self._handlers = handlers
        self._clock = clock

    async def handle(self, records: Sequence[Delivered]) -> Sequence[Rejected]:
        rows, rejected = convert.rows_of(records, self._clock.now_ms())
        await self._handlers.record(rows)
        for rejection in rejected:
            delivered = records[rejection.index]
            place = {"partition": delivered.partition, "offset": delivered.offset}
            logger.warning("usage rejected", extra=facts(reason=rejection.reason, **place))
        return rejected
