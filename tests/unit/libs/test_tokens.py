"""Token counts: those of the public encoding, in bounded time."""

import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.tokens import _EXACT_CHARACTERS, _EXACT_CHARACTERS_IN_ALL, TokenCounter

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the package reads its tables in an old way
    import bpe_openai

COUNTER = TokenCounter()
ENCODING = bpe_openai.get_encoding("o200k_base")
PROSE = "The quick brown fox jumps over the lazy dog. Voilà: naïve café — 漢字かな交じり文, Ελληνικά, עברית, 😀👩‍👩‍👧. 1234567890 "
CODE = "def f(x):\n\treturn {'a': [1, 2.5e-3, None], **x}  # why\n"


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n\n", "a", "hello world", PROSE, PROSE * 20, CODE * 20, "<|endoftext|>", "\x00\x01", "é" * 500],
)
def test_count_is_the_length_of_the_public_encoding(text: str) -> None:
    assert COUNTER.count(text) == len(ENCODING.encode(text, disallowed_special=()))


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_count_of_any_text_is_the_length_of_the_public_encoding(text: str) -> None:
    assert COUNTER.count(text) == len(ENCODING.encode(text))


def test_text_at_the_bound_is_counted_exactly_and_beyond_it_by_density() -> None:
    text = (PROSE * (_EXACT_CHARACTERS // len(PROSE) + 1))[:_EXACT_CHARACTERS]
    exact = COUNTER.count(text)
    assert exact == len(ENCODING.encode(text))
    assert COUNTER.count(text * 10) == exact * 10
    assert exact <= COUNTER.count(text + "x") <= exact + 1


@pytest.mark.parametrize("text", ["a", " ", "\n", "é", "漢", "😀", "1", "ab ", PROSE])
def test_count_takes_bounded_time_however_long_the_text_is(text: str) -> None:
    long = text * (8_000_000 // len(text))
    started_s = time.perf_counter()
    assert COUNTER.count(long) > 0
    assert time.perf_counter() - started_s < 1.0


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), max_size=20))
def test_each_of_a_few_texts_is_counted_exactly(texts: list[str]) -> None:
    assert COUNTER.count_each(texts) == [COUNTER.count(text) for text in texts]


def test_many_texts_take_bounded_time_and_the_later_ones_count_by_density() -> None:
    texts = [PROSE * 100] * 4_000
    started_s = time.perf_counter()
    counts = COUNTER.count_each(texts)
    assert time.perf_counter() - started_s < 1.0
    assert len(counts) == len(texts)
    assert counts[0] == counts[_EXACT_CHARACTERS_IN_ALL // len(texts[0])] == COUNTER.count(texts[0])
    assert counts[0] <= counts[-1] <= counts[0] + 1
