"""The audit's questions to the database: each selects what does not agree as (subject, found, expected).

Owns the only SQL of the product that reads every service's schema. Changes nothing. Invariant: every statement stands
alone, so that one snapshot is all they have in common.
"""

from collections.abc import Mapping

LEDGER: Mapping[str, str] = {
    "transactions sum to zero": """
        SELECT transaction_id, sum(amount_nano_usd), 0
        FROM billing_ledger.entries GROUP BY transaction_id HAVING sum(amount_nano_usd) <> 0
    """,
    "balances are the sums of their entries": """
        SELECT coalesce(a.id, e.id), a.credited_nano_usd::numeric - a.used_nano_usd, coalesce(e.amount, 0)
        FROM billing_ledger.accounts a FULL JOIN (
            SELECT substr(book, 8) AS id, sum(amount_nano_usd) AS amount
            FROM billing_ledger.entries WHERE book LIKE 'credit:%' GROUP BY book
        ) e ON e.id = a.id
        WHERE a.credited_nano_usd::numeric - a.used_nano_usd IS DISTINCT FROM coalesce(e.amount, 0)
    """,
    "credit added is the sum of purchases": """
        SELECT coalesce(a.id, p.id), a.credited_nano_usd::numeric, coalesce(p.amount, 0)
        FROM billing_ledger.accounts a FULL JOIN (
            SELECT account_id AS id, sum(amount_nano_usd) AS amount FROM billing_ledger.purchases GROUP BY account_id
        ) p ON p.id = a.id
        WHERE a.credited_nano_usd::numeric IS DISTINCT FROM coalesce(p.amount, 0)
    """,
    "credit used is the sum of settlements": """
        SELECT coalesce(a.id, s.id), a.used_nano_usd::numeric, coalesce(s.amount, 0)
        FROM billing_ledger.accounts a FULL JOIN (
            SELECT account_id AS id, sum(amount_nano_usd) AS amount FROM billing_ledger.settlements GROUP BY account_id
        ) s ON s.id = a.id
        WHERE a.used_nano_usd::numeric IS DISTINCT FROM coalesce(s.amount, 0)
    """,
    "every settlement and purchase is booked once": """
        SELECT coalesce(m.id, e.id), e.amount, m.amount
        FROM (
            SELECT generation_id AS id, -amount_nano_usd::numeric AS amount
            FROM billing_ledger.settlements WHERE amount_nano_usd <> 0
            UNION ALL
            SELECT 'purchase:' || account_id || ':' || idempotency_key, amount_nano_usd FROM billing_ledger.purchases
        ) m FULL JOIN (
            SELECT transaction_id AS id, sum(amount_nano_usd) FILTER (WHERE book LIKE 'credit:%') AS amount
            FROM billing_ledger.entries GROUP BY transaction_id
        ) e ON e.id = m.id
        WHERE e.amount IS DISTINCT FROM m.amount
    """,
    "held is the sum of open holds, per account": """
        SELECT coalesce(a.id, h.id), a.held_nano_usd::numeric, coalesce(h.amount, 0)
        FROM billing_ledger.accounts a FULL JOIN (
            SELECT account_id AS id, sum(amount_nano_usd) AS amount FROM billing_ledger.holds GROUP BY account_id
        ) h ON h.id = a.id
        WHERE a.held_nano_usd::numeric IS DISTINCT FROM coalesce(h.amount, 0)
    """,
    "held is the sum of open holds, per key": """
        SELECT left(coalesce(k.key_hash, h.key_hash), 12), coalesce(k.held_nano_usd, 0)::numeric, coalesce(h.amount, 0)
        FROM billing_ledger.keys k FULL JOIN (
            SELECT key_hash, sum(amount_nano_usd) AS amount FROM billing_ledger.holds GROUP BY key_hash
        ) h ON h.key_hash = k.key_hash
        WHERE coalesce(k.held_nano_usd, 0)::numeric <> coalesce(h.amount, 0)
    """,
    "no settled generation is still held": """
        SELECT h.generation_id, h.amount_nano_usd::numeric, 0
        FROM billing_ledger.holds h JOIN billing_ledger.settlements s ON s.generation_id = h.generation_id
    """,
    "key spend is the sum of settlements": """
        SELECT left(coalesce(k.key_hash, s.key_hash), 12), coalesce(k.spent_nano_usd, 0)::numeric, coalesce(s.amount, 0)
        FROM billing_ledger.keys k FULL JOIN (
            SELECT key_hash, sum(amount_nano_usd) AS amount FROM billing_ledger.settlements GROUP BY key_hash
        ) s ON s.key_hash = k.key_hash
        WHERE coalesce(k.spent_nano_usd, 0)::numeric <> coalesce(s.amount, 0)
    """,
    "key spend per window is the sum of settlements": """
        WITH per_day AS (
            SELECT key_hash, sum(amount_nano_usd) AS amount,
                   to_timestamp(div(created_at_ms, 86400000)::bigint * 86400) AT TIME ZONE 'UTC' AS day
            FROM billing_ledger.settlements WHERE amount_nano_usd <> 0
            GROUP BY key_hash, div(created_at_ms, 86400000)
        ), per_window AS (
            SELECT key_hash, time_window, sum(amount) AS amount FROM per_day, LATERAL (VALUES
                ('d:' || to_char(day, 'YYYY-MM-DD')),
                ('w:' || to_char(date_trunc('week', day), 'YYYY-MM-DD')),
                ('m:' || to_char(day, 'YYYY-MM'))
            ) w (time_window) GROUP BY key_hash, time_window
        )
        SELECT left(coalesce(k.key_hash, p.key_hash), 12) || ' ' || coalesce(k.time_window, p.time_window),
               coalesce(k.spent_nano_usd, 0)::numeric, coalesce(p.amount, 0)
        FROM billing_ledger.key_spend k FULL JOIN per_window p
            ON p.key_hash = k.key_hash AND p.time_window = k.time_window
        WHERE coalesce(k.spent_nano_usd, 0)::numeric <> coalesce(p.amount, 0)
    """,
    "balances below zero are counted as overdraft": """
        SELECT id, overdraft_nano_usd::numeric, used_nano_usd::numeric - credited_nano_usd
        FROM billing_ledger.accounts WHERE overdraft_nano_usd < used_nano_usd - credited_nano_usd
    """,
}

