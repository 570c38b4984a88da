"""What the ledger does, one method per use case; the gRPC door, the consumer and the sweeper call these.

Owns the batching of holds and voids. Decides nothing about money: core and the store's functions do.
Invariant: an answer is given only after its effect is durable.
"""

from collections.abc import Sequence

from libs.clock import Clock
from libs.errors import AppError, Kind
from services.billing_ledger.batching import NaturalBatcher
from services.billing_ledger.core.admission import HoldDecision, HoldOutcome, HoldWish, refusal
from services.billing_ledger.core.settlements import SettlementBatch
from services.billing_ledger.ports import Credits, Grant, KeySpend, LedgerMetrics, LedgerStore

NAME = "billing_ledger"
LEASE_S = 30.0
RENEW_WITHIN_S = 10.0
_GRANTED = (HoldOutcome.GRANTED, HoldOutcome.CAPPED)


class LedgerHandlers:
    """The use cases.

    Args:
        store: the money.
        clock: names the windows of key limits, and measures.
        metrics: counts outcomes.
        max_batch: holds or voids in one call to the database.
        max_waiting: holds or voids that may queue; more are refused as unavailable.
        max_in_flight: such calls at once.
    """

    def __init__(
        self,
        store: LedgerStore,
        clock: Clock,
        metrics: LedgerMetrics,
        *,
        max_batch: int = 256,
        max_waiting: int = 10_000,
        max_in_flight: int = 2,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._holds = NaturalBatcher(
            self._decide, service=NAME, max_batch=max_batch, max_waiting=max_waiting, max_in_flight=max_in_flight
        )
        self._voids = NaturalBatcher(
            self._void_all, service=NAME, max_batch=max_batch, max_waiting=max_waiting, max_in_flight=1
        )

    async def hold(self, wish: HoldWish) -> HoldDecision:
        """Grants a wish, in full or capped.

        Raises:
            AppError: INSUFFICIENT_CREDITS or KEY_LIMIT_EXCEEDED (payment) with both numbers; GENERATION_SETTLED when
                it came to its end before; SERVICE_UNAVAILABLE when the database cannot decide now.
        """
        decision = await self._holds.ask((wish, self._clock.monotonic_s()))
        if decision.outcome in _GRANTED:
            return decision
        raise refusal(wish, decision)

    async def void(self, generation_id: str) -> None:
        """Gives a hold back; an unknown or settled one is fine."""
        await self._voids.ask(generation_id)

    async def renew_lease(self, owner: str) -> float:
        """Keeps the owner's holds; returns within how many seconds to come again."""
        await self._store.renew_lease(owner, LEASE_S)
        return RENEW_WITHIN_S

    async def sweep(self, *, grace_s: float, max_age_s: float, limit: int = 1_000) -> int:
        """Voids holds that nobody will settle; returns how many."""
        total = 0
        while True:
            swept = await self._store.sweep(lease_s=LEASE_S, grace_s=grace_s, max_age_s=max_age_s, limit=limit)
            total += swept
            self._metrics.swept(swept)
            if swept < limit:
                return total

    async def grant(self, grant: Grant) -> bool:
        """Adds credit; False when this idempotency key did so before."""
        if grant.amount <= 0:
            raise AppError(Kind.INVALID, "AMOUNT_NOT_POSITIVE", "Only a positive amount can be granted.")
        return await self._store.grant(grant)

    async def credits(self, account_id: str) -> Credits:
        """What an account was given and used; zeros for one that is not known."""
        return await self._store.credits(account_id)

    async def key_spend(self, key_hash: str) -> KeySpend:
        """What a key has spent in the windows of now."""
        return await self._store.key_spend(key_hash, self._clock.now_ms())

    async def settle_batch(self, batch: SettlementBatch) -> None:
        """Charges what is due, once, and lets the holds go."""
        if not len(batch):
            return
        settled = await self._store.settle(batch)
        outcomes: Sequence[int] = batch.outcomes
        if settled.duplicates:
            pairs = zip(batch.generation_ids, batch.outcomes, strict=True)
            outcomes = [outcome for generation_id, outcome in pairs if generation_id not in settled.duplicates]
        oldest_ms = batch.oldest_recorded_at_ms
        lag_s = None if oldest_ms is None else max(0.0, (self._clock.now_ms() - oldest_ms) / 1000)
        self._metrics.settled(outcomes, len(settled.duplicates) + batch.repeated, settled.overdrafts, lag_s)

    async def _decide(self, asked: Sequence[tuple[HoldWish, float]]) -> list[HoldDecision]:
        wishes = {wish.generation_id: wish for wish, _ in asked}
        distinct = list(wishes.values())
        decisions = await self._store.hold(distinct, self._clock.now_ms())
        self._metrics.held(decisions, self._clock.monotonic_s() - asked[0][1])
        if len(distinct) == len(asked):
            return decisions
        by_id = dict(zip(wishes, decisions, strict=True))
        return [by_id[wish.generation_id] for wish, _ in asked]

    async def _void_all(self, generation_ids: Sequence[str]) -> list[None]:
        self._metrics.voided(await self._store.void(generation_ids))
        return [None] * len(generation_ids)
