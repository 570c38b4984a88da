import pytest
from switchyard.events.v1.usage_recorded_pb2 import (
    OUTCOME_CANCELLED,
    OUTCOME_FAILED,
    OUTCOME_UNSPECIFIED,
    UsageRecorded,
)

from libs.clock import ManualClock
from libs.errors import AppError
from services.billing_ledger.consumers import UsageConsumer
from services.billing_ledger.core.books import Entry
from services.billing_ledger.handlers import LedgerHandlers
from services.billing_ledger.ports import Credits, Grant
from tests.testkit.billing_ledger import NOW_MS, MemoryLedgerStore, RecordedCounts, delivered, usage_event, wish


class Ledger:
    def __init__(self) -> None:
        self.clock = ManualClock(NOW_MS + 1_500)
        self.store = MemoryLedgerStore(self.clock)
        self.counts = RecordedCounts()
        self.handlers = LedgerHandlers(self.store, self.clock, self.counts)
        self.consumer = UsageConsumer(self.handlers, self.clock)

    async def settle(self, *events: UsageRecorded | bytes) -> list[tuple[int, str]]:
        rejected = await self.consumer.handle([delivered(event, offset) for offset, event in enumerate(events)])
        return [(rejection.index, rejection.reason) for rejection in rejected]


@pytest.fixture
async def ledger() -> Ledger:
    made = Ledger()
    await made.handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    return made


async def test_completed_event_is_charged_to_customer_and_owed_to_provider(ledger: Ledger) -> None:
    await ledger.handlers.hold(wish("g1"))
    assert await ledger.settle(usage_event("g1")) == []
    assert await ledger.handlers.credits("acct_1") == Credits(1_000, 50, 0, 0)
    assert ledger.store.entries["g1"] == (Entry("credit:acct_1", -50), Entry("provider:acme", 50))
    assert (ledger.counts.settlements, ledger.counts.lags_s) == ({1: 1}, [1.5])


async def test_cancelled_event_is_charged(ledger: Ledger) -> None:
    assert await ledger.settle(usage_event("g1", outcome=OUTCOME_CANCELLED)) == []
    assert (await ledger.handlers.credits("acct_1")).used == 50


async def test_byok_fee_is_revenue(ledger: Ledger) -> None:
    event = usage_event("g1")
    event.is_byok = True
    event.cost_nano_usd = event.prompt_cost_nano_usd = 3
    event.completion_cost_nano_usd = 0
    assert await ledger.settle(event) == []
    assert ledger.store.entries["g1"] == (Entry("credit:acct_1", -3), Entry("revenue:byok_fees", 3))


async def test_failed_and_free_events_cost_nothing_and_free_the_hold(ledger: Ledger) -> None:
    await ledger.handlers.hold(wish("g1"))
    await ledger.handlers.hold(wish("g2"))
    failed = usage_event("g1", outcome=OUTCOME_FAILED)
    empty = usage_event("g2", completion_tokens=0)
    empty.cost_nano_usd = empty.prompt_cost_nano_usd = 0
    assert await ledger.settle(failed, empty) == []
    assert await ledger.handlers.credits("acct_1") == Credits(1_000, 0, 0, 0)
    assert ledger.counts.settlements == {2: 2}
    assert set(ledger.store.entries) == {"purchase:acct_1:first"}


async def test_event_in_review_costs_nothing_and_keeps_its_reason(ledger: Ledger) -> None:
    event = usage_event("g1", completion_tokens=10**9)
    event.usage.reasoning_tokens = 2 * 10**9
    event.review_reason = "completion_tokens_exceed_bytes"
    assert await ledger.settle(event) == []
    row = ledger.store.settlements["g1"]
    assert (row.amount, row.review_reason) == (0, "completion_tokens_exceed_bytes")
    assert ledger.counts.settlements == {3: 1}


async def test_event_at_the_prices_of_a_long_prompt_settles_and_at_the_plain_ones_is_refused(ledger: Ledger) -> None:
    """The ledger reckons as the edge does."""
    plain, tiered = usage_event("g1"), usage_event("g2", prompt_price=3_000_000, completion_price=4_000_000)
    for event in (plain, tiered):
        event.price.CopyFrom(plain.price)
        event.price.tiers.add(min_prompt_tokens=event.usage.prompt_tokens - 1, prompt=3_000_000, completion=4_000_000)
    assert await ledger.settle(plain, tiered) == [(0, "the cost is not what usage and price give")]


async def test_event_that_comes_again_is_counted_as_duplicate(ledger: Ledger) -> None:
    await ledger.settle(usage_event("g1"))
    assert await ledger.settle(usage_event("g1"), usage_event("g2"), usage_event("g2")) == []
    assert (await ledger.handlers.credits("acct_1")).used == 100
    assert (ledger.counts.settlements, ledger.counts.duplicates) == ({1: 2}, 2)


async def test_bad_events_are_rejected_with_reasons_and_the_rest_settles(ledger: Ledger) -> None:
    await ledger.handlers.hold(wish("g2"))
    wrong_cost = usage_event("g2")
    wrong_cost.cost_nano_usd += 1
    wrong_cost.prompt_cost_nano_usd += 1
    unnamed = usage_event("")
    undecided = usage_event("g4", outcome=OUTCOME_UNSPECIFIED)
    timeless = usage_event("g5", created_at_ms=0)
    nobody = usage_event("g6")
    nobody.provider_slug = ""
    rejected = await ledger.settle(b"\xff\xff", wrong_cost, usage_event("g3"), unnamed, undecided, timeless, nobody)
    assert rejected == [
        (0, "not a UsageRecorded message"),
        (1, "the cost is not what usage and price give"),
        (3, "generation_id, account_id or key_hash is missing or malformed"),
        (4, "outcome is not set"),
        (5, "created_at_ms is out of range"),
        (6, "provider_slug is missing or malformed"),
    ]
    assert await ledger.handlers.credits("acct_1") == Credits(1_000, 50, 100, 0)  # g2 stays held until it expires


async def test_database_away_fails_the_whole_batch_and_a_retry_settles_it(ledger: Ledger) -> None:
    ledger.store.away = True
    with pytest.raises(AppError) as failed:
        await ledger.settle(usage_event("g1"))
    assert failed.value.reason == "SERVICE_UNAVAILABLE"
    ledger.store.away = False
    assert await ledger.settle(usage_event("g1")) == []
    assert (await ledger.handlers.credits("acct_1")).used == 50


async def test_every_search_is_charged_at_the_price_of_a_request(ledger: Ledger) -> None:
    event = usage_event("g1", prompt_tokens=0, completion_tokens=0)
    event.price.request = 2_000_000
    event.usage.search_units = 3
    event.cost_nano_usd = event.request_cost_nano_usd = 6
    one = usage_event("g2", prompt_tokens=0, completion_tokens=0)
    one.CopyFrom(event)
    one.generation_id = "g2"
    one.usage.search_units = 1
    assert await ledger.settle(event, one) == [(1, "the cost is not what usage and price give")]
    assert (await ledger.handlers.credits("acct_1")).used == 6
