from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import Kind
from libs.money import NanoUsdPerMillion, cost
from libs.pricing import Prices, Units, charge
from services.billing_ledger.core import books
from services.billing_ledger.core.admission import HoldDecision, HoldOutcome, decide, need_of, refusal
from services.billing_ledger.core.settlements import MAX_COST_NANO_USD, Claim, problem_of_claim, problem_of_time
from services.billing_ledger.core.windows import MS_PER_DAY, Reset, day_of, window_of, windows_of_day
from tests.testkit.billing_ledger import NOW_MS, wish

amounts = st.integers(0, 10**15)
signed_amounts = st.integers(-(10**12), 10**15)
prices = st.integers(0, 10**13)
tokens = st.integers(0, 10**7)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "daily", "weekly", "monthly"),
    [
        ("2026-11-22T23:59:59.999", "d:2026-11-22", "w:2026-11-16", "m:2026-11"),
        ("2026-11-23T00:00:00.000", "d:2026-11-23", "w:2026-11-23", "m:2026-11"),
        ("2026-11-30T23:59:59.999", "d:2026-11-30", "w:2026-11-30", "m:2026-11"),
        ("2026-12-01T00:00:00.000", "d:2026-12-01", "w:2026-11-30", "m:2026-12"),
        ("2026-12-31T23:59:59.999", "d:2026-12-31", "w:2026-12-28", "m:2026-12"),
        ("2027-01-01T00:00:00.000", "d:2027-01-01", "w:2026-12-28", "m:2027-01"),
        ("2028-02-29T12:00:00.000", "d:2028-02-29", "w:2028-02-28", "m:2028-02"),
    ],
)
def test_moment_at_a_utc_boundary_belongs_to_its_windows(moment: str, daily: str, weekly: str, monthly: str) -> None:
    moment_ms = at(moment)
    assert window_of(Reset.DAILY, moment_ms) == daily
    assert window_of(Reset.WEEKLY, moment_ms) == weekly
    assert window_of(Reset.MONTHLY, moment_ms) == monthly
    assert window_of(Reset.NEVER, moment_ms) == "total"


