"""Local counts of what was relayed."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.tokens import TokenCounter
from services.edge_proxy.core.tally import _KEEP_BYTES, Tally, count_message, count_reply
from tests.testkit.edge_proxy import chunk_event, result

COUNTER = TokenCounter()
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "look_up", "arguments": '{"city":"Bern"}'}}
deltas = st.fixed_dictionaries(
    {"content": st.none() | st.text(max_size=30)},
    optional={
        "reasoning": st.text(max_size=20),
        "refusal": st.none() | st.text(max_size=5),
        "tool_calls": st.just([CALL]),
    },
)


def event(delta: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n"


def tally_of(*batches: bytes) -> Tally:
    tally = Tally(COUNTER)
    for batch in batches:
        tally.add(batch)
    return tally


@settings(max_examples=60, deadline=None)
@given(st.lists(deltas, max_size=12), st.lists(st.integers(1, 4), max_size=12))
def test_count_is_the_sum_over_deltas_however_events_are_batched(some: list[dict[str, Any]], sizes: list[int]) -> None:
    events = [event(delta) for delta in some]
    expected = sum(count_message(delta, COUNTER) for delta in some)
    batches, at = [], 0
    for size in [*sizes, len(events)]:
        batches.append(b"".join(events[at : at + size]))
        at += size
    assert tally_of(*batches).tokens() == expected
    assert tally_of(*events).tokens() == expected
    assert tally_of(*batches).total_bytes == sum(map(len, events))


@settings(max_examples=100, deadline=None)
@given(deltas)
def test_delta_with_any_text_is_at_least_one_token(delta: dict[str, Any]) -> None:
    texts = [delta.get(name) for name in ("content", "reasoning", "refusal")]
    assert count_message(delta, COUNTER) >= sum(1 for text in texts if text) + (2 if "tool_calls" in delta else 0)


def test_counting_twice_changes_nothing() -> None:
    tally = tally_of(chunk_event("one"), chunk_event(" two"))
    assert tally.tokens() == tally.tokens() == 2
    tally.add(chunk_event(" three"))
    assert tally.tokens() == 3


def test_long_stream_keeps_bounded_memory_and_an_exact_count() -> None:
    tally = Tally(COUNTER)
    piece = chunk_event(" word")
    for number in range(3_000):
        tally.add(piece)
        assert sum(map(len, tally._kept)) <= _KEEP_BYTES
        if number == 1_500:
            assert tally.tokens() == 1_501
    assert tally.tokens() == 3_000
    assert tally.total_bytes == 3_000 * len(piece)


def test_comments_done_and_chunks_without_choices_count_nothing() -> None:
    assert (
        tally_of(b": comment\n\n", b"data: [DONE]\n\n", b'data: {"error":{}}\n\n', b'data: {"choices":[]}\n\n').tokens()
        == 0
    )


@pytest.mark.parametrize(
    "message",
    [
        {}, {"content": None}, {"content": ["x"]}, {"tool_calls": None}, {"tool_calls": [1]},
        {"tool_calls": [{"function": None}]}, {"tool_calls": [{"function": {"name": 1, "arguments": None}}]},
    ],
)  # fmt: skip
def test_message_of_an_unexpected_shape_counts_nothing(message: dict[str, Any]) -> None:
    assert count_message(message, COUNTER) == 0


def test_whole_reply_counts_every_choice() -> None:
    assert count_reply(result("one two").result.json, COUNTER) == 2
    both = {"choices": [{"message": {"content": "one"}}, {"message": {"content": "two", "tool_calls": [CALL]}}, {}]}
    calls = COUNTER.count("look_up") + COUNTER.count('{"city":"Bern"}')
    assert count_reply(orjson.dumps(both), COUNTER) == 2 + calls
