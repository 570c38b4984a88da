"""Generation records in PostgreSQL: a batch is one statement, hence one transaction and one round trip.

Owns schema `analytics`. Decides nothing. Invariant: a generation adds to the daily sums when its row is inserted, and
never again; rows are locked in the order of their keys, so that replicas do not deadlock.
"""

from collections.abc import Sequence
from datetime import date

import asyncpg

from libs.pg.transient import database_away_is_unavailable
from services.analytics.core.records import DailyActivity, GenerationRow

_SQL_TYPES = {str: "text", int: "bigint", bool: "boolean", bytes: "bytea"}
_COLUMNS = ", ".join(GenerationRow._fields)
_ARRAYS = ", ".join(
    f"${place}::{_SQL_TYPES[kind]}[]" for place, kind in enumerate(GenerationRow.__annotations__.values(), start=1)
)

# S608: the statement is put together from constants of this module alone.
_INSERT = f"""
    WITH fresh AS (
        INSERT INTO analytics.generations ({_COLUMNS})
        SELECT {_COLUMNS} FROM unnest({_ARRAYS}) AS batch ({_COLUMNS})
        ORDER BY generation_id
        ON CONFLICT (generation_id) DO NOTHING
        RETURNING account_id, date '1970-01-01' + (created_at_ms / 86400000)::integer AS day, key_hash, model,
            endpoint_id, provider_slug, is_byok, outcome, prompt_tokens, completion_tokens, reasoning_tokens,
            cost_nano_usd
    ), summed AS (
        INSERT INTO analytics.daily_activity AS known
        SELECT account_id, day, key_hash, model, endpoint_id, provider_slug, is_byok,
            count(*), count(*) FILTER (WHERE outcome = 2), count(*) FILTER (WHERE outcome = 3),
            sum(prompt_tokens), sum(completion_tokens), sum(reasoning_tokens), sum(cost_nano_usd)
        FROM fresh
        GROUP BY account_id, day, key_hash, model, endpoint_id, provider_slug, is_byok
        ORDER BY account_id, day, key_hash, model, endpoint_id, provider_slug, is_byok
        ON CONFLICT (account_id, day, key_hash, model, endpoint_id, provider_slug, is_byok) DO UPDATE SET
            requests = known.requests + excluded.requests,
            cancelled = known.cancelled + excluded.cancelled,
            failed = known.failed + excluded.failed,
            prompt_tokens = known.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = known.completion_tokens + excluded.completion_tokens,
            reasoning_tokens = known.reasoning_tokens + excluded.reasoning_tokens,
            cost_nano_usd = known.cost_nano_usd + excluded.cost_nano_usd
    )
    SELECT count(*) FROM fresh
"""  # noqa: S608

_GET = "SELECT event FROM analytics.generations WHERE generation_id = $1 AND account_id = $2"

_ACTIVITY = """
    SELECT day, key_hash, model, endpoint_id, provider_slug, is_byok, requests, cancelled, failed,
        prompt_tokens, completion_tokens, reasoning_tokens, cost_nano_usd
    FROM analytics.daily_activity
    WHERE account_id = $1 AND day BETWEEN $2 AND $3
    ORDER BY day, key_hash, model, endpoint_id, provider_slug, is_byok
"""


class PostgresRecordStore:
    """A `RecordStore` on a pool that is given to it; its tables exist already."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def insert(self, rows: Sequence[GenerationRow]) -> int:
        columns = list(zip(*rows, strict=True)) or [()] * len(GenerationRow._fields)
        with database_away_is_unavailable():
            count: int = await self._pool.fetchval(_INSERT, *columns)
        return count

    async def get_event(self, account_id: str, generation_id: str) -> bytes | None:
        with database_away_is_unavailable():
            event: bytes | None = await self._pool.fetchval(_GET, generation_id, account_id)
        return event

    async def daily_activity(self, account_id: str, first: date, last: date) -> list[DailyActivity]:
        with database_away_is_unavailable():
            rows = await self._pool.fetch(_ACTIVITY, account_id, first, last)
        return [DailyActivity(*row[:9], *(int(total) for total in row[9:])) for row in rows]