@given(st.integers(0, 4_000_000_000_000))
def test_any_moment_lies_in_the_week_that_is_named(moment_ms: int) -> None:
    _, weekly, monthly = windows_of_day(day_of(moment_ms))
    monday = date.fromisoformat(weekly[2:])
    this = datetime.fromtimestamp(moment_ms // 1000, UTC).date()
    assert monday.weekday() == 0
    assert monday <= this < monday + timedelta(days=7)
    assert monthly[2:] == this.isoformat()[:7]


@given(signed_amounts, amounts, st.none() | signed_amounts, amounts, prices, tokens, tokens)
def test_decision_never_exceeds_credit_or_key_limit(
    balance: int, held: int, key_room: int | None, fixed: int, price: int, asked: int, minimum: int
) -> None:
    request = wish("g", fixed=fixed, token_price=price, tokens=asked, minimum_tokens=min(minimum, asked))
    decision = decide(request, balance, held, key_room)
    if decision.outcome in (HoldOutcome.GRANTED, HoldOutcome.CAPPED):
        assert balance > 0
        assert decision.amount == fixed + cost(decision.tokens, NanoUsdPerMillion(price))
        assert decision.amount == 0 or decision.amount <= balance - held
        assert key_room is None or decision.amount <= key_room
        assert request.minimum_tokens <= decision.tokens <= asked
    else:
        assert (
            need_of(request) > balance - held or balance <= 0 or (key_room is not None and need_of(request) > key_room)
        )
        assert 0 <= decision.tokens <= asked


@given(st.integers(1, 10**15), amounts, prices.filter(bool), st.integers(1, 10**7))
def test_capped_or_refused_number_is_the_largest_that_is_affordable(
    balance: int, fixed: int, price: int, asked: int
) -> None:
    decision = decide(wish("g", fixed=fixed, token_price=price, tokens=asked, minimum_tokens=0), balance, 0, None)
    if decision.outcome is not HoldOutcome.GRANTED and balance > fixed:
        assert fixed + cost(decision.tokens, NanoUsdPerMillion(price)) <= balance
        assert fixed + cost(decision.tokens + 1, NanoUsdPerMillion(price)) > balance


def test_refusal_for_credit_says_both_numbers() -> None:
    error = refusal(wish("g", tokens=4096), HoldDecision(HoldOutcome.REFUSED_CREDIT, 0, 512))
    assert (error.kind, error.reason, error.http_status) == (Kind.PAYMENT, "INSUFFICIENT_CREDITS", 402)
    assert error.message == (
        "This request requires more credits, or fewer max_tokens. "
        "You requested up to 4096 tokens, but can only afford 512."
    )
    assert error.metadata == {
        "error_type": "payment_required",
        "requested_tokens": "4096",
        "affordable_tokens": "512",
    }


def test_refusal_for_a_key_limit_names_its_window() -> None:
    limited = wish("g", tokens=10, key_limit=5, key_reset=Reset.WEEKLY)
    error = refusal(limited, HoldDecision(HoldOutcome.REFUSED_KEY_LIMIT, 0, 5))
    assert (error.kind, error.reason) == (Kind.PAYMENT, "KEY_LIMIT_EXCEEDED")
    assert "(weekly limit)" in error.message
    assert "up to 10 tokens, but can only afford 5" in error.message
    assert error.metadata["affordable_tokens"] == "5"
    assert error.metadata["limit_window"] == "weekly"


def test_refusal_of_a_free_model_does_not_speak_of_tokens() -> None:
    error = refusal(wish("g", token_price=0), HoldDecision(HoldOutcome.REFUSED_CREDIT, 0, 0))
    assert error.message == "This request requires more credits."


@given(amounts, st.booleans())
def test_entries_of_any_transaction_sum_to_zero(amount: int, is_byok: bool) -> None:
    counter = books.counter_book("acme", is_byok=is_byok)
    settled = books.settlement_entries("acct_1", counter, amount)
    bought = books.purchase_entries("acct_1", amount)
    assert sum(entry.amount_nano_usd for entry in settled) == sum(entry.amount_nano_usd for entry in bought) == 0
    assert (settled == ()) == (amount == 0)


UNITS = Units(1000, 200, 300, 100, 50)
PRICES = Prices(3_000_000, 15_000_000, 7_000_000, cache_read=300_000, reasoning=20_000_000)
DUE = charge(UNITS, PRICES)


def test_claim_that_usage_and_price_give_is_charged() -> None:
    assert problem_of_claim(Claim(DUE.total, *DUE), UNITS, PRICES, is_byok=False) is None


@pytest.mark.parametrize(
    ("claim", "units", "problem"),
    [
        (Claim(DUE.total + 1, *DUE), UNITS, "sum of its parts"),
        (Claim(DUE.total, DUE.prompt + 1, DUE.completion - 1, DUE.request), UNITS, "usage and price"),
        (Claim(DUE.total, DUE.prompt - 1, DUE.completion + 1, DUE.request), UNITS, "usage and price"),
        (Claim(5, 10, -5, 0), UNITS, "negative"),
        (Claim(-1, -1, 0, 0), UNITS, "negative"),
        (Claim(DUE.total, *DUE), UNITS._replace(cache_read_tokens=901), "exceed"),
        (Claim(DUE.total, *DUE), UNITS._replace(reasoning_tokens=201), "exceed"),
        (Claim(DUE.total, *DUE), UNITS._replace(cache_read_tokens=-1), "negative"),
        (Claim(MAX_COST_NANO_USD + 1, MAX_COST_NANO_USD + 1, 0, 0), UNITS, "million USD"),
    ],
)
def test_inconsistent_claim_is_named(claim: Claim, units: Units, problem: str) -> None:
    found = problem_of_claim(claim, units, PRICES, is_byok=False)
    assert found is not None
    assert problem in found


def test_byok_fee_is_checked_for_its_sum_alone() -> None:
    assert problem_of_claim(Claim(9, 5, 4, 0), UNITS, PRICES, is_byok=True) is None
    assert problem_of_claim(Claim(9, 5, 5, 0), UNITS, PRICES, is_byok=True) is not None


def test_time_of_an_event_must_be_of_our_era() -> None:
    assert problem_of_time(NOW_MS, NOW_MS) is None
    assert problem_of_time(NOW_MS + MS_PER_DAY, NOW_MS) is None
    assert problem_of_time(NOW_MS + MS_PER_DAY + 1, NOW_MS) is not None
    assert problem_of_time(0, NOW_MS) is not None
