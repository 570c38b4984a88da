"""May this request run, and with how many tokens: the rule that `migrations/0002_holds.sql` executes in batches.

Owns the decision and the words of a refusal. Does not own balances.
Invariant: what is granted never exceeds what is left of the credit, nor what is left of the key's limit.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from libs.errors import AppError, Kind
from libs.money import NanoUsd, NanoUsdPerMillion, affordable_units, cost
from services.billing_ledger.core.windows import Reset

MAX_NANO_USD: Final = 2**63 - 1
MAX_CREDIT_NANO_USD: Final = 10**18
"""All that one account can ever be given: a thousand million USD, so that a saturated need exceeds it."""


@dataclass(frozen=True, slots=True)
class HoldWish:
    """What a request asks for; amounts in nano-USD, `token_price` per million completion tokens."""

    generation_id: str
    account_id: str
    key_hash: str
    owner: str
    fixed: int
    token_price: int
    tokens: int
    minimum_tokens: int
    key_limit: int | None = None
    key_reset: Reset = Reset.NEVER


class HoldOutcome(IntEnum):
    """The numbers are those of the SQL function."""

    GRANTED = 1
    CAPPED = 2
    REFUSED_CREDIT = 3
    REFUSED_KEY_LIMIT = 4
    SETTLED_BEFORE = 5


class HoldDecision(NamedTuple):
    outcome: HoldOutcome
    amount: int
    """Held nano-USD; without meaning when refused."""
    tokens: int
    """Granted, or affordable when refused."""


def need_of(wish: HoldWish) -> int:
    """What the whole wish costs; an absurd one costs more than anyone has."""
    try:
        return min(wish.fixed + cost(wish.tokens, NanoUsdPerMillion(wish.token_price)), MAX_NANO_USD)
    except ValueError:
        return MAX_NANO_USD


def decide(wish: HoldWish, balance: int, held: int, key_room: int | None) -> HoldDecision:
    """Decides one wish.

    Args:
        wish: the request.
        balance: credit minus usage of the account.
        held: its open holds.
        key_room: what the key may still spend in its window, open holds deducted; None: it has no limit.
    """
    if balance <= 0:
        return HoldDecision(HoldOutcome.REFUSED_CREDIT, 0, 0)
    need = need_of(wish)
    available = balance - held
    if (need == 0 or need <= available) and (key_room is None or need <= key_room):
        return HoldDecision(HoldOutcome.GRANTED, need, wish.tokens)
    room = available if key_room is None else min(available, key_room)
    affordable = _affordable_tokens(room - wish.fixed, wish)
    if room >= wish.fixed and max(wish.minimum_tokens, 1) <= affordable and wish.minimum_tokens < wish.tokens:
        amount = wish.fixed + cost(affordable, NanoUsdPerMillion(wish.token_price))
        return HoldDecision(HoldOutcome.CAPPED, amount, affordable)
    key_is_bound = key_room is not None and key_room < available
    refused = HoldOutcome.REFUSED_KEY_LIMIT if key_is_bound else HoldOutcome.REFUSED_CREDIT
    return HoldDecision(refused, 0, affordable)


def _affordable_tokens(amount: int, wish: HoldWish) -> int:
    if amount < 0:
        return 0
    units = affordable_units(NanoUsd(amount), NanoUsdPerMillion(wish.token_price))
    return wish.tokens if units is None else min(wish.tokens, units)


def refusal(wish: HoldWish, decision: HoldDecision) -> AppError:
    """What the caller is told (reference behaviour-facts §6: both numbers, in words and in metadata)."""
    if decision.outcome is HoldOutcome.SETTLED_BEFORE:
        return AppError(Kind.CONFLICT, "GENERATION_SETTLED", "This generation has come to its end already.")
    metadata = {
        "error_type": "payment_required",
        "requested_tokens": str(wish.tokens),
        "affordable_tokens": str(decision.tokens),
    }
    tokens_are_the_problem = wish.token_price > 0 and wish.tokens > 0
    figures = (
        f" You requested up to {wish.tokens} tokens, but can only afford {decision.tokens}."
        if tokens_are_the_problem
        else ""
    )
    or_fewer = ", or fewer max_tokens" if tokens_are_the_problem else ""
    if decision.outcome is HoldOutcome.REFUSED_KEY_LIMIT:
        window = wish.key_reset.value
        message = f"Key limit exceeded ({window} limit). This request requires a higher limit{or_fewer}.{figures}"
        return AppError(Kind.PAYMENT, "KEY_LIMIT_EXCEEDED", message, {**metadata, "limit_window": window})
    message = f"This request requires more credits{or_fewer}.{figures}"
    return AppError(Kind.PAYMENT, "INSUFFICIENT_CREDITS", message, metadata)
