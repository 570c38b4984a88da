import asyncio

import asyncpg
import pytest

from libs.errors import AppError
from libs.pg.pool import open_pool
from services.key_management.ports import KeyStore
from services.key_management.store import PostgresKeyStore
from tests.testkit.key_management import some_hash
from tests.testkit.key_store_conformance import KeyStoreConformance, insert, with_account

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(pool: asyncpg.Pool) -> KeyStore:
    return PostgresKeyStore(pool)


class TestPostgresKeyStore(KeyStoreConformance):
    pass


async def test_replicas_starting_together_agree_on_the_bootstrap_account(pool: asyncpg.Pool, database_dsn: str) -> None:
    async def replica(number: int) -> str:
        async with open_pool(database_dsn, application_name="replica", max_size=1) as own:
            return await PostgresKeyStore(own).ensure_bootstrap_account(f"acct_{number}", f"w-{number}", now_ms=number)

    assert len(set(await asyncio.gather(*(replica(number) for number in range(8))))) == 1
    assert await pool.fetchval("SELECT count(*) FROM key_management.accounts") == 1


async def test_store_without_its_database_says_unavailable(store: KeyStore, pool: asyncpg.Pool) -> None:
    pool.terminate()
    with pytest.raises(AppError) as caught:
        await store.get_by_hash(some_hash())
    assert (caught.value.reason, caught.value.http_status) == ("SERVICE_UNAVAILABLE", 503)


async def test_lookup_of_one_key_among_many_uses_the_index(store: KeyStore, pool: asyncpg.Pool) -> None:
    await insert(await with_account(store))
    plan = await pool.fetch("EXPLAIN SELECT name FROM key_management.keys WHERE key_hash = $1", some_hash())
    assert "keys_pkey" in "".join(row[0] for row in plan)
