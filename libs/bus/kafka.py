"""The event log in Apache Kafka: the port, topics and lag.

Publishing is `kafka_producer`, consuming `kafka_consumer`. Does not own the cluster. Invariant: nothing here raises for
an outage but `ConnectionError`, and nothing gives up because of one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IncompatibleBrokerVersion,
    InvalidTopicError,
    KafkaError,
    NotCoordinatorForGroupError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from libs.bus.delivery import ConsumedCount, Delivery, DeliveryPolicy
from libs.bus.kafka_consumer import GroupSession, ObserverSession
from libs.bus.kafka_producer import KafkaProducer
from libs.bus.port import Handler, Observer, Record, TransientTest
from libs.bus.stopping import Loops, Stop, keep_going
from libs.bus.topics import TopicSpec
from libs.logs import Throttled, facts
from libs.retry import Backoff

_REQUEST_TIMEOUT_MS = 10_000
_ADMIN_TIMEOUT_S = 30.0
_HEARTBEAT_INTERVAL_MS = 1000  # how soon a member hears that another one joined
_OBSERVER_BACKOFF = Backoff(first_s=0.1, cap_s=2.0)
"""What is observed is about now: it is of no use after a long pause."""
_FINAL = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidTopicError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
)
"""What no patience changes."""

_log = logging.getLogger(__name__)


class KafkaEventLog:
    """An `EventLog` on a Kafka cluster. Topics exist before they are used: see `ensure_topics`.

    Args:
        bootstrap_servers: `host:port` list, separated by commas.
        client_id: shown in the brokers' logs; the service's name.
        replication_factor: copies of topics that we create.
        publish_timeout_s: after which an attempt to publish counts as failed and a new producer is made.
        on_consumed: counts what groups have handled.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str,
        replication_factor: int = 1,
        publish_timeout_s: float = 15.0,
        policy: DeliveryPolicy | None = None,
        on_consumed: ConsumedCount | None = None,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._client_id = client_id
        self._replication_factor = replication_factor
        self._policy = policy or DeliveryPolicy()
        self._on_consumed = on_consumed
        self._loops = Loops(self._policy.finish_s)
        self._producer = KafkaProducer(bootstrap_servers, client_id=client_id, timeout_s=publish_timeout_s)

    async def publish(self, records: Sequence[Record]) -> None:
        if records:
            await self._producer.publish(records)

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

            async def session() -> None:
                consumer = self._consumer(
                    group_id=group,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    heartbeat_interval_ms=_HEARTBEAT_INTERVAL_MS,
                )
                await GroupSession(
                    consumer,
                    topic,
                    group,
                    delivery,
                    stop,
                    publish=self.publish,
                    max_batch=max_batch,
                    policy=self._policy,
                    on_consumed=self._on_consumed,
                ).run()

            await keep_going(session, stop, self._policy.backoff, f"{topic} for {group}")

        await self._loops.run(body)

    async def observe(self, topic: str, observer: Observer, *, since_ms: int) -> None:
        async def body(stop: Stop) -> None:
            places: dict[TopicPartition, int] = {}

            async def session() -> None:
                async with self._admin() as admin:
                    partitions = await _partitions_of(admin, topic)
                consumer = self._consumer(group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
                await ObserverSession(consumer, partitions, observer, stop, places, since_ms, self._policy).run()

            await keep_going(session, stop, _OBSERVER_BACKOFF, f"{topic} for an observer")

        await self._loops.run(body)

    def _consumer(self, **arguments: Any) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            client_id=self._client_id,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **arguments,
        )

    async def lag(self, topic: str, group: str) -> int:
        """See the port.

        Raises:
            OSError: the log cannot be reached now.
        """
        async with _as_connection_errors(), self._admin() as admin:
            partitions = await _partitions_of(admin, topic)
            committed = await _committed(admin, group)
            consumer = self._consumer(group_id=None, retry_backoff_ms=10)
            try:
                await consumer.start()
                first = await consumer.beginning_offsets(partitions)
                last = await consumer.end_offsets(partitions)
            finally:
                await consumer.stop()
        places = {place: found.offset for place, found in committed.items()}
        return sum(last[place] - max(places.get(place, -1), first[place]) for place in partitions)

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Creates the topics that do not exist, waiting for a cluster that is away; existing ones stay as they are.

        Raises:
            KafkaError: the cluster refuses, such as for want of rights or of brokers for the copies.
        """
        throttled = Throttled(_log)
        for delay_s in self._policy.backoff.delays():
            try:
                async with _as_connection_errors():
                    missing = await self._create_missing(specs)
            except OSError as error:
                throttled.warning("waiting for Kafka", at=self._bootstrap_servers, error=str(error)[:300])
            else:
                if not missing:
                    return
            await asyncio.sleep(delay_s)

    async def _create_missing(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """Topics that the cluster did not show; those it was asked to create appear a little later."""
        async with self._admin() as admin:
            known = set(await admin.list_topics())
            missing = [spec for spec in specs if spec.name not in known]
            if not missing:
                return ()
            answer = await admin.create_topics([self._new_topic(spec) for spec in missing])
        for name, code, *details in answer.topic_errors:
            error = for_code(code)
            if code != 0 and error is not TopicAlreadyExistsError:
                raise error(f"cannot create {name}: {details}")
            _log.info("topic created", extra=facts(topic=name))
        return [spec.name for spec in missing]

    def _new_topic(self, spec: TopicSpec) -> NewTopic:
        return NewTopic(
            spec.name,
            spec.partitions,
            self._replication_factor,
            topic_configs={
                "retention.ms": str(spec.retention_hours * 3_600_000),
                # The broker's clock orders records; `observe` looks for moments.
                "message.timestamp.type": "LogAppendTime",
                "min.insync.replicas": str(max(1, self._replication_factor - 1)),
            },
        )

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._bootstrap_servers,
            client_id=self._client_id,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()

    async def close(self) -> None:
        await self._loops.close()
        await self._producer.close()


async def _partitions_of(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """All partitions of a topic.

    Raises:
        ConnectionError: the topic does not exist (yet).
    """
    found = await admin.describe_topics([topic])
    partitions = sorted(p["partition"] for t in found if t["topic"] == topic for p in t["partitions"])
    if not partitions:
        raise ConnectionError(f"Kafka has no topic {topic}")
    return [TopicPartition(topic, partition) for partition in partitions]


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, Any]:
    """What a group has committed; a new cluster takes a moment to know who coordinates it."""
    for delay_s in Backoff(first_s=0.05, cap_s=1.0).delays():
        try:
            found: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
            await asyncio.sleep(delay_s)
        else:
            return found
    raise AssertionError("delays never end")


@asynccontextmanager
async def _as_connection_errors() -> AsyncIterator[None]:
    """Turns what may pass by itself into `ConnectionError`."""
    try:
        async with asyncio.timeout(_ADMIN_TIMEOUT_S):
            yield
    except KafkaError as error:
        if isinstance(error, _FINAL):
            raise
        raise ConnectionError(f"Kafka cannot be reached: {type(error).__name__}: {error}") from error
