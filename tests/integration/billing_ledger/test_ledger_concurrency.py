"""The promises under attack: many callers, two replicas, repeated and overlapping batches, connections that die."""

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.clock import ManualClock
from libs.errors import AppError
from libs.pg.pool import open_pool
from libs.pg.transient import is_transient
from services.billing_ledger.consumers import UsageConsumer
from services.billing_ledger.handlers import LedgerHandlers
from services.billing_ledger.ports import Credits, Grant, KeySpend
from services.billing_ledger.store import PostgresLedgerStore
from tests.testkit.billing_ledger import (
    NOW_MS,
    RecordedCounts,
    batch_of,
    delivered,
    settlement,
    usage_event,
    wish,
)
from tests.testkit.billing_ledger_books import audit

pytestmark = pytest.mark.postgres


class Replica:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.store = PostgresLedgerStore(pool)
        self.counts = RecordedCounts()
        clock = ManualClock(NOW_MS)
        self.handlers = LedgerHandlers(self.store, clock, self.counts)
        self.consumer = UsageConsumer(self.handlers, clock)


@pytest.fixture
async def replicas(ledger_dsn: str) -> AsyncIterator[list[Replica]]:
    """Two processes of the ledger, each with its own connections."""
    async with (
        open_pool(ledger_dsn, application_name="one") as one,
        open_pool(ledger_dsn, application_name="two") as two,
    ):
        yield [Replica(one), Replica(two)]


async def assert_books_balance(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        found = await audit(connection)
    assert found.differences == ()
    assert found.entries_nano_usd == 0


async def test_credit_for_ten_grants_ten_of_two_hundred_parallel_requests(
    replicas: list[Replica], ledger_pool: asyncpg.Pool
) -> None:
    await replicas[0].handlers.grant(Grant("acct_1", 1_050, "first", "test"))
    calls = [replicas[n % 2].handlers.hold(wish(f"g{n}", key_hash=f"key_{n % 7}")) for n in range(200)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, AppError)]
    assert len(refused) == 190
    assert {error.reason for error in refused} == {"INSUFFICIENT_CREDITS"}
    assert refused[-1].metadata["affordable_tokens"] == "50"
    assert "can only afford 50." in refused[-1].message
    assert await replicas[1].handlers.credits("acct_1") == Credits(1_050, 0, 1_000, 0)
    assert min(len(replica.counts.hold_batches) for replica in replicas) < 20, "holds were not batched"
    await assert_books_balance(ledger_pool)


async def test_key_limit_for_three_grants_three_of_sixty_parallel_requests(replicas: list[Replica]) -> None:
    await replicas[0].handlers.grant(Grant("acct_1", 10_000, "first", "test"))
    calls = [replicas[n % 2].handlers.hold(wish(f"g{n}", key_limit=300)) for n in range(60)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(result, AppError) for result in results) == 3
    assert (await replicas[0].handlers.credits("acct_1")).held == 300


async def test_overlapping_batches_of_two_consumers_charge_each_generation_once(
    replicas: list[Replica], ledger_pool: asyncpg.Pool
) -> None:
    await replicas[0].handlers.grant(Grant("acct_1", 100_000, "first", "test"))
    events = [usage_event(f"g{n}", account_id=f"acct_{n % 3}") for n in range(300)]
    source = random.Random(7)
    deliveries = []
    for number in range(12):
        chosen = source.sample(events, 150) if number else events
        deliveries.append([delivered(event, offset) for offset, event in enumerate(chosen)])
    handled = [replicas[n % 2].consumer.handle(records) for n, records in enumerate(deliveries)]
    assert await asyncio.gather(*handled) == [[]] * 12
    assert [(await replicas[0].handlers.credits(f"acct_{n}")).used for n in range(3)] == [5_000] * 3
    assert await replicas[0].handlers.key_spend("key_1") == KeySpend(15_000, 15_000, 15_000, 15_000)
    assert sum(replica.counts.settlements[1] for replica in replicas) == 300
    assert sum(replica.counts.duplicates for replica in replicas) == 11 * 150
    await assert_books_balance(ledger_pool)


