"""What the handlers need: a store of money, and someone who counts what happened.

One conformance suite (tests/testkit/billing_ledger.py) runs against every store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.billing_ledger.core.admission import HoldDecision, HoldWish
from services.billing_ledger.core.settlements import SettlementBatch


@dataclass(frozen=True, slots=True)
class Grant:
    account_id: str
    amount: int
    idempotency_key: str
    reason: str


class Credits(NamedTuple):
    """Nano-USD of one account. The balance is `credited - used`; what may be spent is that minus `held`."""

    credited: int
    used: int
    held: int
    overdraft: int


class KeySpend(NamedTuple):
    """Nano-USD that a key has spent, in all and in the windows of one moment."""

    total: int
    daily: int
    weekly: int
    monthly: int


class Settled(NamedTuple):
    duplicates: frozenset[str]
    """Generations that had been settled before; nothing was done about them."""
    overdrafts: int
    """Accounts that the batch left, or left further, below zero."""


class LedgerStore(Protocol):
    """Each method is one transaction: it takes effect durably and in full, or not at all.

    Raises:
        AppError: SERVICE_UNAVAILABLE when the database is away.
    """

    async def hold(self, wishes: Sequence[HoldWish], now_ms: int) -> list[HoldDecision]:
        """Decides wishes with distinct generation ids in their order; a generation that is held gets the same answer."""
        ...

    async def void(self, generation_ids: Sequence[str]) -> int:
        """Gives holds back; those that are not there are fine. Returns how many were."""
        ...

    async def settle(self, batch: SettlementBatch) -> Settled:
        """Charges each generation at most once ever, and takes its hold away."""
        ...

    async def grant(self, grant: Grant) -> bool:
        """Adds credit once per account and idempotency key; False: it was there."""
        ...

    async def credits(self, account_id: str) -> Credits: ...

    async def key_spend(self, key_hash: str, now_ms: int) -> KeySpend: ...

    async def renew_lease(self, owner: str, lease_s: float) -> None:
        """Keeps the owner's holds for `lease_s` from now on, by the clock of the database."""
        ...

    async def sweep(self, *, lease_s: float, grace_s: float, max_age_s: float, limit: int) -> int:
        """Voids at most `limit` holds whose owner's lease ended `grace_s` ago, or that are older than `max_age_s`.

        An owner that never renewed has a lease from the hold on. Returns how many were voided.
        """
        ...


class LedgerMetrics(Protocol):
    def held(self, decisions: Sequence[HoldDecision], longest_s: float) -> None: ...

    def voided(self, count: int) -> None: ...

    def swept(self, count: int) -> None: ...

    def settled(self, outcomes: Sequence[int], duplicates: int, overdrafts: int, lag_s: float | None) -> None: ...
