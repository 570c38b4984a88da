"""The event log in PostgreSQL: for one machine, where Kafka would be too much.

Owns the tables of `migrations/` in a schema of its own, and how consumers share them. Does not own the pool.
Invariant: offsets of a partition have no gaps and become visible in order, so no reader ever passes a record by.
"""

import asyncio
import logging
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, NamedTuple

import asyncpg
import orjson

from libs.bus.delivery import ConsumedCount, Delivery, DeliveryPolicy, show
from libs.bus.port import Delivered, Handler, Observer, Record, TransientTest
from libs.bus.stopping import Loops, Stop, keep_going, wait_for_event
from libs.bus.topics import TopicSpec
from libs.pg.migrations import migrate
from libs.pg.transient import is_transient as is_database_away

_LOCK_SPACE = 1_400_000_000  # first key of our advisory locks; the group's id is added
_ACQUIRE_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
_TRIM_ROWS = 10_000
_NOT_SET_UP = (asyncpg.UndefinedFunctionError, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_log = logging.getLogger(__name__)

_Connection = Any  # asyncpg's connection and its pooled proxy share no type


class _Topic(NamedTuple):
    topic_id: int
    partitions: int
    channel: str


class PostgresEventLog:
    """An `EventLog` on a pool that is given to it.

    Each running `consume` and `observe` keeps one connection of the pool for itself, so the pool must be larger than
    their number.

    Args:
        partitions: of topics that come into being by their first use.
        poll_s: how often a consumer looks without having been notified.
        on_consumed: counts what groups have handled.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        schema: str = "event_log",
        partitions: int = 8,
        poll_s: float = 1.0,
        policy: DeliveryPolicy | None = None,
        on_consumed: ConsumedCount | None = None,
    ) -> None:
        if not (schema.isidentifier() and schema.islower()):
            raise ValueError(f"{schema!r} is not a schema name")
        self._pool = pool
        self._schema = schema
        self._partitions = partitions
        self._poll_s = poll_s
        self._policy = policy or DeliveryPolicy()
        self._on_consumed = on_consumed
        self._topics: dict[str, _Topic] = {}
        self._loops = Loops(self._policy.finish_s)
        self._sql = _Statements(schema)

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Brings the tables up to date and registers topics; waits for a database that is away."""
        await migrate(self._pool, schema=self._schema, folder=files("libs.bus.migrations"))
        for spec in specs:
            await self._pool.fetchrow(self._sql.register_topic, spec.name, spec.partitions)

    async def publish(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            await self._append(self._pool, records)
        except asyncpg.DataError as error:
            raise ValueError("PostgreSQL cannot hold one of the records") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            if isinstance(error, _NOT_SET_UP) or is_database_away(error):
                raise ConnectionError(f"the event log cannot be reached: {type(error).__name__}") from error
            raise

    async def _append(self, connection: _Connection, records: Sequence[Record]) -> None:
        """One statement per topic; several topics commit together."""
        by_topic: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        if len(by_topic) == 1:
            await self._append_to_topic(connection, records[0].topic, records)
        elif connection is self._pool:
            async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as own, own.transaction():
                await self._append(own, records)
        else:
            for name in sorted(by_topic):  # one order of locks for everyone
                await self._append_to_topic(connection, name, by_topic[name])

    async def _append_to_topic(self, connection: _Connection, name: str, records: Sequence[Record]) -> None:
        topic = self._topics.get(name) or await self._register(connection, name)
        partitions = [zlib.crc32(record.key.encode()) % topic.partitions for record in records]
        added = Counter(partitions)
        left = dict(added)
        behind = []  # how far each record is before the partition's end once all are in
        for partition in partitions:
            behind.append(left[partition])
            left[partition] -= 1
        appended = await connection.fetchval(
            self._sql.append,
            topic.topic_id,
            [added[partition] for partition in range(topic.partitions)],
            partitions,
            behind,
            [record.key for record in records],
            [orjson.dumps(record.headers).decode() for record in records],
            [record.value for record in records],
            topic.channel,
        )
        if not appended:  # known from a transaction that was rolled back, or from a database that was restored
            del self._topics[name]
            raise ConnectionError(f"the event log has lost its topic {name}")

    async def _register(self, connection: _Connection, name: str) -> _Topic:
        row = await connection.fetchrow(self._sql.register_topic, name, self._partitions)
        topic = _Topic(row["topic_id"], row["partitions"], f"{self._schema}_{row['topic_id']}")
        self._topics[name] = topic
        return topic

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
                async with self._listening(topic, wake) as (connection, found):
                    await self._consume(connection, found, topic, group, delivery, stop, wake, max_batch)

            await keep_going(session, stop, self._policy.backoff, f"{topic} for {group}")

        await self._loops.run(body)

    async def _consume(
        self,
        connection: _Connection,
        topic: _Topic,
        name: str,
        group: str,
        delivery: Delivery,
        stop: Stop,
        wake: asyncio.Event,
        max_batch: int,
    ) -> None:
        group_id = await connection.fetchval(self._sql.register_group, topic.topic_id, group)
        # A commit that is lost in a crash means a batch delivered again, which handlers bear.
        await connection.execute("set synchronous_commit = off")
        held: list[int] = []
        first = 0
        while not stop.is_set():
            wake.clear()
            rows = await connection.fetch(self._sql.claim, group_id, _LOCK_SPACE + group_id, max_batch, first, held)
            if not rows:
                held = []
                await wait_for_event(wake, self._poll_s)
                continue
            batch = _delivered(name, rows)
            ends = {delivered.partition: delivered.offset + 1 for delivered in batch}
            held = list(ends)
            first = (held[-1] + 1) % topic.partitions
            dead = await delivery.deliver(batch)
            await self._commit(connection, group_id, ends, dead)
            if self._on_consumed is not None:
                self._on_consumed(group, len(batch) - len(dead), len(dead))

    async def _commit(
        self, connection: _Connection, group_id: int, ends: dict[int, int], dead: Sequence[Record]
    ) -> None:
        arguments = (group_id, list(ends), list(ends.values()))
        if not dead:
            await connection.execute(self._sql.commit, *arguments)
            return
        async with connection.transaction():
            await connection.execute("set local synchronous_commit = on")
            await self._append(connection, dead)
            await connection.execute(self._sql.commit, *arguments)

    async def observe(self, topic: str, observer: Observer, *, since_ms: int) -> None:
        async def body(stop: Stop) -> None:
            wake = stop.wakes(asyncio.Event())
            starts: list[int] = []

            async def session() -> None:
                async with self._listening(topic, wake) as (connection, found):
                    if not starts:
                        since = _EPOCH + since_ms * _MILLISECOND
                        starts.extend(await connection.fetchval(self._sql.offsets_at, found.topic_id, since))
                    while not stop.is_set():
                        wake.clear()
                        rows = await connection.fetch(self._sql.read, found.topic_id, starts, 100)
                        if not rows:
                            await wait_for_event(wake, self._poll_s)
                            continue
                        batch = _delivered(topic, rows)
                        await show(observer, batch, stop, self._policy)
                        for delivered in batch:
                            starts[delivered.partition] = delivered.offset + 1

            await keep_going(session, stop, self._policy.backoff, f"{topic} for an observer")

        await self._loops.run(body)

    @asynccontextmanager
    async def _listening(self, name: str, wake: asyncio.Event) -> AsyncIterator[tuple[_Connection, _Topic]]:
        """A connection of one's own that sets `wake` when the topic has news or the connection ends.

        It is closed rather than given back: its locks and its settings must not reach another user.
        """
        connection: _Connection
        async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
            try:
                topic = await self._register(connection, name)
                connection.add_termination_listener(lambda _: wake.set())
                await connection.add_listener(topic.channel, lambda *_: wake.set())
                yield connection, topic
            finally:
                await _close(connection)

    async def lag(self, topic: str, group: str) -> int:
        try:
            lag: int | None = await self._pool.fetchval(self._sql.lag, topic, group)
        except Exception as error:
            if is_database_away(error):
                raise ConnectionError(f"the event log is away: {type(error).__name__}") from error
            raise
        return lag or 0

    async def trim(self, topic: str, *, before_ms: int) -> int:
        """Removes records published before that moment which every known group has committed; returns how many."""
        before = _EPOCH + before_ms * _MILLISECOND
        removed = 0
        while True:
            count: int = await self._pool.fetchval(self._sql.trim, topic, before, _TRIM_ROWS)
            removed += count
            if count < _TRIM_ROWS:
                return removed

    async def forget_group(self, topic: str, group: str) -> None:
        """Drops a group that will not come back, so that it no longer keeps records from being trimmed."""
        await self._pool.execute(self._sql.forget_group, topic, group)

    async def close(self) -> None:
        await self._loops.close()


class _Statements:
    """The SQL of one schema."""

    # ruff: noqa: S608 (the schema's name is checked)

    def __init__(self, schema: str) -> None:
        self.register_topic = f"select * from {schema}.register_topic($1, $2)"
        self.register_group = f"select {schema}.register_group($1, $2)"
        self.append = f"""
            with bumped as (
                update {schema}.topic set next_offsets = {schema}.add_offsets(next_offsets, $2::integer[])
                where topic_id = $1 returning next_offsets
            ), appended as (
                insert into {schema}.entry (topic_id, partition, entry_offset, published_at, key, headers, value)
                select $1, r.partition, b.next_offsets[r.partition + 1] - r.behind, clock_timestamp(), r.key,
                       r.headers::jsonb, r.value
                from bumped b, unnest($3::integer[], $4::integer[], $5::text[], $6::text[], $7::bytea[])
                    as r(partition, behind, key, headers, value)
            )
            select true from bumped, pg_notify($8, '')"""
        columns = "partition, entry_offset, published_at, key, headers::text, value"
        self.claim = f"select {columns} from {schema}.claim($1, $2, $3, $4, $5)"
        self.commit = f"select {schema}.commit_offsets($1, $2, $3)"
        self.offsets_at = f"""
            select array_agg(coalesce(e.first_offset, n.next_offset) order by n.i)
            from {schema}.topic t
            cross join unnest(t.next_offsets) with ordinality as n(next_offset, i)
            left join (
                select partition, min(entry_offset) as first_offset from {schema}.entry
                where topic_id = $1 and published_at >= $2 group by partition
            ) e on e.partition = n.i - 1
            where t.topic_id = $1"""
        self.read = f"""
            select {columns} from unnest($2::bigint[]) with ordinality as s(start, i)
            cross join lateral (
                select * from {schema}.entry e
                where e.topic_id = $1 and e.partition = s.i - 1 and e.entry_offset >= s.start
                order by e.entry_offset limit $3
            ) e"""
        self.lag = f"""
            select coalesce((
                select sum(l.o - l.c) from {schema}.consumer_group g, unnest(t.next_offsets, g.next_offsets) as l(o, c)
                where g.topic_id = t.topic_id and g.name = $2
            ), (select count(*) from {schema}.entry e where e.topic_id = t.topic_id))::bigint
            from {schema}.topic t where t.name = $1"""
        self.trim = f"select {schema}.trim_entries($1, $2, $3)"
        self.forget_group = f"""
            delete from {schema}.consumer_group g using {schema}.topic t
            where t.topic_id = g.topic_id and t.name = $1 and g.name = $2"""


def _delivered(topic: str, rows: Iterable[asyncpg.Record]) -> list[Delivered]:
    return [
        Delivered(
            Record(topic, key, value, orjson.loads(headers)),
            partition,
            offset,
            (published_at - _EPOCH) // _MILLISECOND,
        )
        for partition, offset, published_at, key, headers, value in rows
    ]


async def _close(connection: _Connection) -> None:
    try:
        await connection.close(timeout=_CLOSE_TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        connection.terminate()
