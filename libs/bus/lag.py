"""Watches how far a consumer group is behind, for the operator's metrics.

Owns the interval. Decides nothing. Invariant: an event log that is away is not an error here; consumers report it.
"""

import asyncio
import logging
from typing import Final

from libs.bus.port import EventLog
from libs.logs import facts
from libs.metrics import Metrics

_INTERVAL_S: Final = 10.0
logger = logging.getLogger(__name__)


async def watch_lag(event_log: EventLog, topic: str, group: str, metrics: Metrics) -> None:
    """Sets the gauge of the group until cancelled; what could not be asked keeps its last value."""
    gauge = metrics.consumer_lag.labels(group)
    while True:
        await asyncio.sleep(_INTERVAL_S)
        try:
            gauge.set(await event_log.lag(topic, group))
        except OSError:
            continue
        except Exception as error:  # noqa: BLE001 (a loop that must outlive whatever happens to it)
            logger.warning("lag not known", extra=facts(group=group, reason=repr(error)))
