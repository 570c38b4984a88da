import asyncpg
import pytest

from libs.errors import AppError
from services.analytics.core.records import problem_of
from services.analytics.ports import RecordStore
from services.analytics.store import PostgresRecordStore
from tests.testkit.analytics import NOW_MS, generation_row
from tests.testkit.record_store_conformance import RecordStoreConformance

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(pool: asyncpg.Pool) -> RecordStore:
    return PostgresRecordStore(pool)


class TestPostgresRecordStore(RecordStoreConformance):
    pass


async def test_widest_row_that_is_fit_can_be_stored(store: RecordStore) -> None:
    text = "𝕏" * 256
    row = generation_row(text, account_id=text, key_hash=text, model=text, endpoint_id=text, provider_slug=text)
    assert problem_of(row, NOW_MS) is None
    assert await store.insert([row]) == 1
    assert await store.get_event(text, text) == row.event


async def test_daily_sums_are_the_sums_of_the_rows(store: RecordStore, pool: asyncpg.Pool) -> None:
    rows = [
        generation_row(
            f"gen-{place}",
            key_hash=f"key_{place % 5}",
            model=f"model-{place % 7}",
            created_at_ms=NOW_MS + place * 3_600_000,
            outcome=place % 3 + 1,
            cost_nano_usd=place,
        )
        for place in range(200)
    ]
    for start in range(0, 200, 30):
        await store.insert(rows[start : start + 40])
    differences = await pool.fetchval(
        """
        SELECT count(*) FROM analytics.daily_activity a FULL JOIN (
            SELECT account_id, (to_timestamp(created_at_ms / 1000) AT TIME ZONE 'UTC')::date AS day, key_hash, model,
                count(*) AS requests, sum(cost_nano_usd) AS cost
            FROM analytics.generations GROUP BY 1, 2, 3, 4
        ) g USING (account_id, day, key_hash, model)
        WHERE a.requests IS DISTINCT FROM g.requests OR a.cost_nano_usd IS DISTINCT FROM g.cost
        """
    )
    assert differences == 0
    assert await pool.fetchval("SELECT sum(requests) FROM analytics.daily_activity") == 200


async def test_batch_with_a_row_that_does_not_fit_leaves_nothing(store: RecordStore, pool: asyncpg.Pool) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await store.insert([generation_row("gen-1"), generation_row("gen-2", cost_nano_usd=-1)])
    assert await pool.fetchval("SELECT count(*) FROM analytics.generations") == 0
    assert await pool.fetchval("SELECT count(*) FROM analytics.daily_activity") == 0


async def test_store_without_its_database_says_unavailable(store: RecordStore, pool: asyncpg.Pool) -> None:
    pool.terminate()
    with pytest.raises(AppError) as caught:
        await store.get_event("acct_1", "gen-1")
    assert (caught.value.reason, caught.value.http_status) == ("SERVICE_UNAVAILABLE", 503)


async def test_an_accounts_generations_of_a_day_are_found_by_index(pool: asyncpg.Pool) -> None:
    await pool.execute("SET enable_seqscan = off")
    plan = await pool.fetch(
        "EXPLAIN SELECT event FROM analytics.generations WHERE account_id = 'a' AND created_at_ms BETWEEN 1 AND 2"
    )
    assert "generations_by_account" in "".join(row[0] for row in plan)
