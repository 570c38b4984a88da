from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

from libs.bus.port import Record
from libs.bus.segments import SegmentName, encode
from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from services.audit.core.findings import Finding, State, is_clean
from services.audit.handlers import audit
from services.audit.store import open_snapshot

pytestmark = pytest.mark.postgres

KEY = "a" * 64
HOUR_MS = 3_600_000
SUNDAY_MS = 1_764_547_199_999  # 2025-11-30 23:59:59.999 UTC: a Sunday, and the last day of a month

BOOKS = f"""
    INSERT INTO key_management.accounts VALUES ('acct_1', 'w1', true, 0);
    INSERT INTO key_management.keys (key_hash, account_id, workspace_id, name, label, is_management, created_at_ms,
        limit_reset, include_byok_in_limit) VALUES ('{KEY}', 'acct_1', 'w1', 'n', 'l', false, 0, 'never', false);
    INSERT INTO billing_ledger.accounts (id, credited_nano_usd, used_nano_usd, held_nano_usd)
        VALUES ('acct_1', 1000, 30, 7);
    INSERT INTO billing_ledger.purchases VALUES ('acct_1', 'welcome', 1000, 'r');
    INSERT INTO billing_ledger.settlements (generation_id, account_id, key_hash, amount_nano_usd, outcome, created_at_ms,
        settled_at) VALUES
        ('gen-1', 'acct_1', '{KEY}', 10, 1, {SUNDAY_MS}, now() - interval '2 hours'),
        ('gen-2', 'acct_1', '{KEY}', 20, 1, {SUNDAY_MS + 1}, now() - interval '1 hour'),
        ('gen-free', 'acct_1', '{KEY}', 0, 2, {SUNDAY_MS + 2}, now() - interval '1 hour');
    INSERT INTO billing_ledger.keys VALUES ('{KEY}', 30, 7);
    INSERT INTO billing_ledger.key_spend VALUES
        ('{KEY}', 'd:2025-11-30', 10), ('{KEY}', 'w:2025-11-24', 10), ('{KEY}', 'm:2025-11', 10),
        ('{KEY}', 'd:2025-12-01', 20), ('{KEY}', 'w:2025-12-01', 20), ('{KEY}', 'm:2025-12', 20);
    INSERT INTO billing_ledger.holds VALUES ('gen-open', 'acct_1', '{KEY}', 'edge', 7, 1);
    INSERT INTO billing_ledger.entries VALUES
        ('purchase:acct_1:welcome', 'payment_clearing', -1000), ('purchase:acct_1:welcome', 'credit:acct_1', 1000),
        ('gen-1', 'credit:acct_1', -10), ('gen-1', 'provider:groq', 10),
        ('gen-2', 'credit:acct_1', -20), ('gen-2', 'provider:groq', 20);
    CREATE SCHEMA analytics;
    CREATE TABLE analytics.generations (
        generation_id text PRIMARY KEY, account_id text, cost_nano_usd bigint, created_at_ms bigint
    );
    INSERT INTO analytics.generations
        SELECT generation_id, account_id, amount_nano_usd, created_at_ms FROM billing_ledger.settlements;
"""


