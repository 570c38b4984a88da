"""What an event means for money: charged, free, in review, or refused as inconsistent.

Owns that judgement and the columns in which a batch goes to the store. Does not own the prices: `libs.pricing` does.
Invariant: an amount above zero is exactly what usage and price snapshot give.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from libs.money import NANO_PER_USD
from libs.pricing import Prices, Units, charge
from services.billing_ledger.core.windows import MS_PER_DAY

MAX_COST_NANO_USD: Final = 1_000_000 * NANO_PER_USD
"""No single generation costs more; what claims to is wrong."""

EARLIEST_MS: Final = 1_577_836_800_000
"""2020-01-01: before this product."""
SKEW_MS: Final = MS_PER_DAY
"""How far an edge's clock may be ahead of ours."""


class SettlementOutcome(IntEnum):
    """The numbers are those of the table."""

    CHARGED = 1
    FREE = 2
    REVIEW = 3


class Claim(NamedTuple):
    """What an event says it costs, in nano-USD."""

    total: int
    prompt: int
    completion: int
    request: int


class SettlementRow(NamedTuple):
    """One event, ready for the store."""

    generation_id: str
    account_id: str
    key_hash: str
    amount: int
    counter_book: str
    outcome: int
    review_reason: str | None
    created_at_ms: int


@dataclass(slots=True)
class SettlementBatch:
    """Events in columns, as the database takes them. Generation ids are distinct."""

    generation_ids: list[str] = field(default_factory=list)
    account_ids: list[str] = field(default_factory=list)
    key_hashes: list[str] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    counter_books: list[str] = field(default_factory=list)
    outcomes: list[int] = field(default_factory=list)
    review_reasons: list[str | None] = field(default_factory=list)
    created_at_ms: list[int] = field(default_factory=list)
    oldest_recorded_at_ms: int | None = None
    repeated: int = 0
    """Events left out because the batch held their generation already."""

    def __len__(self) -> int:
        return len(self.generation_ids)

    def add(self, row: SettlementRow) -> None:
        self.generation_ids.append(row.generation_id)
        self.account_ids.append(row.account_id)
        self.key_hashes.append(row.key_hash)
        self.amounts.append(row.amount)
        self.counter_books.append(row.counter_book)
        self.outcomes.append(row.outcome)
        self.review_reasons.append(row.review_reason)
        self.created_at_ms.append(row.created_at_ms)

    def rows(self) -> Iterator[SettlementRow]:
        columns = zip(
            self.generation_ids,
            self.account_ids,
            self.key_hashes,
            self.amounts,
            self.counter_books,
            self.outcomes,
            self.review_reasons,
            self.created_at_ms,
            strict=True,
        )
        return (SettlementRow(*values) for values in columns)


def problem_of_time(created_at_ms: int, now_ms: int) -> str | None:
    """Why a time cannot be the event's; None when it can."""
    if EARLIEST_MS <= created_at_ms <= now_ms + SKEW_MS:
        return None
    return "created_at_ms is out of range"


def problem_of_claim(claim: Claim, units: Units, prices: Prices, *, is_byok: bool) -> str | None:
    """Why an event must not be charged as it stands; None when it may.

    Asked of events that would be charged only: what costs nothing harms nobody, and figures in review are absurd by
    definition. A BYOK fee is not made of usage and list price, so only its sum is checked.
    """
    if min(claim) < 0:
        return "a cost is negative"
    if claim.total > MAX_COST_NANO_USD:
        return "the cost exceeds a million USD"
    if claim.total != claim.prompt + claim.completion + claim.request:
        return "the cost is not the sum of its parts"
    return None if is_byok else _problem_of_parts(claim, units, prices)


def _problem_of_parts(claim: Claim, units: Units, prices: Prices) -> str | None:
    try:
        due = charge(units, prices)
    except ValueError as error:
        return str(error)
    if due != (claim.prompt, claim.completion, claim.request):
        return "the cost is not what usage and price give"
    return None
