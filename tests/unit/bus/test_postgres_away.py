"""A database that is away, in whichever words it says so: the event log is away, and watching a group's lag goes on."""

import asyncio
from typing import Any

import asyncpg
import pytest

from libs.bus import lag
from libs.bus.port import Record
from libs.bus.postgres import PostgresEventLog
from libs.metrics import Metrics


class BrokenPool:
    """Fails once in each way, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def fetchval(self, *_: Any) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7

    fetchrow = fetchval


AWAY = (
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    ConnectionResetError("reset"),
    TimeoutError(),
)


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_database_that_is_away_is_a_connection_error(error: Exception) -> None:
    pool: Any = BrokenPool(error)
    with pytest.raises(OSError):  # noqa: PT011 (any kind of it is what the port promises)
        await PostgresEventLog(pool).lag("topic", "group")
    assert await PostgresEventLog(pool).lag("topic", "group") == 7


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_publishing_to_a_database_that_is_away_is_a_connection_error(error: Exception) -> None:
    pool: Any = BrokenPool(error)
    with pytest.raises(OSError):  # noqa: PT011 (any kind of it is what the port promises)
        await PostgresEventLog(pool).publish([Record("topic", "key", b"value")])


async def test_watcher_outlives_a_database_that_goes_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_INTERVAL_S", 0.0)
    pool: Any = BrokenPool(*AWAY, RuntimeError("what nobody thought of"))
    metrics = Metrics()
    watching = asyncio.create_task(lag.watch_lag(PostgresEventLog(pool), "topic", "group", metrics))
    async with asyncio.timeout(5):
        while metrics.consumer_lag.labels("group")._value.get() != 7:
            assert not watching.done(), watching
            await asyncio.sleep(0)
    watching.cancel()
