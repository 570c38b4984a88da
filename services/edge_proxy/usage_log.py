"""The edge's usage log: an event becomes a record in the spool, which forwards it to the event log.

Owns the topic and the headers. Does not forward. Invariant: the event id is the generation id.
"""

from typing import Final

from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded

from libs.bus.port import HEADER_EVENT_ID, HEADER_MESSAGE_TYPE, HEADER_PRODUCED_BY, HEADER_TRACEPARENT, Record
from libs.bus.spool import Spool
from libs.metrics import Metrics

USAGE_TOPIC: Final = "switchyard.usage.v1"
_MESSAGE_TYPE: Final = "switchyard.events.v1.UsageRecorded"


class SpooledUsageLog:
    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._spool = spool
        self._append_seconds = metrics.spool_append_seconds

    async def append(self, event: UsageRecorded, traceparent: str) -> None:
        headers = {
            HEADER_EVENT_ID: event.generation_id,
            HEADER_MESSAGE_TYPE: _MESSAGE_TYPE,
            HEADER_PRODUCED_BY: "edge_proxy",
            HEADER_TRACEPARENT: traceparent,
        }
        record = Record(USAGE_TOPIC, event.account_id, event.SerializeToString(), headers)
        with self._append_seconds.time():
            await self._spool.append(record)
