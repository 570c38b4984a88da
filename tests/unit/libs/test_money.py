"""Money: integers, rounded once, half up; exact text in and out."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.money import (
    MAX_NANO_USD,
    NanoUsd,
    NanoUsdPerMillion,
    affordable_units,
    cost,
    format_price_per_unit,
    format_usd,
    parse_price_per_unit,
    parse_usd,
)

units = st.integers(0, 10**9)
prices = st.integers(0, 10**12).map(NanoUsdPerMillion)
amounts = st.integers(-MAX_NANO_USD, MAX_NANO_USD).map(NanoUsd)


@given(units, prices)
def test_cost_is_rounded_half_up_as_decimal_does_it(count: int, price: NanoUsdPerMillion) -> None:
    with localcontext() as context:
        context.prec = 60
        expected = (Decimal(count) * Decimal(price) / 1_000_000).quantize(Decimal(1), ROUND_HALF_UP)
    assert cost(count, price) == int(expected)


@pytest.mark.parametrize(
    ("count", "price", "amount"), [(1, 499_999, 0), (1, 500_000, 1), (3, 500_000, 2), (1, 1_000_000, 1), (0, 10**18, 0)]
)
def test_half_a_nano_dollar_is_rounded_up(count: int, price: int, amount: int) -> None:
    assert cost(count, NanoUsdPerMillion(price)) == amount


@given(units, units, prices)
def test_cost_grows_with_units(one: int, other: int, price: NanoUsdPerMillion) -> None:
    fewer, more = sorted((one, other))
    assert cost(fewer, price) <= cost(more, price)


@pytest.mark.parametrize(("count", "price"), [(-1, 1), (1, -1), (2**63, 10**6), (2**40, 2**60)])
def test_negative_and_endless_costs_are_errors(count: int, price: int) -> None:
    with pytest.raises(ValueError, match=r"never negative|int64"):
        cost(count, NanoUsdPerMillion(price))


@given(st.integers(1, 10**15).map(NanoUsd), st.integers(1, 10**15).map(NanoUsdPerMillion))
def test_affordable_units_are_the_most_that_the_amount_pays_for(amount: NanoUsd, price: NanoUsdPerMillion) -> None:
    most = affordable_units(amount, price)
    assert most is not None
    assert cost(most, price) <= amount < cost(most + 1, price)


@given(st.integers(-(10**18), 0).map(NanoUsd), st.integers(1, 10**15).map(NanoUsdPerMillion))
def test_nothing_and_debt_pay_for_nothing(amount: NanoUsd, price: NanoUsdPerMillion) -> None:
    assert affordable_units(amount, price) == 0


@given(amounts)
def test_free_units_have_no_bound(amount: NanoUsd) -> None:
    assert affordable_units(amount, NanoUsdPerMillion(0)) is None


@given(amounts)
def test_amount_survives_text_and_never_has_an_exponent(amount: NanoUsd) -> None:
    text = format_usd(amount)
    assert parse_usd(text) == amount
    assert set(text) <= set("-.0123456789")
    assert Decimal(text) * 10**9 == amount
    assert text[-1].isdigit()
    assert "." not in text or text[-1] != "0"


@given(st.integers(0, MAX_NANO_USD).map(NanoUsdPerMillion))
def test_price_survives_text_and_never_has_an_exponent(price: NanoUsdPerMillion) -> None:
    text = format_price_per_unit(price)
    assert parse_price_per_unit(text) == price
    assert set(text) <= set(".0123456789")


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12", 12 * 10**9), ("0.000123", 123_000), ("-0.5", -(5 * 10**8)), ("1e-9", 1), ("-0", 0), ("0.100", 10**8)],
)
def test_amounts_are_read_exactly(text: str, amount: int) -> None:
    assert parse_usd(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "nan", "inf", "-inf", "snan", "1.0.0", "0.0000000001", "1e-10", "9223372036.854775808", "1e999", "1e-999",
        "1e999999999", "1e-9999999", "1e-999999999999", "1" * 65, "1,5", "0x10", "\ud800",
        "1.00000000000000000000000000000000001", "123456789.0000000000000000000000000000001",
    ],
)  # fmt: skip
def test_text_that_is_no_exact_amount_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an amount|finer|range"):
        parse_usd(text)


@pytest.mark.parametrize("text", ["-0.000001", "0.0000000000000001", "1e-9999999", "10000000000", "x"])
def test_text_that_is_no_price_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a price|finer|range|negative"):
        parse_price_per_unit(text)


@given(st.text(max_size=70))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    try:
        amount = parse_usd(text)
    except ValueError:
        return
    assert Decimal(text) * 10**9 == amount
