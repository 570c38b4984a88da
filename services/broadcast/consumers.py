"""The consumer of `switchyard.usage.v1`: every event reaches the destination, or the dead-letter topic with a reason.

Owns nothing but the hand-over. Invariant: without a destination records are passed over unread.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.trace import Span, Tracer

from libs.bus.port import HEADER_TRACEPARENT, Delivered, Rejected
from libs.bus.topics import USAGE
from libs.bus.tracing import mark_rejected, record_spans
from libs.logs import facts
from libs.traceparent import format_traceparent, parse_traceparent
from services.broadcast import convert
from services.broadcast.handlers import BroadcastHandlers, Trace

logger = logging.getLogger(__name__)

TOPIC: Final = USAGE.name
GROUP: Final = "broadcast"
MAX_BATCH: Final = 500


class UsageConsumer:
    """`handle` is the `Handler` of the event log."""

    def __init__(self, handlers: BroadcastHandlers | None, tracer: Tracer | None = None) -> None:
        self._handlers = handlers
        self._tracer = tracer

    async def handle(self, records: Sequence[Delivered]) -> Sequence[Rejected]:
        if self._handlers is None:
            return ()
        if self._tracer is None:
            return await self._deliver(self._handlers, records, {})
        with record_spans(self._tracer, "broadcast deliver", records) as spans:
            rejected = await self._deliver(self._handlers, records, dict(enumerate(spans)))
            mark_rejected(spans, rejected)
        return rejected

    async def _deliver(
        self, handlers: BroadcastHandlers, records: Sequence[Delivered], spans: Mapping[int, Span]
    ) -> list[Rejected]:
        generations, rejected = convert.generations_of(records)
        indexes = list(generations)
        traces = [Trace(generations[index], _traceparent(records[index], spans.get(index))) for index in indexes]
        refused = await handlers.deliver(traces)
        rejected += [Rejected(indexes[place], reason) for place, reason in sorted(refused.items())]
        if rejected:
            logger.warning("traces not delivered", extra=facts(traces=len(rejected), first_reason=rejected[0].reason))
        return rejected


def _traceparent(delivered: Delivered, span: Span | None) -> str:
    """Where the delivery stands in the request's trace; empty if nowhere."""
    context = (
        span.get_span_context()
        if span is not None
        else parse_traceparent(delivered.record.headers.get(HEADER_TRACEPARENT))
    )
    return format_traceparent(context) if context is not None else ""
