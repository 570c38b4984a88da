"""How a batch reaches a handler: retry, bisect, dead letters; the same for every event log.

Owns the decisions between "a batch was read" and "its place may be committed". Does not read, publish or commit.
Invariant: `deliver` returns only when each record of the batch was handled, or is among the dead letters it returns.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libs.bus.port import HEADER_DEAD_REASON, Delivered, Handler, Observer, Record, TransientTest, dead_letter_topic
from libs.bus.stopping import Stop
from libs.errors import AppError, Kind
from libs.logs import Throttled, facts
from libs.retry import Backoff

HEADER_DEAD_TOPIC = "dead-topic"
HEADER_DEAD_PARTITION = "dead-partition"
HEADER_DEAD_OFFSET = "dead-offset"

_MAX_REASON_CHARACTERS = 500
_TRANSIENT_KINDS = frozenset({Kind.NO_ROUTE, Kind.OVERLOADED, Kind.TIMEOUT, Kind.RATE_LIMITED, Kind.UPSTREAM})
_BACKOFF = Backoff(first_s=0.1, cap_s=10.0)

_log = logging.getLogger(__name__)

ConsumedCount = Callable[[str, int, int], None]
"""Called with group, records handled, records dead, after their place was committed."""


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How patient a consumer is.

    Attributes:
        backoff: delays between attempts, and between attempts to reach the log.
        attempts: tries of a whole batch before it is split, and of a single record before it is given up.
        finish_s: how long a batch in hand may take to end after the consumer was told to stop.
    """

    backoff: Backoff = _BACKOFF
    attempts: int = 3
    finish_s: float = 5.0


def is_transient_by_default(error: BaseException) -> bool:
    """Failures of connections, and errors of ours that say that something is away."""
    return isinstance(error, OSError) or (isinstance(error, AppError) and error.kind in _TRANSIENT_KINDS)


def dead_letter(delivered: Delivered, group: str, reason: str) -> Record:
    """The record as it goes to the group's dead-letter topic: value and key untouched, its old place in headers."""
    record = delivered.record
    headers = {
        **record.headers,
        HEADER_DEAD_REASON: reason[:_MAX_REASON_CHARACTERS],
        HEADER_DEAD_TOPIC: record.topic,
        HEADER_DEAD_PARTITION: str(delivered.partition),
        HEADER_DEAD_OFFSET: str(delivered.offset),
    }
    return Record(dead_letter_topic(record.topic, group), record.key, record.value, headers)


class Delivery:
    """Delivers batches of one topic to one group's handler."""

    def __init__(
        self,
        group: str,
        handler: Handler,
        stop: Stop,
        *,
        is_transient: TransientTest | None,
        policy: DeliveryPolicy,
    ) -> None:
        self._group = group
        self._handler = handler
        self._stop = stop
        self._is_transient = is_transient or is_transient_by_default
        self._policy = policy
        self._waiting_log = Throttled(_log)

    async def deliver(self, batch: Sequence[Delivered]) -> list[Record]:
        """Returns the dead letters of the batch; everything else took effect.

        Raises:
            Stopped: told to stop while an attempt waited for its turn; nothing may be committed.
        """
        started_s = time.monotonic()
        dead: list[Record] = []
        parts = [(batch, self._policy.attempts)]
        while parts:
            part, attempts = parts.pop()
            outcome = await self._attempt(part, attempts if len(part) > 1 else self._policy.attempts)
            if not isinstance(outcome, Exception):
                dead.extend(outcome)
            elif len(part) == 1:
                reason = reason_of(outcome)
                _log.error("record is dead", exc_info=outcome, extra=facts(group=self._group, **place_of(part[0])))
                dead.append(dead_letter(part[0], self._group, reason))
            else:
                middle = len(part) // 2
                parts.append((part[middle:], 1))
                parts.append((part[:middle], 1))
        _log.debug(
            "consumed",
            extra=facts(
                group=self._group,
                topic=batch[0].record.topic,
                records=len(batch),
                dead=len(dead),
                elapsed_ms=round((time.monotonic() - started_s) * 1000, 1),
            ),
        )
        return dead

    async def _attempt(self, part: Sequence[Delivered], attempts: int) -> list[Record] | Exception:
        """Dead letters of what the handler rejected, or the error that persists."""
        failures = 0
        for delay_s in self._policy.backoff.delays():
            try:
                rejected = await self._handler(part)
                return [self._rejected(part, r.index, r.reason) for r in rejected]
            except Exception as error:  # noqa: BLE001 (a consumer loop: whatever a handler raises is decided here)
                if not self._is_transient(error):
                    failures += 1
                    if failures >= attempts:
                        return error
                self._waiting_log.warning(
                    "handler failed, batch waits", group=self._group, records=len(part), error=reason_of(error)
                )
            await self._stop.pause(delay_s)
        raise AssertionError("delays never end")

    def _rejected(self, part: Sequence[Delivered], index: int, reason: str) -> Record:
        if not 0 <= index < len(part):
            raise ValueError(f"handler rejected index {index} of a batch of {len(part)}")
        return dead_letter(part[index], self._group, reason)


async def show(observer: Observer, batch: Sequence[Delivered], stop: Stop, policy: DeliveryPolicy) -> None:
    """Shows a batch to an observer; one that keeps failing misses it, for nothing depends on an observer.

    Raises:
        Stopped: told to stop between attempts.
    """
    for attempt, delay_s in enumerate(policy.backoff.delays(), start=1):
        try:
            await observer(batch)
        except Exception:  # noqa: BLE001 (a consumer loop)
            _log.exception("observer failed", extra=facts(records=len(batch), attempt=attempt))
            if attempt >= policy.attempts:
                return
        else:
            return
        await stop.pause(delay_s)


def reason_of(error: BaseException) -> str:
    """What may be said of an error in a header or a log line: our stable reason, else only the type's name."""
    return error.reason if isinstance(error, AppError) else type(error).__name__


def place_of(delivered: Delivered) -> dict[str, object]:
    return {
        "topic": delivered.record.topic,
        "partition": delivered.partition,
        "offset": delivered.offset,
        "event_id": delivered.record.event_id,
    }
