"""The use case of broadcast: a batch of generations reaches the destination, or each is refused with a reason.

Owns parcelling, patience and giving up. Does not own the payload (core does) or HTTP. Invariant: a batch ends within
`give_up_after_s`, whatever the destination does.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.clock import Clock
from libs.logs import Throttled
from libs.metrics import Metrics
from libs.retry import Backoff
from services.broadcast.core.delivery import Verdict, parcels, verdict_on, wait_s
from services.broadcast.core.generation import Generation
from services.broadcast.core.otlp import count_spans, payload_of, spans_of
from services.broadcast.ports import Destination, DestinationUnreachableError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: per request, per batch, and between tries."""

    request_timeout_s: float = 10.0
    attempts: int = 5
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=2.0, cap_s=30.0))
    max_delay_s: float = 30.0
    give_up_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Trace:
    """A generation to deliver; `traceparent` is that of the work of delivering it, empty if it is in no trace."""

    generation: Generation
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What goes in one request: traces, and their places in the batch."""

    places: Sequence[int]
    traces: Sequence[Trace]

    def halves(self) -> tuple["_Parcel", "_Parcel"]:
        middle = len(self.places) // 2
        return (
            _Parcel(self.places[:middle], self.traces[:middle]),
            _Parcel(self.places[middle:], self.traces[middle:]),
        )


class BroadcastHandlers:
    def __init__(
        self, destination: Destination, patience: Patience, *, service_name: str, clock: Clock, metrics: Metrics
    ) -> None:
        self._destination = destination
        self._patience = patience
        self._service_name = service_name
        self._clock = clock
        self._delivered = metrics.deliveries.labels("delivered")
        self._retried = metrics.deliveries.labels("retried")
        self._dead = metrics.deliveries.labels("dead")
        self._throttled = Throttled(logger, clock=clock)

    async def deliver(self, traces: Sequence[Trace]) -> dict[int, str]:
        """Delivers a batch; returns the places of those that were refused, with reasons. The others have arrived."""
        deadline_s = self._clock.monotonic_s() + self._patience.give_up_after_s
        refused: dict[int, str] = {}
        async with asyncio.TaskGroup() as group:
            for places in parcels(count_spans(trace.generation) for trace in traces):
                parcel = _Parcel(places, [traces[place] for place in places])
                group.create_task(self._deliver(parcel, deadline_s, refused))
                await asyncio.sleep(0)  # making spans of one parcel is as long as the loop should be held
        return refused

    async def _deliver(self, parcel: _Parcel, deadline_s: float, refused: dict[int, str]) -> None:
        verdict, reason = await self._send(parcel, deadline_s)
        if verdict is Verdict.DELIVERED:
            self._delivered.inc(len(parcel.places))
        elif verdict is Verdict.DIVIDE and len(parcel.places) > 1:
            for half in parcel.halves():
                await self._deliver(half, deadline_s, refused)
        else:
            self._throttled.warning("destination refused traces", reason=reason, traces=len(parcel.places))
            self._dead.inc(len(parcel.places))
            refused.update(dict.fromkeys(parcel.places, reason))

    async def _send(self, parcel: _Parcel, deadline_s: float) -> tuple[Verdict, str]:
        """Sends until there is an answer that stands, or patience ends."""
        patience, clock = self._patience, self._clock
        payload = payload_of((span for t in parcel.traces for span in spans_of(t.generation)), self._service_name)
        delays = patience.backoff.delays()
        reason = "no time was left"
        for attempt in range(1, patience.attempts + 1):
            left_s = deadline_s - clock.monotonic_s()
            if left_s <= 0:
                break
            retry_after: str | None = None
            try:
                answer = await self._destination.send(
                    payload, traceparent=parcel.traces[0].traceparent, timeout_s=min(patience.request_timeout_s, left_s)
                )
            except DestinationUnreachableError as error:
                reason = str(error)
            else:
                reason, retry_after = f"HTTP {answer.status}", answer.retry_after
                verdict = verdict_on(answer.status)
                if verdict is not Verdict.RETRY:
                    return verdict, f"refused: {reason}"
            pause_s = wait_s(next(delays), retry_after, clock.now_ms(), patience.max_delay_s)
            if attempt == patience.attempts or clock.monotonic_s() + pause_s >= deadline_s:
                break
            self._retried.inc(len(parcel.places))
            self._throttled.warning("destination does not take traces now", reason=reason)
            await asyncio.sleep(pause_s)
        return Verdict.REFUSED, f"gave up: {reason}"
