"""Publishing to Kafka: idempotent, acknowledged by all in-sync replicas, few large batches.

Owns the producer and its replacement when it gives up. Invariant: `publish` returns only after the cluster has every
record, and a producer that failed once is never used again.
"""

import asyncio
import contextlib
import zlib
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
)

from libs.bus.port import Record
from libs.bus.stopping import is_cancelled

_BATCH_BYTES = 512 * 1024
_REQUEST_BYTES = 1024 * 1024
_REQUEST_TIMEOUT_MS = 10_000
_STOP_TIMEOUT_S = 5.0
_NEVER = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTopicError)
"""What the cluster answers to a record that it will never take."""


class KafkaProducer:
    """Makes aiokafka producers as they are needed.

    Args:
        timeout_s: after which an attempt to publish counts as failed.
    """

    def __init__(self, bootstrap_servers: str, *, client_id: str, timeout_s: float) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._client_id = client_id
        self._timeout_s = timeout_s
        self._current: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def publish(self, records: Sequence[Record]) -> None:
        """See the port."""
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._started()
                await _send(producer, records)
        except _NEVER as error:
            self._drop(producer)
            raise ValueError(f"Kafka does not take one of the records: {type(error).__name__}") from error
        except (KafkaError, OSError, AssertionError, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            self._drop(producer)
            raise ConnectionError(f"Kafka cannot be reached: {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Sends what is on its way, if the cluster takes it in time."""
        self._closed = True
        producer, self._current = self._current, None
        if producer is not None:
            self._end(_flush(producer))
        if self._ending:
            await asyncio.wait(self._ending)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._current is not None:
                return self._current
            if self._closed:
                raise ConnectionError("the event log is closed")
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap_servers,
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                max_batch_size=_BATCH_BYTES,
                max_request_size=_REQUEST_BYTES,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
            )
            try:
                await producer.start()
            except BaseException:
                self._end(_abort(producer))
                raise
            self._current = producer
            return producer

    def _drop(self, producer: AIOKafkaProducer | None) -> None:
        """An idempotent producer that lost a batch has lost count; only a new one starts afresh."""
        if producer is not None and producer is self._current:
            self._current = None
            self._end(_abort(producer))

    def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _send(producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
    """Sends records as ready batches with one future each: a fraction of what sending them singly costs."""
    counts: dict[str, int] = {}
    grouped: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in records:
        count = counts.get(record.topic)
        if count is None:
            count = counts[record.topic] = len(await producer.partitions_for(record.topic))
        grouped[record.topic, zlib.crc32(record.key.encode()) % count].append(record)
    sent: list[asyncio.Future[Any]] = []
    try:
        await asyncio.gather(*(_send_to(producer, topic, p, group, sent) for (topic, p), group in grouped.items()))
        await asyncio.gather(*sent)
    finally:
        for future in sent:
            future.add_done_callback(_mark_seen)


async def _send_to(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record], sent: "list[asyncio.Future[Any]]"
) -> None:
    batch = producer.create_batch()
    for record in records:
        arguments = {
            "timestamp": None,
            "key": record.key.encode(),
            "value": record.value,
            "headers": [(name, text.encode()) for name, text in record.headers.items()],
        }
        if batch.append(**arguments) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(**arguments)
    sent.append(await producer.send_batch(batch, topic, partition=partition))


def _mark_seen(future: "asyncio.Future[Any]") -> None:
    """Keeps asyncio from reporting a failure that whoever waited has been told of already."""
    if future.done() and not future.cancelled():
        future.exception()


async def _flush(producer: AIOKafkaProducer) -> None:
    """Ends a producer after it has sent what it holds, if it can in time."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await producer.stop()
    except (KafkaError, OSError):
        await _abort(producer)


async def _abort(producer: AIOKafkaProducer) -> None:
    """Ends a producer at once and fails what it holds.

    aiokafka has no way to do so: its `stop` waits until every batch is delivered, and an idempotent producer's batches
    never expire. Without this a producer that was replaced in an outage would go on sending after it.
    """
    # ruff: noqa: SLF001 (see above)
    producer._closed = True
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        await asyncio.wait({sender}, timeout=_STOP_TIMEOUT_S)
        _mark_seen(sender)
    waiting = producer._message_accumulator
    batches = {batch for queue in waiting._batches.values() for batch in queue} | waiting._pending_batches
    waiting._pending_batches |= batches  # each is removed from there when it fails, also those that wait for a retry
    waiting.fail_all(ProducerClosed())
    for batch in batches:
        _mark_seen(batch.future)
        _mark_seen(batch._drain_waiter)
    with contextlib.suppress(KafkaError, OSError):
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await producer.client.close()
