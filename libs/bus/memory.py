"""The event log in memory: for tests, and for nothing that must survive.

Owns partitions, group offsets and dead letters of one process. Invariant: behaves as the port says, so that a service
tested with it works with the others. Keeps every record for as long as it lives.
"""

import asyncio
import copy
import zlib
from collections import defaultdict
from collections.abc import Sequence

from libs.bus.delivery import ConsumedCount, Delivery, DeliveryPolicy, show
from libs.bus.port import Delivered, Handler, Observer, Record, TransientTest
from libs.bus.stopping import Loops, Stop, keep_going
from libs.clock import Clock, SystemClock


class _Group:
    """Committed offsets of a group, and the partitions that are in some consumer's hand."""

    def __init__(self, partitions: int) -> None:
        self.committed = [0] * partitions
        self.busy: set[int] = set()


class MemoryEventLog:
    """An `EventLog` that a test can also look into and take down."""

    def __init__(
        self,
        *,
        partitions: int = 4,
        clock: Clock | None = None,
        policy: DeliveryPolicy | None = None,
        on_consumed: ConsumedCount | None = None,
    ) -> None:
        self._partitions = partitions
        self._clock = clock or SystemClock()
        self._policy = policy or DeliveryPolicy()
        self._on_consumed = on_consumed
        self._topics: dict[str, list[list[Delivered]]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._wakes: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._loops = Loops(self._policy.finish_s)
        self._up = asyncio.Event()
        self._up.set()

    def another(self) -> "MemoryEventLog":
        """A second view of the same records, as another process would have; closing it does not close this one."""
        other = copy.copy(self)
        other._loops = Loops(self._policy.finish_s)  # noqa: SLF001 (of our own class)
        return other

    def go_down(self) -> None:
        """From now on publishing fails and consumers see nothing, until `come_back`."""
        self._up.clear()

    def come_back(self) -> None:
        self._up.set()
        for topic in list(self._wakes):
            self._wake(topic)

    def records(self, topic: str) -> list[Record]:
        """Everything that was published to a topic, partition by partition."""
        return [delivered.record for log in self._topics.get(topic, []) for delivered in log]

    async def publish(self, records: Sequence[Record]) -> None:
        if not self._up.is_set():
            raise ConnectionError("the event log is down")
        now_ms = self._clock.now_ms()
        for record in records:
            logs = self._logs(record.topic)
            partition = zlib.crc32(record.key.encode()) % self._partitions
            logs[partition].append(Delivered(record, partition, len(logs[partition]), now_ms))
        for topic in {record.topic for record in records}:
            self._wake(topic)

    async def consume(
        self,
        topic: str,
        group: str,
        handler: Handler,
        *,
        max_batch: int = 500,
        is_transient: TransientTest | None = None,
    ) -> None:
        async def body(stop: Stop) -> None:
            delivery = Delivery(group, handler, stop, is_transient=is_transient, policy=self._policy)
            wake = stop.wakes(asyncio.Event())

            async def session() -> None:
                await self._consume(topic, group, delivery, stop, wake, max_batch)

            await keep_going(session, stop, self._policy.backoff, topic)

        await self._loops.run(body)

    async def _consume(
        self, topic: str, group_name: str, delivery: Delivery, stop: Stop, wake: asyncio.Event, max_batch: int
    ) -> None:
        group = self._group(topic, group_name)
        self._wakes[topic].add(wake)
        try:
            while not stop.is_set():
                wake.clear()
                batch = self._claim(topic, group, max_batch)
                if not batch:
                    await wake.wait()
                    continue
                claimed = {delivered.partition for delivered in batch}
                try:
                    dead = await delivery.deliver(batch)
                    await self._publish_dead(dead, stop)
                    for delivered in batch:
                        group.committed[delivered.partition] = delivered.offset + 1
                finally:
                    group.busy -= claimed
                    self._wake(topic)
                if self._on_consumed is not None:
                    self._on_consumed(group_name, len(batch) - len(dead), len(dead))
        finally:
            self._wakes[topic].discard(wake)

    def _claim(self, topic: str, group: _Group, max_batch: int) -> list[Delivered]:
        batch: list[Delivered] = []
        if not self._up.is_set():
            return batch
        for partition, log in enumerate(self._logs(topic)):
            if partition in group.busy or len(batch) >= max_batch:
                continue
            start = group.committed[partition]
            pending = log[start : start + max_batch - len(batch)]
            if pending:
                group.busy.add(partition)
                batch.extend(pending)
        return batch

    async def _publish_dead(self, dead: Sequence[Record], stop: Stop) -> None:
        delays = self._policy.backoff.delays()
        while dead:
            try:
                await self.publish(dead)
            except OSError:
                await stop.pause(next(delays))
            else:
                return

    async def observe(self, topic: str, observer: Observer, *, since_ms: int) -> None:
        async def body(stop: Stop) -> None:
            positions = [0] * self._partitions
            wake = stop.wakes(asyncio.Event())
            self._wakes[topic].add(wake)
            try:
                while not stop.is_set():
                    wake.clear()
                    batch: list[Delivered] = []
                    for partition, log in enumerate(self._logs(topic)):
                        if self._up.is_set():
                            batch.extend(d for d in log[positions[partition] :] if d.published_at_ms >= since_ms)
                            positions[partition] = len(log)
                    if batch:
                        await show(observer, batch, stop, self._policy)
                    else:
                        await wake.wait()
            finally:
                self._wakes[topic].discard(wake)

        await self._loops.run(body)

    async def lag(self, topic: str, group: str) -> int:
        if not self._up.is_set():
            raise ConnectionError("the event log is down")
        committed = self._group(topic, group).committed
        return sum(len(log) - done for log, done in zip(self._logs(topic), committed, strict=True))

    async def close(self) -> None:
        await self._loops.close()

    def _logs(self, topic: str) -> list[list[Delivered]]:
        return self._topics.setdefault(topic, [[] for _ in range(self._partitions)])

    def _group(self, topic: str, group: str) -> _Group:
        return self._groups.setdefault((topic, group), _Group(self._partitions))

    def _wake(self, topic: str) -> None:
        for wake in self._wakes[topic]:
            wake.set()
