import pytest

from services.provider_adapter.protocols.reasoning_details import is_of, unrepeated


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("a-v1", True),
        ("a-v1a-v1a-v1", True),
        (None, True),
        ("b-v1", False),
        ("a-v1b", False),
        ("a-v1a-v1a", False),
        ("", False),
        (7, False),
    ],
)
def test_a_format_that_a_library_repeated_is_still_known(told: object, expected: bool) -> None:
    assert is_of({"format": told}, "a-v1") is expected


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("rs_1", "rs_1"), ("rs_1rs_1", "rs_1"), ("aaa", "a")])
def test_a_repeated_text_counts_once(text: str, expected: str) -> None:
    assert unrepeated(text) == expected
