import asyncio

import asyncpg
import pytest

from libs.errors import AppError, Kind, unavailable
from libs.pg.transient import database_away_is_unavailable, is_transient, translate

AWAY: list[Exception] = [
    ConnectionRefusedError(),
    ConnectionResetError(),
    FileNotFoundError("socket"),
    TimeoutError(),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CrashShutdownError("crash of another server process"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.SerializationError("could not serialize access"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.LockNotAvailableError("lock timeout"),
    asyncpg.QueryCanceledError("statement timeout"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.InterfaceError("cannot perform operation: connection is closed"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    unavailable("postgres"),
]

AT_FAULT: list[Exception] = [
    asyncpg.UniqueViolationError("duplicate key"),
    asyncpg.NumericValueOutOfRangeError("bigint out of range"),
    asyncpg.PostgresSyntaxError("syntax error"),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.DataError("invalid input for query argument $1: the pool is closed"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    ValueError("x"),
    AppError(Kind.MISSING, "KEY_UNKNOWN", "no such key"),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: f"{type(error).__name__}-{error}"[:50])
def test_database_away_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize("error", AT_FAULT, ids=lambda error: f"{type(error).__name__}-{error}"[:50])
def test_statement_at_fault_is_not_transient(error: Exception) -> None:
    assert not is_transient(error)
    assert translate(error) is error


def test_cancellation_is_never_transient() -> None:
    assert not is_transient(asyncio.CancelledError())


def test_store_without_database_raises_unavailable_postgres() -> None:
    with pytest.raises(AppError) as caught, database_away_is_unavailable():
        raise ConnectionRefusedError
    assert caught.value.kind is Kind.NO_ROUTE
    assert caught.value.metadata["service"] == "postgres"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_store_with_wrong_statement_raises_it_as_it_is() -> None:
    with pytest.raises(asyncpg.UniqueViolationError), database_away_is_unavailable():
        raise asyncpg.UniqueViolationError("duplicate key")
