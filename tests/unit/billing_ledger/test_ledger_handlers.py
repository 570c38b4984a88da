import asyncio
from collections.abc import Sequence

import pytest
from switchyard.keys.v1.keys_pb2 import LIMIT_RESET_DAILY
from switchyard.ledger.v1 import ledger_pb2 as pb

from libs.clock import ManualClock
from libs.errors import AppError, Kind
from libs.metrics import Metrics
from services.billing_ledger.batching import NaturalBatcher
from services.billing_ledger.core.admission import HoldDecision, HoldWish
from services.billing_ledger.counters import LedgerCounters
from services.billing_ledger.handlers import LedgerHandlers
from services.billing_ledger.ports import Credits, Grant
from services.billing_ledger.server import LedgerServicer
from services.billing_ledger.sweeper import Sweeper, SweepPolicy
from tests.testkit.billing_ledger import NOW_MS, MemoryLedgerStore, RecordedCounts, batch_of, settlement, wish


class GatedStore(MemoryLedgerStore):
    """Holds wait at a gate, as in a database that takes its time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()

    async def hold(self, wishes: Sequence[HoldWish], now_ms: int) -> list[HoldDecision]:
        self.entered.set()
        await self.gate.wait()
        return await super().hold(wishes, now_ms)


async def test_holds_that_wait_for_the_database_go_as_one_batch() -> None:
    store, counts = GatedStore(), RecordedCounts()
    handlers = LedgerHandlers(store, ManualClock(), counts, max_in_flight=1)
    await handlers.grant(Grant("acct_1", 450, "first", "test"))
    first = asyncio.ensure_future(handlers.hold(wish("g0")))
    await store.entered.wait()
    others = [asyncio.ensure_future(handlers.hold(wish(f"g{n}"))) for n in range(1, 6)]
    await asyncio.sleep(0)
    store.gate.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert counts.hold_batches == [1, 5]
    refused = [result for result in results if isinstance(result, AppError)]
    assert [error.metadata["affordable_tokens"] for error in refused] == ["50", "50"]
    assert counts.holds == {"granted": 4, "refused_credit": 2}


async def test_one_generation_twice_in_a_batch_is_held_once() -> None:
    store = MemoryLedgerStore()
    handlers = LedgerHandlers(store, ManualClock(), RecordedCounts())
    await handlers.grant(Grant("acct_1", 150, "first", "test"))
    first, second = await asyncio.gather(handlers.hold(wish("g1")), handlers.hold(wish("g1")))
    assert first == second
    assert (await handlers.credits("acct_1")).held == 100


async def test_full_queue_is_refused_as_unavailable() -> None:
    store = GatedStore()
    handlers = LedgerHandlers(store, ManualClock(), RecordedCounts(), max_waiting=2, max_in_flight=1)
    running = [asyncio.ensure_future(handlers.hold(wish("g0")))]
    await store.entered.wait()
    running += [asyncio.ensure_future(handlers.hold(wish(f"g{n}"))) for n in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(AppError) as refused:
        await handlers.hold(wish("g3"))
    assert refused.value.http_status == 503
    store.gate.set()
    await asyncio.gather(*running, return_exceptions=True)


async def test_caller_that_gave_up_while_queueing_holds_nothing() -> None:
    store = GatedStore()
    handlers = LedgerHandlers(store, ManualClock(), RecordedCounts(), max_in_flight=1)
    await handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    first = asyncio.ensure_future(handlers.hold(wish("g0")))
    await store.entered.wait()
    impatient = asyncio.ensure_future(handlers.hold(wish("g1")))
    await asyncio.sleep(0)
    impatient.cancel()
    store.gate.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert (await handlers.credits("acct_1")).held == 100


async def test_failed_batch_tells_every_caller_and_the_next_one_works() -> None:
    store = MemoryLedgerStore()
    handlers = LedgerHandlers(store, ManualClock(), RecordedCounts())
    await handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    store.away = True
    results = await asyncio.gather(*(handlers.hold(wish(f"g{n}")) for n in range(3)), return_exceptions=True)
    assert [getattr(result, "http_status", None) for result in results] == [503, 503, 503]
    store.away = False
    assert (await handlers.hold(wish("g9"))).tokens == 100


async def test_asking_again_at_once_after_an_answer_never_hangs() -> None:
    async def answer_all(questions: Sequence[int]) -> Sequence[int]:
        return questions

    batcher = NaturalBatcher(answer_all, service="test", max_batch=4, max_waiting=100, max_in_flight=1)
    async with asyncio.timeout(5):
        assert [await batcher.ask(n) for n in range(50)] == list(range(50))


async def test_batches_never_exceed_their_limit() -> None:
    sizes: list[int] = []

    async def answer_all(questions: Sequence[int]) -> Sequence[int]:
        sizes.append(len(questions))
        await asyncio.sleep(0)
        return [question * 2 for question in questions]

    batcher = NaturalBatcher(answer_all, service="test", max_batch=4, max_waiting=100, max_in_flight=2)
    assert await asyncio.gather(*(batcher.ask(n) for n in range(30))) == [n * 2 for n in range(30)]
    assert max(sizes) == 4


async def test_grant_must_be_positive() -> None:
    handlers = LedgerHandlers(MemoryLedgerStore(), ManualClock(), RecordedCounts())
    for amount in (0, -5):
        with pytest.raises(AppError) as refused:
            await handlers.grant(Grant("acct_1", amount, "first", "test"))
        assert refused.value.kind is Kind.INVALID


def sweeping() -> tuple[MemoryLedgerStore, ManualClock, LedgerHandlers, Sweeper, RecordedCounts]:
    clock = ManualClock(NOW_MS)
    store, counts = MemoryLedgerStore(clock), RecordedCounts()
    handlers = LedgerHandlers(store, clock, counts)
    return store, clock, handlers, Sweeper(handlers, clock, SweepPolicy()), counts


async def test_holds_of_a_dead_edge_are_swept_a_minute_after_its_last_sign_of_life() -> None:
    _, clock, handlers, sweeper, counts = sweeping()
    await handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    await handlers.hold(wish("g1", owner="dies"))
    await handlers.hold(wish("g2", owner="lives"))
    for _ in range(12):
        await handlers.renew_lease("lives")
        clock.advance(5)
        assert await sweeper.round() == 0
    await handlers.renew_lease("lives")
    clock.advance(5)
    assert await sweeper.round() == 1
    assert (await handlers.credits("acct_1")).held == 100
    assert counts.holds["swept"] == 1


async def test_nothing_is_swept_until_edges_could_renew_after_the_database_was_away() -> None:
    store, clock, handlers, sweeper, _ = sweeping()
    await handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    await handlers.hold(wish("g1"))
    for _ in range(20):
        store.away = True
        clock.advance(5)
        assert await sweeper.round() == 0
    store.away = False
    for _ in range(11):
        clock.advance(5)
        assert await sweeper.round() == 0
    await handlers.renew_lease("edge_1")
    clock.advance(5)
    assert await sweeper.round() == 0
    assert (await handlers.credits("acct_1")).held == 100


async def test_nothing_is_swept_right_after_the_machine_slept() -> None:
    _, clock, handlers, sweeper, _ = sweeping()
    await handlers.grant(Grant("acct_1", 1_000, "first", "test"))
    await handlers.hold(wish("g1"))
    clock.advance(3_600)
    assert await sweeper.round() == 0
    for _ in range(12):
        clock.advance(5)
        assert await sweeper.round() in (0, 1)
    assert (await handlers.credits("acct_1")).held == 0


async def test_door_converts_there_and_back() -> None:
    clock = ManualClock(NOW_MS)
    door = LedgerServicer(LedgerHandlers(MemoryLedgerStore(clock), clock, LedgerCounters(Metrics())))
    grant = pb.GrantRequest(account_id="acct_1", amount_nano_usd=500, idempotency_key="first", reason="gift")
    assert (await door.Grant(grant, None)).granted
    assert not (await door.Grant(grant, None)).granted
    request = pb.HoldRequest(
        generation_id="g1",
        account_id="acct_1",
        key_hash="key_1",
        fixed_nano_usd=5,
        token_price=2_000_000,
        tokens=1_000,
        minimum_tokens=16,
        key_limit_nano_usd=105,
        key_limit_reset=LIMIT_RESET_DAILY,
        owner="edge_1",
    )
    held = await door.Hold(request, None)
    assert (held.held_nano_usd, held.tokens) == (105, 50)
    assert (await door.GetCredits(pb.GetCreditsRequest(account_id="acct_1"), None)).held_nano_usd == 105
    assert (await door.RenewLease(pb.RenewLeaseRequest(owner="edge_1"), None)).renew_within_ms == 10_000
    await door.Void(pb.VoidRequest(generation_id="g1"), None)
    assert (await door.GetCredits(pb.GetCreditsRequest(account_id="acct_1"), None)).held_nano_usd == 0
    spend = await door.GetKeySpend(pb.GetKeySpendRequest(key_hash="key_1"), None)
    assert spend == pb.GetKeySpendResponse()


@pytest.mark.parametrize(
    "change",
    [
        {"generation_id": ""},
        {"account_id": "a" * 257},
        {"key_hash": "k\0"},
        {"owner": "edge\n1"},
        {"tokens": -1},
        {"token_price": -1},
        {"key_limit_reset": 77},
    ],
)
async def test_malformed_hold_is_named_invalid(change: dict[str, object]) -> None:
    door = LedgerServicer(LedgerHandlers(MemoryLedgerStore(), ManualClock(), RecordedCounts()))
    request = pb.HoldRequest(generation_id="g", account_id="a", key_hash="k", owner="o", tokens=5)
    for name, value in change.items():
        setattr(request, name, value)
    with pytest.raises(AppError) as refused:
        await door.Hold(request, None)
    assert refused.value.kind is Kind.INVALID


async def test_counts_reach_prometheus() -> None:
    metrics = Metrics()
    clock = ManualClock(NOW_MS)
    handlers = LedgerHandlers(MemoryLedgerStore(clock), clock, LedgerCounters(metrics))
    await handlers.grant(Grant("acct_1", 150, "first", "test"))
    await asyncio.gather(*(handlers.hold(wish(f"g{n}")) for n in range(2)), return_exceptions=True)
    await handlers.void("g0")
    await handlers.settle_batch(batch_of(settlement("g5", 200)))
    assert await handlers.credits("acct_1") == Credits(150, 200, 0, 50)
    samples = metrics.registry.get_sample_value
    assert samples("switchyard_holds_total", {"outcome": "granted"}) == 1
    assert samples("switchyard_holds_total", {"outcome": "refused_credit"}) == 1
    assert samples("switchyard_holds_total", {"outcome": "voided"}) == 1
    assert samples("switchyard_settlements_total", {"outcome": "charged"}) == 1
    assert samples("switchyard_overdrafts_total") == 1
