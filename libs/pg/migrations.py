"""Forward-only migrations: numbered SQL files, each applied once, in order, in a transaction of its own.

Owns `<schema>.schema_migrations`. Does not own any other table. Invariant: replicas may start together, old ones may
start beside new ones, and a file that was applied never changes.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import asyncpg

from libs.logs import Throttled, facts
from libs.pg.transient import is_transient
from libs.retry import Backoff

logger = logging.getLogger(__name__)

_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Asks the tables, not `to_regclass`: that one answers from a cache which an advisory lock does not bring up to date.
_HAS_TABLE = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_migrations')"
_BACKOFF = Backoff(first_s=0.2, cap_s=5.0)


class MigrationError(RuntimeError):
    """Files and database contradict each other; a person has to look."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()


async def migrate(
    pool: asyncpg.Pool,
    *,
    schema: str,
    folder: Traversable,
    lock_timeout_s: float = 5.0,
    statement_timeout_s: float = 600.0,
) -> Sequence[str]:
    """Brings the schema up to date; returns the names of the files that this call applied.

    Waits for other replicas that migrate the same schema, and for a database that is away. `search_path` is the schema
    while a file runs.

    Args:
        pool: connections to the database; nothing of the migration needs more than one.
        schema: the service's own schema; made if it is not there.
        folder: holds `NNNN_name.sql` files, numbered from 0001 without a gap.
        lock_timeout_s: how long a statement waits for a table lock before the file is tried again.
        statement_timeout_s: limit of one file.

    Raises:
        MigrationError: a file is misnamed, missing, or changed after it was applied.
        asyncpg.PostgresError: a file is wrong SQL; nothing of it took effect.
    """
    if not _SCHEMA.fullmatch(schema):
        raise MigrationError(f"{schema!r} is not a schema name")
    wanted = read_migrations(folder)
    waiting = Throttled(logger)
    applied: list[str] = []
    for delay_s in _BACKOFF.delays():
        try:
            while (name := await _apply_next(pool, schema, wanted, lock_timeout_s, statement_timeout_s)) is not None:
                applied.append(name)
                logger.info("migrated", extra=facts(schema=schema, file=name))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            if not is_transient(error):
                raise
            waiting.warning("waiting to migrate", schema=schema, error=f"{type(error).__name__}: {error}")
        else:
            return applied
        await asyncio.sleep(delay_s)
    raise AssertionError("delays never end")


def read_migrations(folder: Traversable) -> list[Migration]:
    """The files of a folder in order."""
    found: list[Migration] = []
    for entry in folder.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.fullmatch(entry.name)
        if match is None:
            raise MigrationError(f"{entry.name} is not named NNNN_name.sql")
        found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.name)
    for place, migration in enumerate(found, start=1):
        if migration.number != place:
            raise MigrationError(f"{migration.name} stands where number {place:04} should")
    return found


async def _apply_next(
    pool: asyncpg.Pool, schema: str, wanted: Sequence[Migration], lock_timeout_s: float, statement_timeout_s: float
) -> str | None:
    """Applies the first file that is missing; None if none is."""
    async with pool.acquire() as connection:
        if await _first_missing(connection, schema, wanted) is None:
            return None
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {round(statement_timeout_s * 1000)}")
            await connection.execute("SET LOCAL lock_timeout = 0")  # other replicas may take their time
            lock = "SELECT pg_advisory_xact_lock(hashtextextended('switchyard migrations of ' || $1, 0))"
            await connection.execute(lock, schema, timeout=statement_timeout_s)
            await connection.execute(f"SET LOCAL lock_timeout = {round(lock_timeout_s * 1000)}")
            next_one = await _first_missing(connection, schema, wanted)
            if next_one is None:
                return None
            await _apply(connection, schema, next_one, statement_timeout_s)
            return next_one.name


async def _first_missing(
    connection: asyncpg.pool.PoolConnectionProxy, schema: str, wanted: Sequence[Migration]
) -> Migration | None:
    known: dict[int, asyncpg.Record] = {}
    if await connection.fetchval(_HAS_TABLE, schema):
        rows = await connection.fetch(f"SELECT number, name, checksum FROM {schema}.schema_migrations")  # noqa: S608 (the schema's name is checked)
        known = {row["number"]: row for row in rows}
    for migration in wanted:
        row = known.pop(migration.number, None)
        if row is None:
            if known and max(known) > migration.number:
                raise MigrationError(f"{schema}: {migration.name} was never applied, but later files were")
            return migration
        if row["checksum"] != migration.checksum:
            raise MigrationError(
                f"{schema}: {migration.name} changed after it was applied (as {row['name']}); write a new file instead"
            )
    return None


async def _apply(
    connection: asyncpg.pool.PoolConnectionProxy, schema: str, migration: Migration, timeout_s: float
) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema):
        await connection.execute(f"CREATE SCHEMA {schema}")  # only here is the right to create one needed
    await connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
            number integer PRIMARY KEY,
            name text NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    await connection.execute(f"SET LOCAL search_path = {schema}, pg_catalog")
    await connection.execute(migration.sql, timeout=timeout_s)
    await connection.execute(
        f"INSERT INTO {schema}.schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",  # noqa: S608 (the schema's name is checked)
        migration.number,
        migration.name,
        migration.checksum,
    )