NEGATIVE_AVAILABLE = """
    SELECT id, credited_nano_usd::numeric - used_nano_usd - held_nano_usd, 0
    FROM billing_ledger.accounts
    WHERE credited_nano_usd - used_nano_usd >= 0 AND credited_nano_usd - used_nano_usd - held_nano_usd < 0
"""
"""Legal only after a settlement that exceeded its hold, which leaves no trace once the hold is gone."""

KEYS: Mapping[str, str] = {
    "money belongs to accounts that exist": """
        SELECT a.id, a.credited_nano_usd::numeric - a.used_nano_usd, NULL::numeric
        FROM billing_ledger.accounts a LEFT JOIN key_management.accounts k ON k.account_id = a.id
        WHERE k.account_id IS NULL
    """,
    "settlements belong to keys of their account": """
        SELECT s.generation_id, s.amount_nano_usd::numeric, NULL::numeric
        FROM billing_ledger.settlements s LEFT JOIN key_management.keys k
            ON k.key_hash = s.key_hash AND k.account_id = s.account_id
        WHERE k.key_hash IS NULL
    """,
}

RECORDS_TABLE = """
    SELECT quote_ident(table_schema) || '.' || quote_ident(table_name)
    FROM information_schema.columns
    WHERE table_schema = 'analytics' AND column_name IN ('generation_id', 'account_id', 'cost_nano_usd', 'created_at_ms')
    GROUP BY table_schema, table_name HAVING count(*) = 4 ORDER BY table_name LIMIT 1
"""

COSTS_DIFFER = """
    SELECT s.generation_id, r.cost_nano_usd::numeric, s.amount_nano_usd::numeric
    FROM billing_ledger.settlements s JOIN {records} r ON r.generation_id = s.generation_id
    WHERE s.outcome <> 3 AND r.cost_nano_usd <> s.amount_nano_usd
"""
"""Outcome 3 is in review: nothing is charged until a person has looked."""

# `pending` is what a group has not consumed yet, where the event log lies in the same database. Where it does not, a
# consumer that has gone past a generation of the same account (events of an account keep their order) will not come
# back to it: 20 minutes is longer than a request may take.
PENDING_IN_DATABASE = """
    SELECT e.headers->>'event-id' AS generation_id
    FROM event_log.topic t
    JOIN event_log.consumer_group g ON g.topic_id = t.topic_id AND g.name = '{group}'
    JOIN event_log.entry e ON e.topic_id = t.topic_id AND e.entry_offset >= g.next_offsets[e.partition + 1]
    WHERE t.name = 'switchyard.usage.v1'
"""
PENDING_UNKNOWN = "SELECT NULL::text AS generation_id WHERE false"

WITHOUT_RECORD = """
    WITH pending AS ({pending}), missing AS (
        SELECT s.* FROM billing_ledger.settlements s
        LEFT JOIN {records} r ON r.generation_id = s.generation_id WHERE r.generation_id IS NULL
    ), newest AS (
        SELECT r.account_id, max(s.settled_at) AS settled_at
        FROM {records} r JOIN billing_ledger.settlements s ON s.generation_id = r.generation_id
        WHERE r.account_id IN (SELECT account_id FROM missing) GROUP BY r.account_id
    )
    SELECT m.generation_id, NULL::numeric, m.amount_nano_usd::numeric,
           CASE WHEN {exact} THEN m.generation_id IN (SELECT generation_id FROM pending)
                ELSE coalesce(n.settled_at <= m.settled_at, true) END AS waits
    FROM missing m LEFT JOIN newest n ON n.account_id = m.account_id
"""

WITHOUT_SETTLEMENT = """
    WITH pending AS ({pending}), missing AS (
        SELECT r.generation_id, r.account_id, r.cost_nano_usd, r.created_at_ms FROM {records} r
        LEFT JOIN billing_ledger.settlements s ON s.generation_id = r.generation_id WHERE s.generation_id IS NULL
    ), newest AS (
        SELECT account_id, max(created_at_ms) AS created_at_ms FROM billing_ledger.settlements
        WHERE account_id IN (SELECT account_id FROM missing) GROUP BY account_id
    )
    SELECT m.generation_id, NULL::numeric, m.cost_nano_usd::numeric,
           CASE WHEN {exact} THEN m.generation_id IN (SELECT generation_id FROM pending)
                ELSE coalesce(n.created_at_ms < m.created_at_ms + 1200000, true) END AS waits
    FROM missing m LEFT JOIN newest n ON n.account_id = m.account_id
"""

HAS_GROUP = """
    SELECT EXISTS (
        SELECT FROM event_log.topic t JOIN event_log.consumer_group g ON g.topic_id = t.topic_id
        WHERE t.name = 'switchyard.usage.v1' AND g.name = $1
    )
"""

DEAD_LETTERS = """
    SELECT t.name, count(*)::numeric, 0
    FROM event_log.topic t JOIN event_log.entry e ON e.topic_id = t.topic_id
    WHERE t.name LIKE 'switchyard.usage.v1.%.dead' GROUP BY t.name
"""

SETTLED = "SELECT count(*) FROM billing_ledger.settlements WHERE generation_id = ANY ($1::text[])"
