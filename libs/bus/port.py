"""The event log as services see it: publish records, consume them in batches, never lose one.

Owns the contract that `memory`, `postgres` and `kafka` keep, and that one conformance suite proves. Does not know what
a record means. Invariant: a record counts as consumed by a group only after its handler returned for it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

HEADER_EVENT_ID = "event-id"
HEADER_MESSAGE_TYPE = "message-type"
HEADER_TRACEPARENT = "traceparent"
HEADER_PRODUCED_BY = "produced-by"
HEADER_DEAD_REASON = "dead-reason"


@dataclass(frozen=True, slots=True)
class Record:
    """One event on its way to a topic.

    Attributes:
        topic: a topic of proto/topics.yaml, or the dead-letter topic of one of its groups.
        key: decides the partition, so events of one key keep their order (not across re-deliveries).
        value: a serialized protobuf message.
        headers: text pairs; `event-id` is always among them.
    """

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def event_id(self) -> str:
        return self.headers.get(HEADER_EVENT_ID, "")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A record as a consumer gets it; the place is unique within the topic."""

    record: Record
    partition: int
    offset: int
    published_at_ms: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a batch that can never be handled, and why; it goes to the group's dead-letter topic."""

    index: int
    """Position in the batch that was handed over."""
    reason: str


Handler = Callable[[Sequence[Delivered]], Awaitable[Sequence[Rejected]]]
"""Handles a batch; returns what it rejects. Everything else took effect, durably, when it returns.

A batch may come again after a crash or a rebalance: effects are idempotent by event id. An exception means that
nothing of the batch may be counted as handled: it is delivered again after a back-off; when it keeps failing for a
reason that is not transient, the batch is split until the culprit stands alone and goes to the dead-letter topic.
"""

Observer = Callable[[Sequence[Delivered]], Awaitable[None]]
"""Sees every record of a topic, without a group and without effect on anyone else."""

TransientTest = Callable[[BaseException], bool]
"""Whether an exception of a handler says that the world is broken (database away) rather than the record."""


def dead_letter_topic(topic: str, group: str) -> str:
    return f"{topic}.{group}.dead"


class EventLog(Protocol):
    """One event log. Every method may be called concurrently; `close` ends them all."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Appends records durably (acknowledged by all replicas); returns when that is so.

        Raises:
            OSError: the log cannot be reached now; nothing, some or all of the records may have been appended.
        """
        ...

    async def consume(
        self,
        topic: str,
        group: str,
        handler: Handler,
        *,
        max_batch: int = 500,
        is_transient: TransientTest | None = None,
    ) -> None:
        """Feeds a group from its last committed place (at first: the earliest record) until cancelled.

        Survives any outage of the log by retrying with back-off. Several processes of one group share the partitions.
        On cancellation the batch in hand is finished and committed if the handler ends in time.
        """
        ...

    async def observe(self, topic: str, observer: Observer, *, since_ms: int) -> None:
        """Shows every record published at or after `since_ms`, of all partitions, until cancelled; commits nothing."""
        ...

    async def lag(self, topic: str, group: str) -> int:
        """Records of the topic that the group has not committed yet.

        Raises:
            OSError: the log cannot be reached now.
        """
        ...

    async def close(self) -> None: ...
