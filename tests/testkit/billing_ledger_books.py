"""The books recomputed: every projection is derived again from what is append-only, and compared.

A check of the ledger alone, beside and independent of `services/audit`. Changes nothing. Invariant: all of it sees one
moment of the database, so it may run while the ledger does.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg

_UNBALANCED: Final = """
    SELECT transaction_id AS what, 'entries' AS field, 0::numeric AS expected, sum(amount_nano_usd) AS found
    FROM billing_ledger.entries GROUP BY transaction_id HAVING sum(amount_nano_usd) <> 0
"""
# What a settlement or purchase says it moved is what its entries moved.
_TRANSACTIONS: Final = """
    WITH said AS (
        SELECT generation_id AS id, -amount_nano_usd AS amount FROM billing_ledger.settlements WHERE amount_nano_usd > 0
        UNION ALL
        SELECT 'purchase:' || account_id || ':' || idempotency_key, amount_nano_usd FROM billing_ledger.purchases
    ), entered AS (
        SELECT transaction_id AS id, sum(amount_nano_usd) AS amount
        FROM billing_ledger.entries WHERE starts_with(book, 'credit:') GROUP BY transaction_id
    )
    SELECT id AS what, 'transaction' AS field, coalesce(s.amount, 0)::numeric AS expected, coalesce(e.amount, 0) AS found
    FROM said s FULL JOIN entered e USING (id) WHERE s.amount IS DISTINCT FROM e.amount
"""
_ACCOUNTS: Final = """
    WITH entered AS (
        SELECT substr(book, 8) AS id,
            coalesce(sum(amount_nano_usd) FILTER (WHERE amount_nano_usd > 0), 0) AS credited,
            coalesce(-sum(amount_nano_usd) FILTER (WHERE amount_nano_usd < 0), 0) AS used
        FROM billing_ledger.entries WHERE starts_with(book, 'credit:') GROUP BY book
    ), held AS (
        SELECT account_id AS id, sum(amount_nano_usd) AS held FROM billing_ledger.holds GROUP BY account_id
    )
    SELECT id AS what, t.field, t.expected, t.found
    FROM billing_ledger.accounts a FULL JOIN entered e USING (id) FULL JOIN held h USING (id),
        LATERAL (VALUES
            ('credited', coalesce(e.credited, 0), coalesce(a.credited_nano_usd, 0)::numeric),
            ('used', coalesce(e.used, 0), coalesce(a.used_nano_usd, 0)::numeric),
            ('held', coalesce(h.held, 0), coalesce(a.held_nano_usd, 0)::numeric)
        ) t (field, expected, found)
    WHERE t.expected <> t.found
"""
_KEYS: Final = """
    WITH settled AS (
        SELECT key_hash, sum(amount_nano_usd) AS spent FROM billing_ledger.settlements GROUP BY key_hash
    ), held AS (
        SELECT key_hash, sum(amount_nano_usd) AS held FROM billing_ledger.holds GROUP BY key_hash
    )
    SELECT key_hash AS what, t.field, t.expected, t.found
    FROM billing_ledger.keys k FULL JOIN settled s USING (key_hash) FULL JOIN held h USING (key_hash),
        LATERAL (VALUES
            ('key spent', coalesce(s.spent, 0), coalesce(k.spent_nano_usd, 0)::numeric),
            ('key held', coalesce(h.held, 0), coalesce(k.held_nano_usd, 0)::numeric)
        ) t (field, expected, found)
    WHERE t.expected <> t.found
"""
_WINDOWS: Final = """
    WITH dated AS (
        SELECT key_hash, amount_nano_usd, date_trunc('day', to_timestamp(created_at_ms / 1000) AT TIME ZONE 'UTC') AS day
        FROM billing_ledger.settlements WHERE amount_nano_usd > 0
    ), expected AS (
        SELECT d.key_hash, w.time_window, sum(d.amount_nano_usd) AS spent
        FROM dated d, LATERAL (VALUES
            ('d:' || to_char(d.day, 'YYYY-MM-DD')),
            ('w:' || to_char(date_trunc('week', d.day), 'YYYY-MM-DD')),
            ('m:' || to_char(d.day, 'YYYY-MM'))
        ) w (time_window) GROUP BY d.key_hash, w.time_window
    )
    SELECT key_hash || ' ' || time_window AS what, 'key spend' AS field,
        coalesce(e.spent, 0) AS expected, coalesce(s.spent_nano_usd, 0)::numeric AS found
    FROM billing_ledger.key_spend s FULL JOIN expected e USING (key_hash, time_window)
    WHERE s.spent_nano_usd IS DISTINCT FROM e.spent
"""
_COUNTS: Final = """
    SELECT
        (SELECT count(*) FROM billing_ledger.settlements),
        (SELECT coalesce(sum(amount_nano_usd), 0) FROM billing_ledger.settlements),
        (SELECT count(*) FROM billing_ledger.holds),
        (SELECT coalesce(sum(amount_nano_usd), 0) FROM billing_ledger.entries)
"""
_MOST = 100


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that should be equal and is not; amounts in nano-USD."""

    what: str
    field: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Audit:
    differences: tuple[Difference, ...]
    """At most a hundred of each kind."""
    settlements: int
    settled_nano_usd: int
    open_holds: int
    entries_nano_usd: int
    """The sum of all entries: zero."""


async def audit(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> Audit:
    """Compares every projection with what it is made of."""
    differences: list[Difference] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for query in (_UNBALANCED, _TRANSACTIONS, _ACCOUNTS, _KEYS, _WINDOWS):
            rows = await connection.fetch(f"{query} LIMIT {_MOST}", timeout=600)
            differences += [Difference(row[0], row[1], int(row[2]), int(row[3])) for row in rows]
        counts = await connection.fetchrow(_COUNTS, timeout=600)
    assert counts is not None
    return Audit(tuple(differences), *(int(value) for value in counts))
