"""Money as integers: amounts in nano-USD, prices in nano-USD per million units.

Owns every multiplication and division of money in the product. Does not know what is being priced.
Invariant: no float takes part, and a cost is rounded exactly once per line item.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import NewType

NanoUsd = NewType("NanoUsd", int)
"""An amount: 1 USD is 1_000_000_000. Negative amounts are legal in ledger entries, never in prices."""

NanoUsdPerMillion = NewType("NanoUsdPerMillion", int)
"""A price of one million units (tokens, requests, images, …)."""

NANO_PER_USD = 1_000_000_000
UNITS_PER_PRICE = 1_000_000
MAX_NANO_USD = 2**63 - 1  # what PostgreSQL's bigint and protobuf's int64 can carry


def cost(units: int, price: NanoUsdPerMillion) -> NanoUsd:
    """What `units` cost: `round_half_up(units × price / 1_000_000)`.

    Raises:
        ValueError: units or price is negative, or the amount leaves int64.
    """
    if units < 0 or price < 0:
        raise ValueError("units and price are never negative")
    amount = (units * price + UNITS_PER_PRICE // 2) // UNITS_PER_PRICE
    if amount > MAX_NANO_USD:
        raise ValueError("the amount leaves the range of int64")
    return NanoUsd(amount)


def affordable_units(amount: NanoUsd, price: NanoUsdPerMillion) -> int | None:
    """The largest number of units whose `cost` is at most `amount`; None when they are free, 0 when there is no amount."""
    if price == 0:
        return None
    if amount <= 0:
        return 0
    # cost(u) <= amount  <=>  u × price + 500_000 < (amount + 1) × 1_000_000
    return max(0, ((amount + 1) * UNITS_PER_PRICE - UNITS_PER_PRICE // 2 - 1) // price)


def parse_usd(text: str) -> NanoUsd:
    """Reads a decimal amount of USD exactly.

    Raises:
        ValueError: not a finite decimal number, finer than a nano-dollar, or beyond int64.
    """
    return NanoUsd(_scaled(text, Decimal(NANO_PER_USD), "an amount of USD"))


def parse_price_per_unit(text: str) -> NanoUsdPerMillion:
    """Reads a price in USD per unit (as catalogues write them) exactly.

    Raises:
        ValueError: negative, not a finite decimal, finer than a nano-dollar per million units, or beyond int64.
    """
    value = _scaled(text, Decimal(NANO_PER_USD) * UNITS_PER_PRICE, "a price in USD per unit")
    if value < 0:
        raise ValueError(f"a price is never negative: {text!r}")
    return NanoUsdPerMillion(value)


def format_usd(amount: int) -> str:
    """The shortest decimal of an amount in USD, such as `0.000123`, `12` or `-0.5`; never an exponent."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), NANO_PER_USD)
    fraction = f"{rest:09d}".rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def format_price_per_unit(price: int) -> str:
    """The shortest decimal of a price in USD per unit, such as `0.0000006`; the inverse of `parse_price_per_unit`."""
    whole, rest = divmod(price, NANO_PER_USD * UNITS_PER_PRICE)
    fraction = f"{rest:015d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def _scaled(text: str, scale: Decimal, what: str) -> int:
    if len(text) > 64:
        raise ValueError(f"not {what}: longer than 64 characters")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not {what}: {text!r}") from None
    if not value.is_finite() or value.copy_abs() > MAX_NANO_USD:
        raise ValueError(f"not {what}: {text!r}")
    try:
        scaled = Context(prec=128, traps=[Inexact]).multiply(value, scale)
    except Inexact:
        raise ValueError(f"finer than this money can hold: {text!r}") from None
    if scaled != scaled.to_integral_value():
        raise ValueError(f"finer than this money can hold: {text!r}")
    if scaled.copy_abs() > MAX_NANO_USD:
        raise ValueError(f"beyond the range of int64: {text!r}")
    return int(scaled)
