import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from libs.pg.migrations import MigrationError, migrate
from libs.pg.pool import open_pool
from tests.testkit.postgres import eventually

pytestmark = pytest.mark.postgres


@pytest.fixture
async def pool(database_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(database_dsn, application_name="test", max_size=4) as pool:
        yield pool


def write(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(sql)


async def test_new_files_are_applied_once_and_in_order(pool: asyncpg.Pool, tmp_path: Path) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (1);")
    assert await migrate(pool, schema="demo", folder=tmp_path) == ["0001_first.sql"]
    write(tmp_path, "0002_second.sql", "UPDATE a SET n = n + 1;")
    assert await migrate(pool, schema="demo", folder=tmp_path) == ["0002_second.sql"]
    assert await migrate(pool, schema="demo", folder=tmp_path) == []
    assert await pool.fetchval("SELECT n FROM demo.a") == 2


async def test_many_replicas_starting_together_apply_each_file_once(
    pool: asyncpg.Pool, database_dsn: str, tmp_path: Path
) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (0); SELECT pg_sleep(0.05);")
    write(tmp_path, "0002_second.sql", "UPDATE a SET n = n + 1;")

    async def replica() -> int:
        async with open_pool(database_dsn, application_name="replica", max_size=1) as own:
            return len(await migrate(own, schema="demo", folder=tmp_path))

    assert sum(await asyncio.gather(*(replica() for _ in range(6)))) == 2
    assert await pool.fetchval("SELECT n FROM demo.a") == 1


async def test_file_that_changed_after_it_was_applied_is_refused_by_name(pool: asyncpg.Pool, tmp_path: Path) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int);")
    await migrate(pool, schema="demo", folder=tmp_path)
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n bigint);")
    with pytest.raises(MigrationError, match=r"0001_first\.sql changed after it was applied"):
        await migrate(pool, schema="demo", folder=tmp_path)


async def test_wrong_file_leaves_nothing_behind_and_can_be_mended(pool: asyncpg.Pool, tmp_path: Path) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int); CREATE TABLE b (n nonsense);")
    with pytest.raises(asyncpg.UndefinedObjectError):
        await migrate(pool, schema="demo", folder=tmp_path)
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int);")
    assert await migrate(pool, schema="demo", folder=tmp_path) == ["0001_first.sql"]


async def test_older_replica_beside_a_newer_schema_starts(pool: asyncpg.Pool, tmp_path: Path) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int);")
    write(tmp_path, "0002_second.sql", "CREATE TABLE b (n int);")
    await migrate(pool, schema="demo", folder=tmp_path)
    (tmp_path / "0002_second.sql").unlink()
    assert await migrate(pool, schema="demo", folder=tmp_path) == []


async def test_schemas_do_not_see_each_other(pool: asyncpg.Pool, tmp_path: Path) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int);")
    await migrate(pool, schema="one", folder=tmp_path)
    await migrate(pool, schema="two", folder=tmp_path)
    assert await pool.fetchval("SELECT count(*) FROM pg_tables WHERE tablename = 'a'") == 2


async def test_table_in_use_delays_a_migration_but_does_not_fail_it(
    pool: asyncpg.Pool, database_dsn: str, tmp_path: Path
) -> None:
    write(tmp_path, "0001_first.sql", "CREATE TABLE a (n int);")
    await migrate(pool, schema="demo", folder=tmp_path)
    write(tmp_path, "0002_second.sql", "ALTER TABLE a ADD COLUMN m int;")
    user = await asyncpg.connect(database_dsn)
    transaction = user.transaction()
    await transaction.start()
    await user.execute("LOCK TABLE demo.a IN ACCESS SHARE MODE")
    running = asyncio.create_task(migrate(pool, schema="demo", folder=tmp_path, lock_timeout_s=0.05))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'test'"
    await eventually(lambda: pool.fetchval(waiting))
    await transaction.rollback()
    await user.close()
    assert await asyncio.wait_for(running, 10) == ["0002_second.sql"]


async def test_schema_name_that_is_none_is_refused(pool: asyncpg.Pool, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="not a schema name"):
        await migrate(pool, schema="x; DROP TABLE y", folder=tmp_path)
