"""Consuming from Kafka: one session of a group member, or of an observer, with one aiokafka consumer.

Owns reading, rebalances, committing, and the suspicion that a consumer is stuck. Does not retry sessions: whoever runs
one starts the next. Invariant: an offset is committed only after its batch was delivered, by the member that did it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from libs.bus.delivery import ConsumedCount, Delivery, DeliveryPolicy, show
from libs.bus.port import Delivered, Observer, Record
from libs.bus.stopping import Stop
from libs.logs import facts

_POLL_MS = 200
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 3.0
_COMMIT_TIMEOUT_S = 15.0
_REVOKE_WAIT_S = 4.0  # at most; well below the session time-out of 10 s, after which the group goes on without us
_LOOK_INTERVAL_S = 10.0
_LOOK_TIMEOUT_S = 10.0
_OBSERVED_BATCH = 500

_log = logging.getLogger(__name__)

Publish = Callable[[Sequence[Record]], Awaitable[None]]
_Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class _Watch:
    """Notices a consumer that reads nothing although there is something: aiokafka can lose its way in an outage."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._next_look_s = time.monotonic() + _LOOK_INTERVAL_S
        self._behind: set[TopicPartition] = set()

    def saw_records(self) -> None:
        self._next_look_s = time.monotonic() + _LOOK_INTERVAL_S
        self._behind.clear()

    async def saw_nothing(self) -> None:
        """To be called while nothing comes.

        Raises:
            ConnectionError: the same partition was behind at two looks in a row.
            KafkaError: the cluster does not answer.
        """
        if time.monotonic() < self._next_look_s:
            return
        behind: set[TopicPartition] = set()
        assigned = self._consumer.assignment()
        async with asyncio.timeout(_LOOK_TIMEOUT_S):
            ends = await self._consumer.end_offsets(assigned) if assigned else {}
            for place, end in ends.items():
                with contextlib.suppress(IllegalStateError):  # lost to a rebalance meanwhile
                    if await self._consumer.position(place) < end:
                        behind.add(place)
        if behind & self._behind:
            raise ConnectionError(f"the consumer is stuck at {sorted(behind)}")
        self._behind = behind
        self._next_look_s = time.monotonic() + _LOOK_INTERVAL_S


