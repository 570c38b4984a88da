import asyncio
import logging
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from libs.errors import AppError
from libs.pg.embedded import EmbeddedPostgres
from libs.pg.pool import open_pool
from libs.pg.transient import is_transient, translate
from tests.testkit.postgres import eventually

pytestmark = pytest.mark.postgres


async def succeed(pool: asyncpg.Pool, query: str = "SELECT 1", timeout_s: float = 10.0) -> list[Exception]:
    """Asks until an answer comes; returns the errors on the way."""
    errors: list[Exception] = []
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                await pool.fetchval(query)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                errors.append(error)
                await asyncio.sleep(0.01)
            else:
                return errors


async def test_pool_recovers_by_itself_after_postgres_was_killed_and_came_back(home: Path) -> None:
    server = EmbeddedPostgres(home / "data", overrides={"shared_buffers": "16MB"})
    await server.start()
    try:
        async with open_pool(server.dsn, application_name="test", min_size=3, max_size=5) as pool:
            held_up = [asyncio.create_task(pool.execute("SELECT pg_sleep(60)")) for _ in range(2)]
            await eventually(lambda: pool.get_size() - pool.get_idle_size() == 2)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await server.wait_dead()
            for outcome in await asyncio.gather(*held_up, return_exceptions=True):
                assert isinstance(outcome, Exception)
                assert is_transient(outcome)
            with pytest.raises(OSError, match=r"\.s\.PGSQL\.5432|refused|No such file") as while_away:
                await pool.fetchval("SELECT 1")
            translated = translate(while_away.value)
            assert isinstance(translated, AppError)
            assert translated.http_status == 503
            await server.start()
            errors = await succeed(pool)
            assert all(is_transient(error) for error in errors)
            assert await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(20))) == [1] * 20
    finally:
        await server.stop()


async def test_pool_opened_before_its_database_waits_and_says_so(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = EmbeddedPostgres(home / "data", overrides={"shared_buffers": "16MB"})

    async def first_answer() -> object:
        async with open_pool(server.dsn, application_name="test") as pool:
            return await pool.fetchval("SELECT 1")

    with caplog.at_level(logging.INFO):
        answer = asyncio.create_task(first_answer())
        await eventually(lambda: "waiting for PostgreSQL" in caplog.text)
        await server.start()
        try:
            assert await asyncio.wait_for(answer, 10) == 1
        finally:
            await server.stop()
    assert "PostgreSQL is there" in caplog.text


async def test_waiting_for_a_database_never_logs_its_password(caplog: pytest.LogCaptureFixture) -> None:
    async def wait_for_ever() -> None:
        async with open_pool("postgresql://me:hunter2@127.0.0.1:1/db", application_name="test"):
            pass

    with caplog.at_level(logging.INFO):
        waiting = asyncio.create_task(wait_for_ever())
        await eventually(lambda: bool(caplog.records))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert caplog.records[0].data["at"] == "127.0.0.1:1/db"  # type: ignore[attr-defined]
    assert "hunter2" not in " ".join(str(vars(record)) for record in caplog.records)


async def test_malformed_dsn_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="invalid DSN"):
        async with open_pool("mysql://somewhere/db", application_name="test"):
            pass


async def test_role_that_does_not_exist_is_an_error_at_once(database_dsn: str) -> None:
    dsn = database_dsn.replace("postgres@", "nobody-knows@")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        async with open_pool(dsn, application_name="test"):
            pass


async def test_runaway_statement_is_ended_by_the_server(database_dsn: str) -> None:
    async with open_pool(database_dsn, application_name="test", statement_timeout_s=0.2) as pool:
        with pytest.raises(asyncpg.QueryCanceledError) as caught:
            await pool.execute("SELECT pg_sleep(30)")
        assert is_transient(caught.value)
        assert await pool.fetchval("SELECT 1") == 1


async def test_transaction_left_open_is_rolled_back_on_release(database_dsn: str) -> None:
    async with open_pool(database_dsn, application_name="test", max_size=1) as pool:
        await pool.execute("CREATE TABLE t (n int)")
        async with pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO t VALUES (1)")
        assert await pool.fetchval("SELECT count(*) FROM t") == 0


async def test_terminated_connection_is_replaced(database_dsn: str) -> None:
    async with open_pool(database_dsn, application_name="test", max_size=2) as pool:
        async with pool.acquire() as one, pool.acquire() as other:
            await one.execute("SELECT pg_terminate_backend($1)", other.get_server_pid())
        assert all(is_transient(error) for error in await succeed(pool))