@pytest.fixture
async def pool(database_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(database_dsn, application_name="test", max_size=2) as pool:
        for service in ("key_management", "billing_ledger"):
            await migrate(pool, schema=service, folder=files(f"services.{service}") / "migrations")
        await pool.execute(BOOKS)
        yield pool


async def findings_of(dsn: str, data_dir: Path | None = None) -> list[Finding]:
    async with open_snapshot(dsn) as snapshot:
        return await audit(snapshot, data_dir)


def checks(findings: Sequence[Finding], state: State) -> dict[str, int]:
    return {finding.check: finding.count for finding in findings if finding.state is state}


async def test_right_books_agree_in_every_check(pool: asyncpg.Pool, database_dsn: str, tmp_path: Path) -> None:
    findings = await findings_of(database_dsn, tmp_path)
    assert {finding.state for finding in findings} == {State.AGREES}, findings


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (
            "DROP TRIGGER entries_balance ON billing_ledger.entries; INSERT INTO billing_ledger.entries VALUES ('x', 'y', 1)",
            "transactions sum to zero",
        ),
        (
            "UPDATE billing_ledger.accounts SET credited_nano_usd = 1001",
            "balances are the sums of their entries",
        ),
        ("UPDATE billing_ledger.purchases SET amount_nano_usd = 999", "credit added is the sum of purchases"),
        (
            "DELETE FROM billing_ledger.settlements WHERE generation_id = 'gen-1'",
            "credit used is the sum of settlements",
        ),
        (
            "INSERT INTO billing_ledger.entries VALUES ('gen-1', 'credit:acct_1', -10), ('gen-1', 'provider:groq', 10)",
            "every settlement and purchase is booked once",
        ),
        ("DELETE FROM billing_ledger.holds", "held is the sum of open holds, per account"),
        ("UPDATE billing_ledger.keys SET held_nano_usd = 0", "held is the sum of open holds, per key"),
        (
            "UPDATE billing_ledger.holds SET generation_id = 'gen-1'",
            "no settled generation is still held",
        ),
        ("UPDATE billing_ledger.keys SET spent_nano_usd = 31", "key spend is the sum of settlements"),
        (
            "DELETE FROM billing_ledger.key_spend WHERE time_window = 'w:2025-12-01'",
            "key spend per window is the sum of settlements",
        ),
        (
            "UPDATE billing_ledger.accounts SET used_nano_usd = 1001",
            "balances below zero are counted as overdraft",
        ),
        ("UPDATE billing_ledger.holds SET account_id = 'acct_x'", "held is the sum of open holds, per account"),
        (
            "INSERT INTO billing_ledger.accounts (id) VALUES ('acct_unknown')",
            "money belongs to accounts that exist",
        ),
        (
            "UPDATE billing_ledger.settlements SET key_hash = 'x' WHERE generation_id = 'gen-free'",
            "settlements belong to keys of their account",
        ),
        (
            "UPDATE analytics.generations SET cost_nano_usd = 11 WHERE generation_id = 'gen-1'",
            "records cost what was settled",
        ),
        ("DELETE FROM analytics.generations WHERE generation_id = 'gen-1'", "every settlement has its record"),
        (
            f"INSERT INTO analytics.generations VALUES ('gen-lost', 'acct_1', 5, {SUNDAY_MS - HOUR_MS})",
            "every record has its settlement",
        ),
    ],
)
async def test_damage_is_found_where_it_is(pool: asyncpg.Pool, database_dsn: str, damage: str, check: str) -> None:
    await pool.execute(damage)
    findings = await findings_of(database_dsn)
    assert check in checks(findings, State.DIFFERS)
    assert not is_clean(findings)


async def test_record_that_analytics_has_not_come_to_is_waiting(pool: asyncpg.Pool, database_dsn: str) -> None:
    await pool.execute("DELETE FROM analytics.generations WHERE generation_id IN ('gen-2', 'gen-free')")
    findings = await findings_of(database_dsn)
    assert checks(findings, State.WAITING) == {"every settlement has its record": 2}
    assert is_clean(findings)


async def test_settlement_that_the_ledger_has_not_come_to_is_waiting(pool: asyncpg.Pool, database_dsn: str) -> None:
    await pool.execute(f"INSERT INTO analytics.generations VALUES ('gen-new', 'acct_1', 5, {SUNDAY_MS + 9})")
    findings = await findings_of(database_dsn)
    assert checks(findings, State.WAITING) == {"every record has its settlement": 1}
    assert is_clean(findings)


async def test_event_log_in_the_database_tells_exactly_what_waits(pool: asyncpg.Pool, database_dsn: str) -> None:
    await migrate(pool, schema="event_log", folder=files("libs.bus") / "migrations")
    await pool.execute("""
        INSERT INTO event_log.topic (name, next_offsets) VALUES ('switchyard.usage.v1', '{5}');
        INSERT INTO event_log.consumer_group (topic_id, name, next_offsets) VALUES (1, 'analytics', '{4}');
        INSERT INTO event_log.entry VALUES (1, 0, 4, now(), 'acct_1', '{"event-id": "gen-2"}', '');
        DELETE FROM analytics.generations WHERE generation_id IN ('gen-2', 'gen-free');
    """)
    findings = await findings_of(database_dsn)
    assert checks(findings, State.WAITING) == {"every settlement has its record": 1}
    (lost,) = [finding for finding in findings if finding.state is State.DIFFERS]
    assert [example.subject for example in lost.examples] == ["gen-free"]


async def test_usage_in_a_spool_is_waiting_unless_it_was_settled(
    pool: asyncpg.Pool, database_dsn: str, tmp_path: Path
) -> None:
    records = [Record("switchyard.usage.v1", "acct_1", b"v", {"event-id": name}) for name in ("gen-1", "gen-open")]
    SegmentName(1, 0).in_folder(tmp_path).write_bytes(b"".join(encode(record) for record in records))
    findings = await findings_of(database_dsn, tmp_path)
    assert checks(findings, State.WAITING) == {"spools are drained": 1}
    assert is_clean(findings)


async def test_audit_cannot_change_anything(pool: asyncpg.Pool, database_dsn: str) -> None:
    async with open_snapshot(database_dsn) as snapshot:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await snapshot.ask("x", "DELETE FROM billing_ledger.holds RETURNING generation_id, 0, 0")


async def test_database_without_tables_is_not_checked_and_not_a_difference(database_dsn: str) -> None:
    findings = await findings_of(database_dsn)
    assert [finding.state for finding in findings] == [State.NOT_CHECKED]
