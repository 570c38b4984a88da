"""What is charged, and what never is (DESIGN §4.4, §8)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.pricing import FREE, Prices, Units, charge
from services.edge_proxy.core.metering import (
    NOTHING,
    OUTPUT_SLACK_TOKENS,
    PROMPT_SLACK_TOKENS,
    Seen,
    Source,
    absurdity,
    meter,
)

PRICES = Prices(prompt=1_000_000_000, completion=2_000_000_000)


def seen(
    *, prompt_bytes: int = 100, reply_bytes: int = 1000, text_only: bool = True, max_tokens: int | None = None,
    finish_reason: str = "stop",
) -> Seen:  # fmt: skip
    return Seen(prompt_bytes, reply_bytes, text_only, max_tokens, finish_reason)


def test_plausible_figures_are_charged_at_their_price() -> None:
    metered = meter(Units(10, 5), Source.PROVIDER, PRICES, seen())
    assert (metered.charge.prompt, metered.charge.completion, metered.review_reason) == (10_000, 10_000, "")


@pytest.mark.parametrize(
    ("completion", "finish_reason", "charged"),
    [(0, "", False), (0, "stop", True), (5, "", True), (5, "error", False), (0, "error", False), (5, "length", True)],
)
def test_empty_and_failed_completions_are_free_and_answers_are_not(
    completion: int, finish_reason: str, charged: bool
) -> None:
    metered = meter(Units(10, completion), Source.PROVIDER, PRICES, seen(finish_reason=finish_reason))
    assert (metered.charge.total > 0) is charged
    assert metered.units == Units(10, completion)
    assert metered.review_reason == ""


def test_what_completes_nothing_is_charged_without_a_completion() -> None:
    what = replace(seen(finish_reason=""), completes=False)
    metered = meter(Units(10, 0), Source.PROVIDER, PRICES, what)
    assert (metered.charge.total, metered.review_reason) == (metered.charge.prompt, "")
    assert metered.charge.total > 0


@pytest.mark.parametrize(("counted", "reason"), [(1, ""), (16, ""), (17, "search_units_exceed_documents")])
def test_many_more_searches_than_documents_make_go_to_review(counted: int, reason: str) -> None:
    what = replace(seen(finish_reason=""), completes=False, search_units=2)
    metered = meter(Units(10, 0, search_units=counted), Source.PROVIDER, PRICES, what)
    assert metered.review_reason == reason


@pytest.mark.parametrize(
    ("units", "what_was_seen", "reason"),
    [
        (Units(10, 1001), seen(), "completion_tokens_exceed_bytes"),
        (Units(10, 1000), seen(), ""),
        (Units(10, 5000, reasoning_tokens=4500), seen(), ""),
        (Units(10, 10 + OUTPUT_SLACK_TOKENS), seen(max_tokens=10), ""),
        (Units(10, 11 + OUTPUT_SLACK_TOKENS), seen(max_tokens=10), "completion_tokens_exceed_max_tokens"),
        (Units(100 + PROMPT_SLACK_TOKENS, 1), seen(), ""),
        (Units(101 + PROMPT_SLACK_TOKENS, 1), seen(), "prompt_tokens_exceed_bytes"),
        (Units(101 + PROMPT_SLACK_TOKENS, 1), seen(text_only=False), ""),
    ],
)
def test_absurd_figures_of_a_provider_go_to_review_free(units: Units, what_was_seen: Seen, reason: str) -> None:
    metered = meter(units, Source.PROVIDER, PRICES, what_was_seen)
    assert absurdity(units, what_was_seen) == reason == metered.review_reason
    assert metered.charge == (FREE if reason else charge(units, PRICES))
    assert metered.units == units


def test_own_count_is_never_absurd() -> None:
    metered = meter(Units(10, 5000), Source.COUNTED, PRICES, seen(reply_bytes=10))
    assert (metered.source, metered.review_reason) == (Source.COUNTED, "")
    assert metered.charge.total > 0


def test_nothing_costs_nothing() -> None:
    assert (NOTHING.charge.total, NOTHING.units, NOTHING.source) == (0, Units(0, 0), Source.NONE)


counts = st.integers(-5, 2**63 - 1) | st.integers(-5, 200)


@given(
    st.builds(Units, counts, counts, counts, counts, counts),
    st.sampled_from(["", "stop", "error", "length"]),
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(1, 1000),
    st.booleans(),
)
def test_whatever_a_provider_says_is_a_charge_within_int64_or_free(
    units: Units, finish_reason: str, price: int, max_tokens: int | None, text_only: bool
) -> None:
    what = seen(finish_reason=finish_reason, max_tokens=max_tokens, text_only=text_only)
    metered = meter(units, Source.PROVIDER, Prices(price, price, request=price), what)
    assert 0 <= metered.charge.total < 2**63
    if metered.review_reason:
        assert metered.charge == FREE
    if metered.charge.total:
        assert units.completion_tokens >= units.reasoning_tokens >= 0
        assert units.prompt_tokens >= units.cache_read_tokens + units.cache_write_tokens >= 0
