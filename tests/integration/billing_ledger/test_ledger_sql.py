"""The SQL decides as core does: arithmetic, and random histories against the store in memory."""

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.money import NanoUsd, NanoUsdPerMillion, affordable_units, cost
from services.billing_ledger.core.admission import HoldOutcome, HoldWish
from services.billing_ledger.core.settlements import SettlementBatch
from services.billing_ledger.core.windows import MS_PER_DAY, Reset
from services.billing_ledger.ports import Grant, LedgerStore
from services.billing_ledger.store import PostgresLedgerStore
from tests.testkit.billing_ledger import NOW_MS, MemoryLedgerStore, batch_of, settlement, wish
from tests.testkit.billing_ledger_books import audit

pytestmark = pytest.mark.postgres

REAL = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
units = st.integers(0, 10**9)
prices = st.integers(0, 10**10) | st.integers(0, 3)
room = st.integers(-5, 10**18) | st.integers(-5, 5)


@REAL
@given(lines=st.lists(st.tuples(units, prices, room), min_size=1, max_size=200))
async def test_cost_and_affordable_units_agree_to_the_nano(
    ledger_pool: asyncpg.Pool, lines: list[tuple[int, int, int]]
) -> None:
    rows = await ledger_pool.fetch(
        """
        SELECT billing_ledger.cost(u, p), billing_ledger.affordable_units(r, p, u)
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) t (u, p, r)
        """,
        *(list(column) for column in zip(*lines, strict=True)),
    )
    for (wanted, price, amount), (sql_cost, sql_affordable) in zip(lines, rows, strict=True):
        assert sql_cost == cost(wanted, NanoUsdPerMillion(price))
        limit = affordable_units(NanoUsd(amount), NanoUsdPerMillion(price)) if amount >= 0 else 0
        assert sql_affordable == (wanted if limit is None else min(wanted, limit))


names = st.sampled_from(["a", "b", "c"])
generations = st.integers(0, 12).map(str)
moments = st.sampled_from([NOW_MS, NOW_MS - 1, NOW_MS - MS_PER_DAY, NOW_MS - MS_PER_DAY - 1, NOW_MS + 7 * MS_PER_DAY])


@st.composite
def wishes(draw: st.DrawFn) -> HoldWish:
    account = draw(names)
    tokens = draw(st.integers(0, 60))
    return wish(
        draw(generations) + account,
        account_id=account,
        key_hash=account + draw(st.sampled_from("xy")),
        owner=draw(st.sampled_from(["live", "dead"])),
        fixed=draw(st.integers(0, 20)),
        token_price=draw(st.sampled_from([0, 1, 333_333, 1_000_000, 2_500_000])),
        tokens=tokens,
        minimum_tokens=draw(st.integers(0, tokens)),
        key_limit=draw(st.none() | st.integers(0, 200)),
        key_reset=draw(st.sampled_from(Reset)),
    )


@st.composite
def settlements(draw: st.DrawFn) -> SettlementBatch:
    rows = {}
    for _ in range(draw(st.integers(1, 5))):
        account = draw(names)
        row = settlement(
            draw(generations) + account,
            draw(st.integers(0, 120)),
            account_id=account,
            key_hash=account + draw(st.sampled_from("xy")),
            counter_book=draw(st.sampled_from(["provider:acme", "revenue:byok_fees"])),
            created_at_ms=draw(moments),
        )
        rows[row.generation_id] = row
    return batch_of(*rows.values())


histories = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), names, st.integers(1, 300), generations),
        st.tuples(
            st.just("hold"), st.lists(wishes(), min_size=1, max_size=6, unique_by=lambda w: w.generation_id), moments
        ),
        st.tuples(
            st.just("hold"), st.lists(wishes(), min_size=1, max_size=6, unique_by=lambda w: w.generation_id), moments
        ),
        st.tuples(st.just("void"), st.lists(st.tuples(generations, names).map("".join), max_size=4, unique=True)),
        st.tuples(st.just("settle"), settlements()),
        st.tuples(st.just("settle"), settlements()),
        st.tuples(st.just("sweep")),
    ),
    min_size=1,
    max_size=25,
)


