"""Identifiers: their form, their order, and that they do not repeat."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.ids import generation_id, is_generation_id, prefixed_id, uuid7

times = st.integers(0, 2**48 - 1)


@given(st.integers(0, 10**15 - 1))
def test_generation_id_says_its_second_and_is_one(now_ms: int) -> None:
    made = generation_id(now_ms)
    assert is_generation_id(made)
    kind, second, letters = made.split("-")
    assert (kind, int(second), len(letters)) == ("gen", now_ms // 1000, 20)
    assert letters.isalnum()
    assert letters.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "", "gen-", "gen-1-short", "gen-1-" + "a" * 21, "gen--" + "a" * 20, "gen-1-" + "a" * 19 + "é", "x-1-" + "a" * 20,
        "gen-١-" + "a" * 20, "gen-1-" + "a" * 20 + "\n", " gen-1-" + "a" * 20, "gen-1234567890123-" + "a" * 20,
        "gen-1-" + "a" * 19 + "/",
    ],
)  # fmt: skip
def test_anything_else_is_no_generation_id(text: str) -> None:
    assert not is_generation_id(text)


@given(times)
def test_uuid_is_version_7_and_holds_its_time(now_ms: int) -> None:
    made = uuid7(now_ms)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == now_ms


@given(times, times)
def test_ids_sort_by_the_time_they_were_made(one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    if earlier < later:
        assert prefixed_id("acct", earlier) < prefixed_id("acct", later)
        assert str(uuid7(earlier)) < str(uuid7(later))


def test_prefix_says_what_it_names() -> None:
    assert prefixed_id("acct", 1).startswith("acct_00000000-0001-7")


def test_ids_of_one_moment_differ() -> None:
    assert len({generation_id(5) for _ in range(5_000)}) == 5_000
    assert len({uuid7(5) for _ in range(5_000)}) == 5_000