async def test_everything_at_once_on_two_replicas_keeps_all_books_and_never_overspends(
    replicas: list[Replica], ledger_pool: asyncpg.Pool
) -> None:
    source = random.Random(11)
    accounts = [f"acct_{n}" for n in range(4)]
    for account in accounts:
        await replicas[0].handlers.grant(Grant(account, 2_000, "first", "test"))
    lowest: list[int] = []

    async def one_request(number: int) -> None:
        account = accounts[number % 4]
        replica, other = source.sample(replicas, 2)
        generation_id = f"g{number}"
        request = wish(generation_id, account_id=account, key_hash=f"{account}_{number % 3}", minimum_tokens=10)
        try:
            held = await replica.handlers.hold(request)
        except AppError:
            return
        await asyncio.sleep(source.random() / 100)
        match number % 5:
            case 0:
                await other.handlers.void(generation_id)
            case 1:
                both = batch_of(settlement(generation_id, 0, account_id=account, key_hash=request.key_hash))
                await asyncio.gather(replica.handlers.void(generation_id), other.handlers.settle_batch(both))
            case _:
                amount = source.randint(1, held.amount)
                row = settlement(generation_id, amount, account_id=account, key_hash=request.key_hash)
                again = [replica.handlers.settle_batch(batch_of(row)), other.handlers.settle_batch(batch_of(row))]
                await asyncio.gather(*again)
        credits_ = await other.handlers.credits(account)
        lowest.append(credits_.credited - credits_.used - credits_.held)

    await asyncio.gather(*(one_request(number) for number in range(400)))
    assert min(lowest) >= 0
    for account in accounts:
        credits_ = await replicas[0].handlers.credits(account)
        assert (credits_.held, credits_.overdraft) == (0, 0)
        assert 0 < credits_.used <= 2_000
    await assert_books_balance(ledger_pool)


async def test_settlement_whose_connection_dies_in_the_middle_leaves_nothing_half_done(
    replicas: list[Replica], ledger_pool: asyncpg.Pool
) -> None:
    replica = replicas[0]
    await replica.handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    await replica.handlers.hold(wish("g1"))
    batch = batch_of(settlement("g1", 60), settlement("g2", 5))
    async with ledger_pool.acquire() as blocker, blocker.transaction():
        # The key's row comes after settlements, holds and accounts were written.
        await blocker.fetchval("SELECT 1 FROM billing_ledger.keys WHERE key_hash = 'key_1' FOR UPDATE")
        settling = asyncio.ensure_future(replica.handlers.settle_batch(batch))
        pid = await _pid_that_waits_for_a_lock(ledger_pool, "one")
        await ledger_pool.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(AppError) as failed:
            await settling
    assert is_transient(failed.value)
    assert await replica.handlers.credits("acct_1") == Credits(1_000, 0, 100, 0)
    assert await ledger_pool.fetchval("SELECT count(*) FROM billing_ledger.settlements") == 0
    await assert_books_balance(ledger_pool)
    await replica.handlers.settle_batch(batch)
    assert await replica.handlers.credits("acct_1") == Credits(1_000, 65, 0, 0)
    await assert_books_balance(ledger_pool)


async def test_hold_whose_connection_dies_is_unavailable_and_holds_nothing(
    replicas: list[Replica], ledger_pool: asyncpg.Pool
) -> None:
    replica = replicas[0]
    await replica.handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    async with ledger_pool.acquire() as blocker, blocker.transaction():
        await blocker.fetchval("SELECT 1 FROM billing_ledger.accounts WHERE id = 'acct_1' FOR UPDATE")
        holding = asyncio.ensure_future(replica.handlers.hold(wish("g1")))
        pid = await _pid_that_waits_for_a_lock(ledger_pool, "one")
        await ledger_pool.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(AppError) as failed:
            await holding
    assert failed.value.http_status == 503
    assert (await replica.handlers.hold(wish("g2"))).tokens == 100
    assert await replica.handlers.credits("acct_1") == Credits(1_000, 0, 100, 0)


async def test_caller_that_gives_up_during_settlement_leaves_it_whole_or_undone(
    replicas: list[Replica], ledger_pool: asyncpg.Pool
) -> None:
    replica = replicas[0]
    await replica.handlers.grant(Grant("acct_1", 100_000, "first", "test"))
    source = random.Random(3)
    for number in range(30):
        batch = batch_of(*(settlement(f"g{number}_{n}", 1) for n in range(20)))
        settling = asyncio.ensure_future(replica.handlers.settle_batch(batch))
        await asyncio.sleep(source.random() / 300)
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
    await assert_books_balance(ledger_pool)
    assert (await replica.handlers.credits("acct_1")).used % 20 == 0


async def test_two_accounts_claiming_one_generation_charge_neither_twice(replicas: list[Replica]) -> None:
    await replicas[0].handlers.settle_batch(batch_of(settlement("g1", 10, account_id="acct_1")))
    await replicas[1].handlers.settle_batch(batch_of(settlement("g1", 10, account_id="acct_2")))
    assert (await replicas[0].handlers.credits("acct_1")).used == 10
    assert (await replicas[0].handlers.credits("acct_2")).used == 0


async def _pid_that_waits_for_a_lock(pool: asyncpg.Pool, application_name: str) -> int:
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE application_name = $1 AND wait_event_type = 'Lock' AND datname = current_database()
    """
    async with asyncio.timeout(10):
        while True:
            pid = await pool.fetchval(query, application_name)
            if pid is not None:
                return int(pid)
            await asyncio.sleep(0.005)
