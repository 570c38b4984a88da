import contextlib
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from libs.bus.port import EventLog
from libs.bus.postgres import PostgresEventLog
from libs.bus.topics import TopicSpec
from libs.pg.pool import open_pool
from tests.testkit.event_log_conformance import IMPATIENT, EventLogConformance, Subject

pytestmark = pytest.mark.postgres


class _Postgres:
    def __init__(self, pool: asyncpg.Pool, stack: contextlib.AsyncExitStack) -> None:
        self._pool = pool
        self._stack = stack

    async def open(self) -> EventLog:
        log = PostgresEventLog(self._pool, policy=IMPATIENT, poll_s=0.5)
        self._stack.push_async_callback(log.close)
        return log

    async def create(self, topics: Sequence[str]) -> None:
        log = PostgresEventLog(self._pool)
        await log.ensure_topics([TopicSpec(topic, 4, 168) for topic in topics])


@pytest.fixture
async def pool(database_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(database_dsn, application_name="bus-tests", max_size=16) as pool:
        yield pool


class TestPostgresEventLog(EventLogConformance):
    @pytest.fixture
    async def subject(self, pool: asyncpg.Pool) -> AsyncIterator[Subject]:
        async with contextlib.AsyncExitStack() as stack:
            yield _Postgres(pool, stack)
