"""Connections to PostgreSQL: one pool per process and purpose, opened once, recovering by itself.

Owns waiting for the database at start and the limits of every session. Does not own SQL. Invariant: sessions carry no
state between two users (`SET LOCAL`, transaction-level advisory locks, no LISTEN), so nothing is reset on release.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from libs.logs import Throttled, facts
from libs.pg.transient import is_transient
from libs.retry import Backoff
from libs.settings import PostgresSettings

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 5.0
_START_BACKOFF = Backoff(first_s=0.05, cap_s=2.0)
_NOT_THERE_YET = (asyncpg.InvalidCatalogNameError,)  # someone may be about to create it


@asynccontextmanager
async def open_pool(
    where: PostgresSettings | str,
    *,
    application_name: str,
    min_size: int | None = None,
    max_size: int | None = None,
    statement_timeout_s: float = 30.0,
    lock_timeout_s: float = 10.0,
) -> AsyncIterator[asyncpg.Pool]:
    """A pool that has reached the database once; it waits for that for ever and says what it waits for.

    A pool whose server died connects anew at the next use: the caller of that moment gets an error for which
    `is_transient` holds, later ones do not notice.

    Args:
        where: settings, or a `postgresql://` DSN.
        application_name: shown in `pg_stat_activity`; the service's name.
        min_size: connections opened at once (settings, else 1); what is open stays open.
        max_size: connections at most (settings, else 8).
        statement_timeout_s: the server's limit for one statement; ours is a little longer.
        lock_timeout_s: how long one statement waits for a lock.

    Raises:
        ValueError: the DSN is malformed.
        asyncpg.PostgresError: the server refuses us for good, such as for a wrong password.
    """
    dsn = where if isinstance(where, str) else where.dsn.get_secret_value()
    smallest = min_size if min_size is not None else 1 if isinstance(where, str) else where.min_connections
    largest = max_size if max_size is not None else 8 if isinstance(where, str) else where.max_connections
    limits = {
        "application_name": application_name,
        "statement_timeout": str(round(statement_timeout_s * 1000)),
        "lock_timeout": str(round(lock_timeout_s * 1000)),
        "idle_in_transaction_session_timeout": str(round(statement_timeout_s * 1000)),
        "jit": "off",
        "timezone": "UTC",
    }
    pool = await _wait_for_pool(dsn, min(smallest, largest), largest, statement_timeout_s + 1.0, limits)
    try:
        yield pool
    finally:
        await _close(pool)


async def _wait_for_pool(
    dsn: str, smallest: int, largest: int, command_timeout_s: float, limits: dict[str, str]
) -> asyncpg.Pool:
    waiting = Throttled(logger, interval_s=10.0)
    waited = False
    for delay_s in _START_BACKOFF.delays():
        pool = asyncpg.create_pool(
            dsn,
            min_size=0,  # asyncpg logs a traceback per second of outage for a floor, and needs none to recover
            init_size=smallest,
            max_size=largest,
            max_inactive_connection_lifetime=0,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            server_settings=limits,
            reset=_leave_as_it_is,
        )
        try:
            await pool
            await pool.fetchval("SELECT 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            pool.terminate()
            if not is_transient(error) and not isinstance(error, _NOT_THERE_YET):
                raise
            waiting.warning("waiting for PostgreSQL", at=_place(dsn), error=f"{type(error).__name__}: {error}")
            waited = True
        except BaseException:
            pool.terminate()
            raise
        else:
            if waited:
                logger.info("PostgreSQL is there", extra=facts(at=_place(dsn)))
            return pool
        await asyncio.sleep(delay_s)
    raise AssertionError("delays never end")


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Saves the round trip of asyncpg's own reset; open transactions are rolled back all the same."""


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await pool.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        logger.warning("closed the pool by force", extra=facts(error=type(error).__name__))
        pool.terminate()


def _place(dsn: str) -> str:
    """Host and database of a DSN, without user and password."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2] or "unix socket"
    return f"{host}{parts.path}"
