"""Distributions: the promised accuracy, the library's counts, and sliding without a trace."""

from array import array

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from services.router.core.sketch import ACCURACY, HIGHEST, HIGHEST_KEY, LOWEST, LOWEST_KEY, Sketch, key_of

VALUES = st.lists(st.floats(LOWEST * 1.1, HIGHEST * 0.9), min_size=1, max_size=200)
KEYS = st.lists(st.integers(LOWEST_KEY, HIGHEST_KEY), max_size=50)


def sketch(keys: list[int]) -> Sketch:
    made = Sketch()
    for key in keys:
        made.add(key)
    return made


def content(one: Sketch) -> dict[int, int]:
    one.settle()
    return {one.first_key + place: count for place, count in enumerate(one.counts) if count}


@given(VALUES)
def test_percentiles_are_near_the_true_ones_and_equal_the_librarys(values: list[float]) -> None:
    ours, theirs = sketch([key_of(value) for value in values]), DDSketch(ACCURACY)
    for value in values:
        theirs.add(value)
    found = ours.percentiles()
    assert found is not None
    assert found.count == len(values)
    for share, value in ((0.5, found.p50), (0.75, found.p75), (0.9, found.p90), (0.99, found.p99)):
        true = sorted(values)[int(share * (len(values) - 1))]
        assert value == pytest.approx(true, rel=ACCURACY * 1.001)
        assert value == theirs.get_quantile_value(share)


@given(KEYS, KEYS)
def test_merging_is_as_if_one_had_seen_all(some: list[int], others: list[int]) -> None:
    merged = sketch(some)
    merged.merge(sketch(others))
    assert content(merged) == content(sketch(some + others))
    assert merged.count == len(some) + len(others)


@given(KEYS, KEYS, st.booleans())
def test_what_is_taken_out_again_leaves_no_trace(some: list[int], others: list[int], by_merging: bool) -> None:
    slid = sketch(some)
    slid.merge(sketch(others))
    if by_merging:
        slid.merge(sketch(some), -1)
    else:
        slid.take_out(array("h", some))
    assert content(slid) == content(sketch(others))
    assert slid.percentiles() == sketch(others).percentiles()


@given(KEYS)
def test_counters_make_the_same_sketch_again(keys: list[int]) -> None:
    one = sketch(keys)
    one.settle()
    assert content(Sketch(one.first_key, list(one.counts))) == content(one)


@pytest.mark.parametrize("value", [0.0, 1e-9, LOWEST])
def test_the_smallest_are_counted_as_the_bound(value: float) -> None:
    assert key_of(value) == LOWEST_KEY


@pytest.mark.parametrize("value", [HIGHEST, 1e12])
def test_the_largest_are_counted_as_the_bound(value: float) -> None:
    assert key_of(value) == HIGHEST_KEY


@pytest.mark.parametrize(
    ("first_key", "counts"), [(LOWEST_KEY - 1, [1]), (HIGHEST_KEY, [1, 1]), (0, [1] * 1000), (0, [-1]), (0, [1 << 40])]
)
def test_counters_that_no_sketch_has_are_refused(first_key: int, counts: list[int]) -> None:
    with pytest.raises(ValueError, match="counters"):
        Sketch(first_key, counts)


def test_nothing_has_no_percentiles() -> None:
    assert Sketch().percentiles() is None
