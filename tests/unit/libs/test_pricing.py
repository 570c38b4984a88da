"""What a generation costs: disjoint classes, no token charged twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.money import NanoUsdPerMillion, cost
from libs.pricing import FREE, Prices, Tier, Units, charge

counts = st.integers(0, 10**7)
price = st.integers(0, 10**12)


@st.composite
def some_units(draw: st.DrawFn) -> Units:
    prompt, completion = draw(counts), draw(counts)
    read = draw(st.integers(0, prompt))
    write = draw(st.integers(0, prompt - read))
    long_write = draw(st.integers(0, prompt - read - write))
    return Units(prompt, completion, read, write, draw(st.integers(0, completion)), cache_write_1h_tokens=long_write)


def plain_prompt(units: Units) -> int:
    return units.prompt_tokens - units.cache_read_tokens - units.cache_write_tokens - units.cache_write_1h_tokens


@given(some_units(), price, price, price)
def test_equal_prices_make_one_line_whatever_the_parts(
    units: Units, prompt: int, completion: int, request: int
) -> None:
    same = Prices(prompt, completion, request, prompt, prompt, completion, cache_write_1h=prompt)
    inherited = Prices(prompt, completion, request)
    whole = charge(Units(units.prompt_tokens, units.completion_tokens), inherited)
    assert charge(units, same) == charge(units, inherited) == whole
    assert whole.prompt == cost(units.prompt_tokens, NanoUsdPerMillion(prompt))


@given(some_units(), st.builds(Prices, price, price, price, price, price, price, st.just(()), price))
def test_every_token_is_charged_once_in_its_own_class(units: Units, prices: Prices) -> None:
    exact_prompt = (
        plain_prompt(units) * prices.prompt
        + units.cache_read_tokens * (prices.cache_read or 0)
        + units.cache_write_tokens * (prices.cache_write or 0)
        + units.cache_write_1h_tokens * (prices.cache_write_1h or 0)
    )
    exact_completion = (units.completion_tokens - units.reasoning_tokens) * prices.completion + (
        units.reasoning_tokens * (prices.reasoning or 0)
    )
    lines = charge(units, prices)
    assert abs(lines.prompt * 10**6 - exact_prompt) <= 4 * 500_000
    assert abs(lines.completion * 10**6 - exact_completion) <= 2 * 500_000
    assert lines.request == cost(1, NanoUsdPerMillion(prices.request))
    assert lines.total == lines.prompt + lines.completion + lines.request


@given(some_units())
def test_cached_and_reasoning_tokens_at_no_price_leave_the_rest(units: Units) -> None:
    prices = Prices(10**6, 10**6, cache_read=0, cache_write=0, reasoning=0)
    lines = charge(units, prices)
    assert lines.prompt == plain_prompt(units)
    assert lines.completion == units.completion_tokens - units.reasoning_tokens


@given(some_units(), price, price, price, price)
def test_long_prompt_is_charged_whole_at_the_prices_of_its_tier(
    units: Units, prompt: int, completion: int, long_prompt: int, long_completion: int
) -> None:
    tier = Tier(units.prompt_tokens, long_prompt, long_completion)
    prices = Prices(prompt, completion, 7, tiers=(tier,))
    longer = units._replace(prompt_tokens=units.prompt_tokens + 1)
    assert charge(units, prices) == charge(units, Prices(prompt, completion, 7))
    assert charge(longer, prices) == charge(longer, Prices(long_prompt, long_completion, 7))


def test_price_that_a_tier_does_not_name_stays_and_the_last_tier_that_holds_counts() -> None:
    tiers = (Tier(100, prompt=2 * 10**6, cache_read=10**6), Tier(200, prompt=3 * 10**6))
    prices = Prices(10**6, 5 * 10**6, cache_read=0, tiers=tiers)
    assert charge(Units(150, 1, cache_read_tokens=50), prices).prompt == 100 * 2 + 50
    assert charge(Units(250, 1, cache_read_tokens=50), prices).prompt == 200 * 3 + 50
    assert charge(Units(250, 1), prices).completion == 5


@given(some_units(), st.integers(1, 10**6), price)
def test_every_search_is_charged_at_the_price_of_a_request(units: Units, searches: int, request: int) -> None:
    """As one line, rounded once; what is no search is one request."""
    prices = Prices(0, 0, request)
    assert charge(units._replace(search_units=searches), prices).total == cost(searches, NanoUsdPerMillion(request))
    assert charge(units, prices) == charge(units._replace(search_units=1), prices)


def test_writes_for_an_hour_inherit_the_price_of_other_writes_until_they_have_their_own() -> None:
    units = Units(100, 0, cache_write_tokens=10, cache_write_1h_tokens=20)
    prices = Prices(10**6, 0, cache_write=3 * 10**6)
    dearer = prices._replace(cache_write_1h=5 * 10**6)
    assert charge(units, prices).prompt == 70 + 30 * 3
    assert charge(units, dearer).prompt == 70 + 10 * 3 + 20 * 5
    long_prompts = dearer._replace(tiers=(Tier(99, cache_write_1h=7 * 10**6),))
    assert charge(units, long_prompts).prompt == 70 + 10 * 3 + 20 * 7


def test_free_prices_cost_nothing() -> None:
    assert charge(Units(10, 10, 1, 1, 1), Prices(0, 0)) == FREE


@pytest.mark.parametrize(
    "units",
    [
        Units(10, 5, 6, 5), Units(10, 5, 0, 11), Units(10, 5, 4, 4, cache_write_1h_tokens=3), Units(10, 5, cache_write_1h_tokens=-1), Units(10, 5, reasoning_tokens=6), Units(-1, 5), Units(10, -1),
        Units(10, 5, -1), Units(10, 5, 0, -1), Units(10, 5, search_units=-1), Units(10, 5, reasoning_tokens=-1), Units(2**62, 2**62),
    ],
)  # fmt: skip
def test_counts_that_contradict_each_other_are_errors(units: Units) -> None:
    with pytest.raises(ValueError, match=r"exceed|negative|int64"):
        charge(units, Prices(1_500_000, 1_500_000))
