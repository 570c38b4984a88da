from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_simulator.core.directive import (
    KNOWN_KEYS,
    Directive,
    DirectiveError,
    Garbage,
    find_directive,
    parse_directive,
)

CHARACTERS = "aZ09 %=_[]\t\n\x00é漢😀\u2028"


def test_prompt_without_directive_is_left_alone() -> None:
    assert find_directive(["hello [[simple]] world"]) == (None, "hello [[simple]] world")


def test_directive_is_taken_out_of_the_prompt() -> None:
    directive, rest = find_directive(["before [[sim tokens=3 chunk_ms=5]] after"])

    assert directive == Directive(tokens=3, chunk_ms=5)
    assert rest == "before  after"


def test_directive_in_one_of_many_parts_is_found() -> None:
    directive, rest = find_directive(["first", "[[sim fail=503 after=2]]", "last"])

    assert directive == Directive(fail=503, after=2)
    assert rest == "first\n\nlast"


def test_directive_without_keys_changes_nothing() -> None:
    assert find_directive(["[[sim]]"]) == (Directive(), "")


def test_every_key_is_read() -> None:
    body = (
        "ttft_ms=1 chunk_ms=2 words=two%20words fail=429 after=4 finish=content_filter usage=none tools=2 "
        "only=groq model=openai/gpt-oss-120b"
    )

    assert parse_directive(body) == Directive(
        ttft_ms=1,
        chunk_ms=2,
        words=("two", " words"),
        fail=429,
        after=4,
        finish="content_filter",
        usage=False,
        tools=2,
        only="groq",
        model="openai/gpt-oss-120b",
    )
    assert parse_directive("empty=1") == Directive(empty=True)
    assert parse_directive("cut=1").cut == 1
    assert parse_directive("stall=0").stall == 0
    assert [parse_directive(f"garbage={kind.value}").garbage for kind in Garbage] == list(Garbage)


@pytest.mark.parametrize(
    "body",
    [
        "speed=1",
        "tokens",
        "tokens=",
        "=1",
        "tokens=1 tokens=2",
        "tokens=-1",
        "tokens=1.5",
        "tokens=100001",
        "tokens=٣",
        "ttft_ms=600001",
        "chunk_ms=9999999999",
        "fail=200",
        "fail=600",
        "after=1",
        "cut=1 stall=1",
        "fail=500 garbage=html",
        "words=a tokens=1",
        "empty=1 tokens=1",
        "empty=2",
        "empty=1 tools=1",
        "tools=129",
        "usage=all",
        "garbage=xml",
        "finish=a%20b",
        "words=%",
        "words=%zz",
        "words=%ff",
    ],
)
def test_bad_directive_is_refused_and_known_keys_are_listed(body: str) -> None:
    with pytest.raises(DirectiveError) as refused:
        find_directive([f"[[sim {body}]]"])

    assert all(key in str(refused.value) for key in KNOWN_KEYS)


@pytest.mark.parametrize("texts", [["[[sim]] [[sim]]"], ["[[sim tokens=1]]", "[[sim tokens=1]]"]])
def test_two_directives_are_refused(texts: list[str]) -> None:
    with pytest.raises(DirectiveError, match="more than one"):
        find_directive(texts)


def test_directive_without_end_is_refused() -> None:
    with pytest.raises(DirectiveError, match="closing"):
        find_directive(["[[sim tokens=1]"])


@given(st.text(CHARACTERS, max_size=60))
def test_any_directive_body_is_read_or_refused(body: str) -> None:
    problem = ""
    try:
        parse_directive(body)
    except DirectiveError as error:
        problem = str(error)

    assert not problem or "Known keys" in problem


@given(st.text(alphabet="[]sim =%0123tokensfailcut", max_size=60))
def test_any_prompt_is_read_or_refused(text: str) -> None:
    try:
        directive, rest = find_directive([text])
    except DirectiveError:
        return
    assert directive is not None or rest == text


@given(st.text(CHARACTERS, min_size=1, max_size=200))
def test_percent_encoded_words_come_back_exactly(text: str) -> None:
    directive, _ = find_directive([f"[[sim words={quote(text, safe='')}]]"])

    assert directive is not None
    assert directive.words is not None
    assert "".join(directive.words) == text


@given(st.integers(0, 100_000), st.integers(400, 599))
def test_numbers_within_bounds_are_taken(count: int, status: int) -> None:
    directive = parse_directive(f"tokens={count} fail={status} after={count}")

    assert (directive.tokens, directive.fail, directive.after) == (count, status, count)


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        ("", True),
        ("only=groq", True),
        ("only=azure", False),
        ("model=public/slug", True),
        ("model=own-id", True),
        ("model=other", False),
        ("only=groq model=other", False),
    ],
)
def test_directive_holds_for_the_provider_and_model_it_names(body: str, holds: bool) -> None:
    assert parse_directive(body).holds_for("groq", ("public/slug", "own-id")) is holds
