"""The audit's snapshot of the database: every question is answered as of one moment, and nothing is changed."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice

import asyncpg

from services.audit import statements
from services.audit.core.findings import SHOWN_MAX, Example, Finding, State

_BATCH = 5000


@asynccontextmanager
async def open_snapshot(dsn: str) -> AsyncIterator["Snapshot"]:
    """A read-only REPEATABLE READ transaction.

    Raises:
        OSError: the database cannot be reached.
    """
    settings = {"application_name": "audit", "default_transaction_read_only": "on", "work_mem": "64MB"}
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=settings)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield Snapshot(connection)
    finally:
        await connection.close()


class Snapshot:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def has_table(self, name: str) -> bool:
        schema, _, table = name.partition(".")
        query = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2)"
        return await self._connection.fetchval(query, schema, table) is True

    async def has_group(self, group: str) -> bool:
        """Whether the event log lies here and knows the group, so that what it has not consumed is known exactly."""
        if not await self.has_table("event_log.consumer_group"):
            return False
        return await self._connection.fetchval(statements.HAS_GROUP, group) is True

    async def records_table(self) -> str | None:
        """The table of generation records, known by its columns."""
        name: str | None = await self._connection.fetchval(statements.RECORDS_TABLE)
        return name

    async def ask(self, check: str, statement: str, if_any: State = State.DIFFERS) -> Finding:
        """A finding from rows of (subject, found, expected)."""
        return _finding(check, if_any, [_example(row) for row in await self._connection.fetch(statement)])

    async def ask_both(self, check: str, statement: str) -> list[Finding]:
        """Findings from rows that also say whether they only wait."""
        rows = await self._connection.fetch(statement)
        lost = [_example(row) for row in rows if not row["waits"]]
        waiting = [_example(row) for row in rows if row["waits"]]
        findings = [_finding(check, State.DIFFERS, lost)]
        if waiting:
            remark = "a consumer has not come to them yet"
            findings.append(Finding(check, State.WAITING, len(waiting), remark=remark))
        return findings

    async def count_unsettled(self, generation_ids: Iterable[str]) -> int:
        """How many of these have no settlement."""
        source = iter(generation_ids)
        unsettled = 0
        while batch := set(islice(source, _BATCH)):
            unsettled += len(batch) - int(await self._connection.fetchval(statements.SETTLED, list(batch)))
        return unsettled


def _example(row: asyncpg.Record) -> Example:
    return Example(str(row[0]), _int(row[1]), _int(row[2]))


def _int(value: object) -> int | None:
    return None if value is None else int(str(value))


def _finding(check: str, if_any: State, examples: list[Example]) -> Finding:
    if not examples:
        return Finding(check, State.AGREES)
    return Finding(check, if_any, len(examples), examples[:SHOWN_MAX])
