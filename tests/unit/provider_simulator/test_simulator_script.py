import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_simulator.core.directive import parse_directive
from services.provider_simulator.core.script import (
    Ask,
    CallPiece,
    CallStart,
    Ending,
    Script,
    Tool,
    UnplayableError,
    write_script,
)

WEATHER = Tool("weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
CLOCK = Tool("clock", {"type": "object"})


def script(directive: str = "", ask: Ask | None = None) -> Script:
    return write_script(ask or Ask("hello", 10), parse_directive(directive))


def text(of: Script) -> str:
    return "".join(event for event in of.events if isinstance(event, str))


def test_plain_request_gets_sixteen_words() -> None:
    plain = script()

    assert len(plain.events) == 16
    assert len(text(plain).split()) == 16
    assert (plain.finish_reason, plain.ending, plain.completion_tokens) == ("stop", Ending.COMPLETE, 16)


def test_same_prompt_gets_same_words_and_another_prompt_others() -> None:
    assert script(ask=Ask("hello", 1)).events == script(ask=Ask("hello", 99)).events
    assert script(ask=Ask("hello", 1)).events != script(ask=Ask("good bye", 1)).events


@given(st.integers(0, 300), st.one_of(st.none(), st.integers(1, 300)))
def test_max_tokens_is_obeyed(tokens: int, limit: int | None) -> None:
    result = script(f"tokens={tokens}", Ask("hello", 10, max_tokens=limit))

    assert result.completion_tokens == min(tokens, limit or tokens)
    assert result.finish_reason == ("length" if limit is not None and limit < tokens else "stop")


def test_words_are_answered_exactly() -> None:
    assert text(script("words=%20Exactly%20%20this.%0A")) == " Exactly  this.\n"
    assert script("words=one%20two%20three").completion_tokens == 3


def test_empty_answer_has_no_tokens_and_no_finish_reason() -> None:
    empty = script("empty=1")

    assert (empty.events, empty.finish_reason, empty.completion_tokens) == ((), None, 0)
    assert script("empty=1 finish=stop").finish_reason == "stop"


def test_finish_dial_overrides_every_reason() -> None:
    assert script("finish=content_filter").finish_reason == "content_filter"
    assert script("tokens=5 finish=stop", Ask("hello", 1, max_tokens=2)).finish_reason == "stop"


def test_tools_dial_calls_the_offered_tools_in_turn() -> None:
    calls = script("tools=3", Ask("hello", 1, tools=(WEATHER, CLOCK)))

    starts = [event for event in calls.events if isinstance(event, CallStart)]
    assert starts == [CallStart(0, "weather"), CallStart(1, "clock"), CallStart(2, "weather")]
    first = "".join(event.text for event in calls.events if isinstance(event, CallPiece) and event.index == 0)
    assert json.loads(first) == {"city": "example"}
    assert calls.finish_reason == "tool_calls"
    assert calls.completion_tokens == len(calls.events)


def test_tools_dial_without_tools_is_unplayable() -> None:
    with pytest.raises(UnplayableError, match="no tools"):
        script("tools=1")


def test_tools_dial_is_spent_once_results_came() -> None:
    after = script("tools=1", Ask("hello", 1, tools=(CLOCK,), tools_answered=True))

    assert after.finish_reason == "stop"
    assert len(text(after).split()) == 16


def test_required_tool_call_is_made_without_directive() -> None:
    required = script(ask=Ask("hello", 1, tools=(CLOCK,), call_required=True))

    assert required.events == (CallStart(0, "clock"), CallPiece(0, "{}"))


def test_text_comes_before_calls_when_both_are_dialled() -> None:
    both = script("words=look tools=1", Ask("hello", 1, tools=(CLOCK,)))

    assert both.events == ("look", CallStart(0, "clock"), CallPiece(0, "{}"))


def test_calls_cut_by_max_tokens_finish_with_length() -> None:
    cut = script("tools=1", Ask("hello", 1, tools=(WEATHER,), max_tokens=2))

    assert cut.completion_tokens == 2
    assert cut.finish_reason == "length"


def test_asked_for_json_answer_fits_the_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    assert json.loads(text(script(ask=Ask("hello", 1, json_schema=schema)))) == {"n": 1}


@pytest.mark.parametrize(
    ("directive", "ending", "at", "status"),
    [
        ("fail=503", Ending.REFUSE, 0, 503),
        ("fail=503 after=0", Ending.FAIL, 0, 503),
        ("fail=503 after=4", Ending.FAIL, 4, 503),
        ("cut=0", Ending.CUT, 0, 0),
        ("cut=4", Ending.CUT, 4, 0),
        ("tokens=3 cut=4", Ending.CUT, 3, 0),
        ("stall=2", Ending.STALL, 2, 0),
        ("garbage=html", Ending.GARBAGE, 0, 0),
    ],
)
def test_ending_is_what_the_dials_say(directive: str, ending: Ending, at: int, status: int) -> None:
    result = script(directive)

    assert (result.ending, result.at, result.status) == (ending, at, status)


def test_pace_and_usage_dials_are_carried() -> None:
    paced = script("ttft_ms=7 chunk_ms=3 usage=none")

    assert (paced.ttft_ms, paced.chunk_ms, paced.report_usage, paced.prompt_tokens) == (7, 3, False, 10)
