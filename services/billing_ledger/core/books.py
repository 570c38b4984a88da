"""The books of the ledger and what a transaction enters into them.

Owns their names and signs. Does not own storage: `migrations/0003_settlement.sql` enters the same.
Invariant: the entries of a transaction sum to zero. A book's balance is the sum of its entries; a customer's book is
what we owe the customer, a provider's book what we owe the provider.
"""

from typing import Final, NamedTuple

PAYMENT_CLEARING: Final = "payment_clearing"
BYOK_FEES: Final = "revenue:byok_fees"


class Entry(NamedTuple):
    book: str
    amount_nano_usd: int


def credit_book(account_id: str) -> str:
    return f"credit:{account_id}"


def counter_book(provider_slug: str, *, is_byok: bool) -> str:
    """Where a charge goes: to the provider, who bills us the list price; a BYOK fee is ours, the provider bills the customer."""
    return BYOK_FEES if is_byok else f"provider:{provider_slug}"


def settlement_entries(account_id: str, counter: str, amount: int) -> tuple[Entry, ...]:
    """Nothing is entered for what is free."""
    if amount == 0:
        return ()
    return (Entry(credit_book(account_id), -amount), Entry(counter, amount))


def purchase_entries(account_id: str, amount: int) -> tuple[Entry, ...]:
    return (Entry(PAYMENT_CLEARING, -amount), Entry(credit_book(account_id), amount))


def purchase_id(account_id: str, idempotency_key: str) -> str:
    return f"purchase:{account_id}:{idempotency_key}"