async def step(store: LedgerStore, action: tuple[object, ...]) -> object:
    match action:
        case ("grant", str(account), int(amount), str(key)):
            return await store.grant(Grant(account, amount, key, "test"))
        case ("hold", list(asked), int(now_ms)):
            decisions = await store.hold(asked, now_ms)
            return [decision if decision.outcome <= HoldOutcome.CAPPED else decision[::2] for decision in decisions]
        case ("void", list(generation_ids)):
            return await store.void(generation_ids)
        case ("settle", SettlementBatch() as batch):
            return await store.settle(batch)
        case _:
            await store.renew_lease("live", 3600)
            return await store.sweep(lease_s=0, grace_s=0, max_age_s=3600, limit=1000)


@settings(REAL, max_examples=120)
@given(history=histories)
async def test_any_history_gives_the_same_answers_as_core_and_keeps_the_books(
    ledger_pool: asyncpg.Pool, history: list[tuple[object, ...]]
) -> None:
    await _empty(ledger_pool)
    model, real = MemoryLedgerStore(), PostgresLedgerStore(ledger_pool)
    for number, action in enumerate(history):
        assert await step(real, action) == await step(model, action), f"step {number}"
        for account in "abc":
            assert await real.credits(account) == await model.credits(account)
    for key in ("ax", "ay", "bx", "by", "cx", "cy"):
        assert await real.key_spend(key, NOW_MS) == await model.key_spend(key, NOW_MS)
    async with ledger_pool.acquire() as connection:
        found = await audit(connection)
        entries = await connection.fetch("SELECT transaction_id, book, amount_nano_usd FROM billing_ledger.entries")
    assert found.differences == ()
    assert found.entries_nano_usd == 0
    expected = [(name, *entry) for name, transaction in model.entries.items() for entry in transaction]
    assert sorted(tuple(row) for row in entries) == sorted(expected)


async def test_entries_can_be_neither_changed_nor_removed_nor_lopsided(ledger_pool: asyncpg.Pool) -> None:
    store = PostgresLedgerStore(ledger_pool)
    await store.grant(Grant("acct_1", 5, "first", "test"))
    for statement in (
        "UPDATE billing_ledger.entries SET amount_nano_usd = 7",
        "DELETE FROM billing_ledger.entries",
        "TRUNCATE billing_ledger.entries",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await ledger_pool.execute(statement)
    with pytest.raises(asyncpg.CheckViolationError):
        await ledger_pool.execute("INSERT INTO billing_ledger.entries VALUES ('t', 'credit:acct_1', 5)")
    assert await ledger_pool.fetchval("SELECT count(*) FROM billing_ledger.entries") == 2


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE billing_ledger.accounts SET used_nano_usd = used_nano_usd + 1",
        "UPDATE billing_ledger.accounts SET held_nano_usd = held_nano_usd + 1",
        "UPDATE billing_ledger.keys SET spent_nano_usd = spent_nano_usd - 1",
        "UPDATE billing_ledger.key_spend SET spent_nano_usd = spent_nano_usd + 1 WHERE time_window LIKE 'w:%'",
        "DELETE FROM billing_ledger.holds",
        "DELETE FROM billing_ledger.purchases",
        "UPDATE billing_ledger.settlements SET amount_nano_usd = 0",
        "INSERT INTO billing_ledger.entries VALUES ('x', 'credit:acct_1', 5), ('x', 'provider:acme', -5)",
    ],
)
async def test_audit_finds_what_was_tampered_with(ledger_pool: asyncpg.Pool, tampering: str) -> None:
    store = PostgresLedgerStore(ledger_pool)
    await store.grant(Grant("acct_1", 500, "first", "test"))
    await store.hold([wish("g1"), wish("g2")], NOW_MS)
    await store.settle(batch_of(settlement("g1", 50)))
    async with ledger_pool.acquire() as connection:
        assert (await audit(connection)).differences == ()
        await connection.execute(tampering)
        assert (await audit(connection)).differences != ()


async def _empty(pool: asyncpg.Pool) -> None:
    await pool.execute(
        """
        ALTER TABLE billing_ledger.entries DISABLE TRIGGER entries_are_append_only;
        TRUNCATE billing_ledger.accounts, billing_ledger.keys, billing_ledger.key_spend, billing_ledger.holds,
            billing_ledger.hold_owners, billing_ledger.settlements, billing_ledger.purchases, billing_ledger.entries;
        ALTER TABLE billing_ledger.entries ENABLE TRIGGER entries_are_append_only;
        """
    )
