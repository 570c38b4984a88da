"""The consumer of `switchyard.usage.v1`: every event settles, or goes to the dead-letter topic with a reason.

Owns nothing but the hand-over. Invariant: a batch counts as handled only after its settlement is durable.
"""

import logging
from collections.abc import Sequence

from libs.bus.port import Delivered, Rejected
from libs.clock import Clock
from libs.logs import facts
from services.billing_ledger import convert
from services.billing_ledger.handlers import LedgerHandlers

logger = logging.getLogger(__name__)

TOPIC = "switchyard.usage.v1"
GROUP = "billing_ledger"
MAX_BATCH = 500
"""Larger ones settle no faster, and make holds of the same account wait for them."""


class UsageConsumer:
    """`handle` is the `Handler` of the event log."""

    def __init__(self, handlers: LedgerHandlers, clock: Clock) -> None:
        self._handlers = handlers
        self._clock = clock

    async def handle(self, records: Sequence[Delivered]) -> Sequence[Rejected]:
        batch, rejected = convert.settlement_batch(records, self._clock.now_ms())
        await self._handlers.settle_batch(batch)
        for rejection in rejected:
            delivered = records[rejection.index]
            place = {"partition": delivered.partition, "offset": delivered.offset}
            logger.warning("usage rejected", extra=facts(reason=rejection.reason, **place))
        return rejected
