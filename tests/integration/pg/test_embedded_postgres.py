import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from libs.pg.cluster import EmbeddedPostgresError
from libs.pg.embedded import EmbeddedPostgres
from libs.pg.processes import is_postmaster, processes_of
from tests.testkit.postgres import eventually

pytestmark = pytest.mark.postgres

QUICK = {"shared_buffers": "16MB"}


async def ask(server: EmbeddedPostgres, query: str) -> object:
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@asynccontextmanager
async def started(folder: Path, **overrides: str) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder, overrides={**QUICK, **overrides})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def command_line(folder: Path) -> AsyncIterator[tuple[Process, str, int]]:
    """The server as a program of its own: the process, the DSN and the postmaster's pid that it prints."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "libs.pg.embedded", "--data", str(folder), stdout=PIPE, stderr=PIPE
    )
    assert program.stdout is not None
    try:
        async with asyncio.timeout(20):
            dsn = (await program.stdout.readline()).decode().strip()
            pid = int((await program.stdout.readline()).decode().removeprefix("pid "))
        yield program, dsn, pid
    finally:
        if program.returncode is None:
            program.terminate()
        await program.communicate()


async def test_stopped_and_started_again_keeps_data_and_dsn(home: Path) -> None:
    async with started(home / "data") as server:
        dsn = server.dsn
        await ask(server, "CREATE TABLE kept (n int)")
    assert not server.is_running()
    assert processes_of(server.data_dir) == []
    async with started(home / "data") as again:
        assert again.dsn == dsn
        assert await ask(again, "SELECT count(*) FROM kept") == 0


async def test_server_listens_on_nothing_but_its_private_socket(home: Path) -> None:
    async with started(home / "data") as server:
        assert await ask(server, "SHOW listen_addresses") == ""
        assert server.data_dir.stat().st_mode & 0o777 == 0o700


async def test_path_too_long_for_a_socket_works_all_the_same(home: Path) -> None:
    async with started(home / ("long" * 25) / "data") as server:
        assert await ask(server, "SELECT 1") == 1


async def test_killed_postmaster_restarts_on_the_same_folder_with_what_was_committed(home: Path) -> None:
    async with started(home / "data") as server:
        await ask(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            await server.wait_dead()
        await server.start()
        assert server.pid != first
        assert await ask(server, "SELECT count(*) FROM kept") == 1000


async def test_busy_child_of_a_killed_postmaster_does_not_keep_the_next_from_starting(home: Path) -> None:
    async with started(home / "data") as server:
        connection = await asyncpg.connect(server.dsn)
        child = connection.get_server_pid()
        busy = asyncio.create_task(
            connection.execute("DO $$ DECLARE n bigint := 0; BEGIN LOOP n := (n + 1) % 1000; END LOOP; END $$")
        )
        await eventually(lambda: child in processes_of(server.data_dir))
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.wait_dead()
        await server.start()
        assert await ask(server, "SELECT 1") == 1
        assert child not in processes_of(server.data_dir)
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await busy
        connection.terminate()


async def test_backend_crash_is_recovered_by_the_same_postmaster(home: Path) -> None:
    async with started(home / "data") as server:
        before = server.pid
        connection = await asyncpg.connect(server.dsn)
        os.kill(connection.get_server_pid(), signal.SIGKILL)
        await eventually(connection.is_closed)
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await ask(server, "SELECT 1") == 1
                    break
                except (asyncpg.PostgresError, OSError):
                    await asyncio.sleep(0.01)
        assert server.pid == before
        assert server.is_running()


async def test_pid_file_with_a_reused_pid_does_not_keep_the_server_from_starting(home: Path) -> None:
    async with started(home / "data") as server:
        pid_file = (server.data_dir / "postmaster.pid").read_text()
    (home / "data" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *pid_file.splitlines()[1:]]))
    async with started(home / "data") as server:
        assert await ask(server, "SELECT 1") == 1


async def test_second_owner_of_a_folder_is_told_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.pg.embedded._LOCK_WAIT_S", 0.0)
    async with started(home / "data") as server:
        with pytest.raises(EmbeddedPostgresError, match="another process of Switchyard"):
            await EmbeddedPostgres(home / "data").start()
        assert await ask(server, "SELECT 1") == 1


async def test_folder_with_something_else_in_it_is_left_alone(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(EmbeddedPostgresError, match="neither empty nor a PostgreSQL folder"):
        await EmbeddedPostgres(home / "data").start()
    assert (home / "data" / "thesis.txt").read_text() == "years of work"


async def test_folder_of_another_version_is_refused_with_advice(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="belongs to PostgreSQL 16, this is 18"):
        await EmbeddedPostgres(home / "data").start()


async def test_setting_that_postgres_refuses_is_shown_with_its_reason(home: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="max_connections"):
        await EmbeddedPostgres(home / "data", overrides={"max_connections": "none"}).start()
    async with started(home / "data") as server:
        assert await ask(server, "SELECT 1") == 1


async def test_initdb_that_was_killed_half_way_is_done_again(home: Path) -> None:
    (home / "data.new").mkdir()
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    async with started(home / "data") as server:
        assert await ask(server, "SELECT 1") == 1


async def test_server_of_a_folder_that_was_deleted_is_ended(home: Path) -> None:
    async with command_line(home / "data") as (program, _, pid):
        program.kill()
        await program.wait()
        (home / "data").rename(home / "deleted")
        async with started(home / "data") as server:
            assert await ask(server, "SELECT 1") == 1
            assert not is_postmaster(pid, server.data_dir)


async def test_program_prints_the_dsn_and_stops_everything_on_sigterm(home: Path) -> None:
    async with command_line(home / "data") as (program, dsn, pid):
        connection = await asyncpg.connect(dsn)  # fast shutdown does not wait for it
        assert is_postmaster(pid, home / "data")
        program.terminate()
        assert await asyncio.wait_for(program.wait(), 20) == 0
        assert processes_of(home / "data") == []
        await eventually(connection.is_closed)


async def test_program_ends_with_an_error_when_its_postmaster_is_killed(home: Path) -> None:
    async with command_line(home / "data") as (program, _, pid):
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(program.wait(), 20) == 1


async def test_server_of_a_killed_program_is_adopted_by_the_next(home: Path) -> None:
    async with command_line(home / "data") as (killed, _, pid):
        killed.kill()
        await killed.wait()
        assert is_postmaster(pid, home / "data")
        async with command_line(home / "data") as (program, _, adopted):
            assert adopted == pid
            program.terminate()
            assert await asyncio.wait_for(program.wait(), 20) == 0
        assert processes_of(home / "data") == []


async def test_adopted_server_with_old_settings_is_started_anew(home: Path) -> None:
    async with command_line(home / "data") as (killed, _, pid):
        killed.kill()
        await killed.wait()
        async with started(home / "data", max_connections="33") as server:
            assert server.pid != pid
            assert await ask(server, "SHOW max_connections") == "33"


def test_stop_without_an_event_loop_ends_the_server(home: Path) -> None:
    server = EmbeddedPostgres(home / "data", overrides=QUICK)
    asyncio.run(server.start())
    server.stop_now()
    assert processes_of(server.data_dir) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as someone else")
async def test_private_folder_above_is_opened_for_traversal_alone_and_that_is_logged(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    async with started(private / "data") as server:
        assert await ask(server, "SELECT 1") == 1
    assert private.stat().st_mode & 0o777 == 0o701
    assert "opened a folder for traversal" in caplog.text


async def test_password_or_options_of_the_environment_do_not_reach_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/nowhere")
    async with started(home / "data") as server:
        assert await ask(server, "SHOW data_directory") == str(server.data_dir)
