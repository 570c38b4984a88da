import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.core.ids import span_id_as_given, span_id_of, trace_id_as_given, trace_id_of

TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")


@given(st.text())
def test_any_text_makes_a_valid_trace_id_and_always_the_same(text: str) -> None:
    made = trace_id_as_given(text) or trace_id_of(text)
    assert TRACE_ID.fullmatch(made)
    assert made == (trace_id_as_given(text) or trace_id_of(text))


@given(st.text(), st.text())
def test_any_text_makes_a_valid_span_id_and_always_the_same(kind: str, name: str) -> None:
    assert SPAN_ID.fullmatch(span_id_of(kind, name))
    assert span_id_of(kind, name) == span_id_of(kind, name)


@given(st.lists(st.text(alphabet="a\0", max_size=4), max_size=3), st.lists(st.text(alphabet="a\0"), max_size=3))
def test_different_names_make_different_span_ids(first: list[str], second: list[str]) -> None:
    assert (span_id_of("kind", *first) == span_id_of("kind", *second)) == (first == second)


@given(st.integers(1, 2**128 - 1))
def test_trace_id_in_hexadecimal_or_as_uuid_is_taken_as_it_is(number: int) -> None:
    spelled = f"{number:032x}"
    assert trace_id_as_given(spelled) == spelled
    assert trace_id_as_given(spelled.upper()) == spelled
    assert trace_id_as_given(str(UUID(int=number))) == spelled


@given(st.integers(1, 2**64 - 1))
def test_span_id_in_hexadecimal_is_taken_as_it_is(number: int) -> None:
    assert span_id_as_given(f"{number:016X}") == f"{number:016x}"


@pytest.mark.parametrize("text", ["", "0" * 32, "workflow-1", "a" * 31, "a" * 33, "g" * 32, "٣" * 32])
def test_text_that_spells_no_trace_id_is_none(text: str) -> None:
    assert trace_id_as_given(text) is None


@pytest.mark.parametrize("text", ["", "0" * 16, "step-1", "a" * 15, "a" * 17, "g" * 16])
def test_text_that_spells_no_span_id_is_none(text: str) -> None:
    assert span_id_as_given(text) is None
