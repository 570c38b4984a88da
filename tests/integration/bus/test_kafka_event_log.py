import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from libs.bus.kafka import KafkaEventLog
from libs.bus.port import EventLog
from libs.bus.topics import TopicSpec
from tests.testkit.event_log_conformance import IMPATIENT, EventLogConformance, Subject

pytestmark = pytest.mark.kafka


class _Kafka:
    def __init__(self, servers: str, stack: contextlib.AsyncExitStack) -> None:
        self._servers = servers
        self._stack = stack

    async def open(self) -> EventLog:
        log = KafkaEventLog(self._servers, client_id="bus-tests", policy=IMPATIENT)
        self._stack.push_async_callback(log.close)
        return log

    async def create(self, topics: Sequence[str]) -> None:
        log = KafkaEventLog(self._servers, client_id="bus-tests")
        await log.ensure_topics([TopicSpec(topic, 4, 168) for topic in topics])
        await log.close()


class TestKafkaEventLog(EventLogConformance):
    @pytest.fixture
    async def subject(self, kafka_servers: str) -> AsyncIterator[Subject]:
        async with contextlib.AsyncExitStack() as stack:
            yield _Kafka(kafka_servers, stack)