class GroupSession(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One membership in a group, from joining to leaving."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        group: str,
        delivery: Delivery,
        stop: Stop,
        *,
        publish: Publish,
        max_batch: int,
        policy: DeliveryPolicy,
        on_consumed: ConsumedCount | None,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._group = group
        self._delivery = delivery
        self._stop = stop
        self._publish = publish
        self._max_batch = max_batch
        self._policy = policy
        self._on_consumed = on_consumed
        self._in_hand: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Consumes until told to stop.

        Raises:
            Stopped: told to stop while a batch waited for another attempt.
            KafkaError, OSError: this consumer is of no use any more.
        """
        self._consumer.subscribe([self._topic], listener=self)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._consumer.start()
            watch = _Watch(self._consumer)
            while not self._stop.is_set():
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=self._max_batch)
                if not fetched:
                    await watch.saw_nothing()
                else:
                    watch.saw_records()
                    await self._take_in_hand(fetched)
        finally:
            await stop_consumer(self._consumer)

    async def _take_in_hand(self, fetched: _Fetched) -> None:
        """Delivers and commits in a task of its own, which a rebalance may end."""
        task = asyncio.create_task(self._deliver(fetched))
        self._in_hand = task
        try:
            await asyncio.wait({task})
        finally:
            self._in_hand = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _deliver(self, fetched: _Fetched) -> None:
        batch = [_delivered(record) for records in fetched.values() for record in records]
        dead = await self._delivery.deliver(batch)
        await self._publish_dead(dead)
        try:
            async with asyncio.timeout(_COMMIT_TIMEOUT_S):
                await self._consumer.commit({place: records[-1].offset + 1 for place, records in fetched.items()})
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions belong to another member by now, which gets the batch again.
            _log.warning("batch was handled but not committed", extra=facts(group=self._group, error=repr(error)[:300]))
            return
        if self._on_consumed is not None:
            self._on_consumed(self._group, len(batch) - len(dead), len(dead))

    async def _publish_dead(self, dead: Sequence[Record]) -> None:
        if not dead:
            return
        for delay_s in self._policy.backoff.delays():
            try:
                await self._publish(dead)
            except OSError as error:
                _log.warning("dead letters wait", extra=facts(group=self._group, error=repr(error)[:300]))
            else:
                return
            await self._stop.pause(delay_s)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Lets the batch in hand end and be committed; after a while drops it, uncommitted.

        Between `getmany` and here nothing else runs: what it returned is in hand.
        """
        task = self._in_hand
        if task is None:
            return
        await asyncio.wait({task}, timeout=min(self._policy.finish_s, _REVOKE_WAIT_S))
        if not task.done():
            _log.warning("rebalance: batch in hand dropped", extra=facts(group=self._group, partitions=len(revoked)))
            task.cancel()
            await asyncio.wait({task})

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        _log.info("partitions assigned", extra=facts(group=self._group, partitions=len(assigned)))


class ObserverSession:
    """Reads all partitions of a topic without a group.

    Args:
        partitions: all partitions of the topic.
        places: where to go on, by partition; filled and kept up to date, so that the next session continues.
        since_ms: where to begin while `places` is empty.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Sequence[TopicPartition],
        observer: Observer,
        stop: Stop,
        places: dict[TopicPartition, int],
        since_ms: int,
        policy: DeliveryPolicy,
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._observer = observer
        self._stop = stop
        self._places = places
        self._since_ms = since_ms
        self._policy = policy

    async def run(self) -> None:
        """Observes until told to stop; raises as `GroupSession.run` does."""
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._consumer.start()
                await self._seek()
            watch = _Watch(self._consumer)
            while not self._stop.is_set():
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_OBSERVED_BATCH)
                if not fetched:
                    await watch.saw_nothing()
                    continue
                watch.saw_records()
                batch = [_delivered(record) for records in fetched.values() for record in records]
                await show(self._observer, batch, self._stop, self._policy)
                self._places.update({place: records[-1].offset + 1 for place, records in fetched.items()})
        finally:
            await stop_consumer(self._consumer)

    async def _seek(self) -> None:
        self._consumer.assign(self._partitions)
        fresh = [place for place in self._partitions if place not in self._places]
        if fresh:
            # Ends first: what arrives in between is then either found or read.
            ends = await self._consumer.end_offsets(fresh)
            found = await self._consumer.offsets_for_times(dict.fromkeys(fresh, self._since_ms))
            for place in fresh:
                first = found.get(place)
                self._places[place] = ends[place] if first is None else first.offset
        for place in self._partitions:
            self._consumer.seek(place, self._places[place])


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group, if the cluster lets us do so in time; ends what runs in the background in any case.

    aiokafka's `stop` raises a `CancelledError` of its own making when a fetch is under way, and leaves the rest undone.
    """
    stopping = asyncio.create_task(consumer.stop())
    try:
        await asyncio.wait({stopping}, timeout=_STOP_TIMEOUT_S)
    finally:
        if not (stopping.done() and not stopping.cancelled() and stopping.exception() is None):
            stopping.cancel()
            await _end_background(consumer, stopping)


async def _end_background(consumer: AIOKafkaConsumer, stopping: "asyncio.Task[None]") -> None:
    # ruff: noqa: SLF001 (aiokafka has no other way to end a consumer that is stuck)
    tasks = {stopping}
    for part in (consumer._coordinator, consumer._fetcher):
        tasks |= {task for task in vars(part).values() if isinstance(task, asyncio.Task)} if part is not None else set()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # marks it as seen
    with contextlib.suppress(KafkaError, OSError):
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await consumer._client.close()


def _delivered(record: ConsumerRecord) -> Delivered:
    headers = {name: text.decode(errors="replace") for name, text in record.headers}
    key = record.key.decode(errors="replace") if record.key is not None else ""
    return Delivered(
        Record(record.topic, key, record.value or b"", headers), record.partition, record.offset, record.timestamp
    )
