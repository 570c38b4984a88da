"""A ledger store in memory, and builders for what goes into it.

Owns the plainest possible statement of what a store does: `core` decides, dicts remember. Invariant: it passes the same
conformance suite as PostgreSQL, so a service tested against it behaves as against the real one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from switchyard.common.v1.price_pb2 import PriceSnapshot
from switchyard.common.v1.usage_pb2 import USAGE_SOURCE_PROVIDER, TokenUsage
from switchyard.events.v1.usage_recorded_pb2 import OUTCOME_COMPLETED, Outcome, UsageRecorded

from libs.bus.port import Delivered, Record
from libs.clock import Clock, SystemClock
from libs.errors import AppError, Kind
from libs.pricing import Prices, Units, charge
from services.billing_ledger.core.admission import MAX_CREDIT_NANO_USD, HoldDecision, HoldOutcome, HoldWish, decide
from services.billing_ledger.core.books import Entry, purchase_entries, purchase_id, settlement_entries
from services.billing_ledger.core.settlements import SettlementBatch, SettlementRow
from services.billing_ledger.core.windows import TOTAL, Reset, day_of, window_of, windows_of_day
from services.billing_ledger.ports import Credits, Grant, KeySpend, Settled

NOW_MS = 1_795_478_400_000  # 2026-11-24, a Tuesday, 00:00 UTC


@dataclass(slots=True)
class _Account:
    credited: int = 0
    used: int = 0
    held: int = 0
    overdraft: int = 0


@dataclass(frozen=True, slots=True)
class _Hold:
    wish: HoldWish
    decision: HoldDecision
    held_at_s: float


@dataclass
class MemoryLedgerStore:
    """Implements `ports.LedgerStore`; `away` makes every call fail as if the database were away."""

    clock: Clock = field(default_factory=SystemClock)
    away: bool = False
    entries: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    settlements: dict[str, SettlementRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._accounts: defaultdict[str, _Account] = defaultdict(_Account)
        self._holds: dict[str, _Hold] = {}
        self._spent: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._purchases: set[tuple[str, str]] = set()
        self._leases: dict[str, float] = {}

    async def hold(self, wishes: Sequence[HoldWish], now_ms: int) -> list[HoldDecision]:
        self._fail_if_away()
        return [self._decide(wish, now_ms) for wish in wishes]

    async def void(self, generation_ids: Sequence[str]) -> int:
        self._fail_if_away()
        return sum(self._release(generation_id) for generation_id in generation_ids)

    async def settle(self, batch: SettlementBatch) -> Settled:
        self._fail_if_away()
        duplicates = frozenset(row.generation_id for row in batch.rows() if row.generation_id in self.settlements)
        overdrawn = {
            row.account_id for row in batch.rows() if row.generation_id not in duplicates and self._settle(row)
        }
        return Settled(duplicates, len(overdrawn))

    async def grant(self, grant: Grant) -> bool:
        self._fail_if_away()
        if (grant.account_id, grant.idempotency_key) in self._purchases:
            return False
        account = self._accounts[grant.account_id]
        if account.credited + grant.amount > MAX_CREDIT_NANO_USD:
            raise AppError(Kind.INVALID, "AMOUNT_OUT_OF_RANGE", "No account can hold that much credit.")
        account.credited += grant.amount
        self._purchases.add((grant.account_id, grant.idempotency_key))
        transaction = purchase_id(grant.account_id, grant.idempotency_key)
        self.entries[transaction] = purchase_entries(grant.account_id, grant.amount)
        return True

    async def credits(self, account_id: str) -> Credits:
        self._fail_if_away()
        account = self._accounts.get(account_id, _Account())
        return Credits(account.credited, account.used, account.held, account.overdraft)

    async def key_spend(self, key_hash: str, now_ms: int) -> KeySpend:
        self._fail_if_away()
        windows = (TOTAL, *windows_of_day(day_of(now_ms)))
        return KeySpend(*(self._spent.get((key_hash, window), 0) for window in windows))

    async def renew_lease(self, owner: str, lease_s: float) -> None:
        self._fail_if_away()
        until_s = self.clock.monotonic_s() + lease_s
        self._leases[owner] = max(self._leases.get(owner, until_s), until_s)

    async def sweep(self, *, lease_s: float, grace_s: float, max_age_s: float, limit: int) -> int:
        self._fail_if_away()
        now_s = self.clock.monotonic_s()
        stale = [
            generation_id
            for generation_id, hold in self._holds.items()
            if hold.held_at_s < now_s - max_age_s
            or max(self._leases.get(hold.wish.owner, 0.0), hold.held_at_s + lease_s) < now_s - grace_s
        ]
        return sum(self._release(generation_id) for generation_id in stale[:limit])

    def _decide(self, wish: HoldWish, now_ms: int) -> HoldDecision:
        if wish.generation_id in self.settlements:
            return HoldDecision(HoldOutcome.SETTLED_BEFORE, 0, 0)
        if (known := self._holds.get(wish.generation_id)) is not None:
            outcome = HoldOutcome.CAPPED if known.decision.tokens < wish.tokens else HoldOutcome.GRANTED
            return known.decision._replace(outcome=outcome)
        account = self._accounts.get(wish.account_id, _Account())
        key_room = None
        if wish.key_limit is not None:
            key_held = sum(hold.decision.amount for hold in self._holds.values() if hold.wish.key_hash == wish.key_hash)
            spent = self._spent.get((wish.key_hash, window_of(wish.key_reset, now_ms)), 0)
            key_room = wish.key_limit - spent - key_held
        decision = decide(wish, account.credited - account.used, account.held, key_room)
        if decision.outcome in (HoldOutcome.GRANTED, HoldOutcome.CAPPED):
            account.held += decision.amount
            self._holds[wish.generation_id] = _Hold(wish, decision, self.clock.monotonic_s())
        return decision

    def _release(self, generation_id: str) -> bool:
        hold = self._holds.pop(generation_id, None)
        if hold is None:
            return False
        self._accounts[hold.wish.account_id].held -= hold.decision.amount
        return True

    def _settle(self, row: SettlementRow) -> bool:
        """Returns whether it left the account, or left it further, below zero."""
        self.settlements[row.generation_id] = row
        self._release(row.generation_id)
        account = self._accounts[row.account_id]
        overdrawn = max(0, account.used - account.credited)
        account.used += row.amount
        account.overdraft += max(0, account.used - account.credited) - overdrawn
        for window in (TOTAL, *windows_of_day(day_of(row.created_at_ms))):
            self._spent[row.key_hash, window] += row.amount
        entries = settlement_entries(row.account_id, row.counter_book, row.amount)
        if entries:
            self.entries[row.generation_id] = entries
        return row.amount > 0 and account.used > account.credited

    def _fail_if_away(self) -> None:
        if self.away:
            raise AppError(Kind.NO_ROUTE, "SERVICE_UNAVAILABLE", "The database is away.", retry_after_s=1.0)


class RecordedCounts:
    """Implements `ports.LedgerMetrics` by remembering."""

    def __init__(self) -> None:
        self.holds: defaultdict[str, int] = defaultdict(int)
        self.settlements: defaultdict[int, int] = defaultdict(int)
        self.hold_batches: list[int] = []
        self.duplicates = 0
        self.overdrafts = 0
        self.lags_s: list[float] = []

    def held(self, decisions: Sequence[HoldDecision], longest_s: float) -> None:
        self.hold_batches.append(len(decisions))
        for decision in decisions:
            self.holds[decision.outcome.name.lower()] += 1

    def voided(self, count: int) -> None:
        self.holds["voided"] += count

    def swept(self, count: int) -> None:
        self.holds["swept"] += count

    def settled(self, outcomes: Sequence[int], duplicates: int, overdrafts: int, lag_s: float | None) -> None:
        for outcome in outcomes:
            self.settlements[outcome] += 1
        self.duplicates += duplicates
        self.overdrafts += overdrafts
        if lag_s is not None:
            self.lags_s.append(lag_s)


def wish(
    generation_id: str,
    *,
    account_id: str = "acct_1",
    key_hash: str = "key_1",
    owner: str = "edge_1",
    fixed: int = 0,
    token_price: int = 1_000_000,
    tokens: int = 100,
    minimum_tokens: int | None = None,
    key_limit: int | None = None,
    key_reset: Reset = Reset.NEVER,
) -> HoldWish:
    """A wish whose every token costs one nano-dollar, unless told otherwise."""
    minimum = tokens if minimum_tokens is None else minimum_tokens
    return HoldWish(
        generation_id, account_id, key_hash, owner, fixed, token_price, tokens, minimum, key_limit, key_reset
    )


def settlement(
    generation_id: str,
    amount: int,
    *,
    account_id: str = "acct_1",
    key_hash: str = "key_1",
    counter_book: str = "provider:acme",
    outcome: int | None = None,
    review_reason: str | None = None,
    created_at_ms: int = NOW_MS,
) -> SettlementRow:
    decided = outcome if outcome is not None else (1 if amount else 2)
    return SettlementRow(
        generation_id, account_id, key_hash, amount, counter_book, decided, review_reason, created_at_ms
    )


def batch_of(*rows: SettlementRow) -> SettlementBatch:
    batch = SettlementBatch()
    for row in rows:
        batch.add(row)
    return batch


def usage_event(
    generation_id: str,
    *,
    account_id: str = "acct_1",
    key_hash: str = "key_1",
    prompt_tokens: int = 10,
    completion_tokens: int = 20,
    prompt_price: int = 1_000_000,
    completion_price: int = 2_000_000,
    outcome: Outcome.ValueType = OUTCOME_COMPLETED,
    created_at_ms: int = NOW_MS,
) -> UsageRecorded:
    """An event whose costs are what usage and price give: 50 nano-dollars, unless told otherwise."""
    due = charge(Units(prompt_tokens, completion_tokens), Prices(prompt_price, completion_price))
    return UsageRecorded(
        generation_id=generation_id,
        account_id=account_id,
        key_hash=key_hash,
        created_at_ms=created_at_ms,
        recorded_at_ms=created_at_ms,
        outcome=outcome,
        http_status=200,
        provider_slug="acme",
        usage=TokenUsage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens),
        usage_source=USAGE_SOURCE_PROVIDER,
        price=PriceSnapshot(prompt=prompt_price, completion=completion_price),
        cost_nano_usd=due.total,
        prompt_cost_nano_usd=due.prompt,
        completion_cost_nano_usd=due.completion,
    )


def delivered(value: UsageRecorded | bytes, offset: int = 0) -> Delivered:
    payload = value if isinstance(value, bytes) else value.SerializeToString()
    key = "acct_1" if isinstance(value, bytes) else value.account_id
    return Delivered(Record("switchyard.usage.v1", key, payload), 0, offset, NOW_MS)
