"""Which database errors say that the database is away, rather than that a statement is wrong.

Owns the classification and its translation into `AppError`. Does not retry. Invariant: an error that would come again
for the same arguments on a healthy database is never called transient.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from libs.errors import AppError, unavailable

_SQLSTATE_CLASSES = frozenset(
    {
        "08",  # connection exception
        "53",  # insufficient resources: disk full, out of memory, too many connections
        "57",  # operator intervention: shutdown, crash, starting up, statement cancelled or timed out
        "58",  # system error: the server's disk
    }
)
_SQLSTATES = frozenset(
    {
        "25006",  # read-only transaction: we still talk to what was the primary before a failover
        "25P03",  # idle in transaction for too long
        "40001",  # serialization failure
        "40003",  # statement completion unknown
        "40P01",  # deadlock
        "55P03",  # lock not available in time
    }
)
_BROKEN_CONVERSATION = ("cannot switch to state", "unknown protocol state")
"""What asyncpg says when a server dies in the middle of an answer; the next connection knows nothing of it."""
_CLOSED = ("is closed", "is closing", "has been released back to the pool")


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed when it is tried again later: the world is broken, not the work."""
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", None) or ""
        return state[:2] in _SQLSTATE_CLASSES or state in _SQLSTATES
    if isinstance(error, asyncpg.DataError | asyncpg.ClientConfigurationError):
        return False  # arguments of the wrong type, a malformed DSN: kinds of InterfaceError
    if isinstance(error, asyncpg.InterfaceError):
        text = str(error)
        return any(words in text for words in _CLOSED)
    if isinstance(error, asyncpg.InternalClientError):
        text = str(error)
        return any(words in text for words in _BROKEN_CONVERSATION)
    if isinstance(error, AppError):
        return error.reason == "SERVICE_UNAVAILABLE"
    return isinstance(error, OSError | asyncpg.TargetServerAttributeNotMatched)  # TimeoutError is an OSError


def translate(error: Exception) -> Exception:
    """`unavailable("postgres")` for a database that is away; every other error as it is."""
    if isinstance(error, AppError) or not is_transient(error):
        return error
    return unavailable("postgres")


@contextmanager
def database_away_is_unavailable() -> Iterator[None]:
    """Around a store's statements: raises `unavailable("postgres")` where the database is away."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error
