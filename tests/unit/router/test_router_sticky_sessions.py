"""Which conversation is tied to which endpoint, from when, and until when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.core.stickiness import IDLE_S, Served, StickySessions
from tests.unit.router.making import NOW_S

KEY = "session/acme/one"


def serve(
    sessions: StickySessions,
    endpoint_id: str = "a",
    at_s: int = NOW_S,
    *,
    key: str = KEY,
    is_explicit: bool = True,
    hit_cache: bool = False,
) -> None:
    sessions.learn(Served(key, endpoint_id, at_s, is_explicit, hit_cache), at_s)


@pytest.mark.parametrize(
    ("is_explicit", "hit_cache", "expected"), [(True, False, "a"), (False, True, "a"), (False, False, None)]
)
def test_named_session_sticks_at_once_and_any_other_after_a_hit(
    is_explicit: bool, hit_cache: bool, expected: str | None
) -> None:
    sessions = StickySessions()
    serve(sessions, is_explicit=is_explicit, hit_cache=hit_cache)
    assert sessions.get(KEY) == expected


def test_session_ends_when_it_was_idle_for_ten_minutes() -> None:
    sessions = StickySessions()
    serve(sessions)
    sessions.advance(NOW_S + IDLE_S)
    assert sessions.get(KEY) == "a"
    sessions.advance(NOW_S + IDLE_S + 60)
    assert sessions.get(KEY) is None
    assert len(sessions) == 0


def test_each_success_renews_with_or_without_a_hit() -> None:
    sessions = StickySessions()
    serve(sessions, hit_cache=True, is_explicit=False)
    for number in range(1, 10):
        serve(sessions, at_s=NOW_S + 500 * number, is_explicit=False)
    assert sessions.get(KEY) == "a"
    assert len(sessions) == 1


def test_named_session_follows_whoever_served_last() -> None:
    sessions = StickySessions()
    serve(sessions, "a")
    serve(sessions, "b", NOW_S + 100)
    assert sessions.get(KEY) == "b"


def test_unnamed_session_stays_where_its_cache_is() -> None:
    sessions = StickySessions()
    serve(sessions, "a", is_explicit=False, hit_cache=True)
    serve(sessions, "b", NOW_S + 100, is_explicit=False)
    assert sessions.get(KEY) == "a"
    serve(sessions, "b", NOW_S + 200, is_explicit=False, hit_cache=True)
    assert sessions.get(KEY) == "b"


def test_older_news_that_come_later_change_nothing() -> None:
    sessions = StickySessions()
    serve(sessions, "b", NOW_S + 300)
    sessions.learn(Served(KEY, "a", NOW_S, is_explicit=True, hit_cache=True), NOW_S + 301)
    assert sessions.get(KEY) == "b"


def test_news_that_are_too_old_tie_nothing() -> None:
    sessions = StickySessions()
    sessions.learn(Served(KEY, "a", NOW_S - IDLE_S - 61, is_explicit=True, hit_cache=True), NOW_S)
    assert KEY not in sessions


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=300))
def test_memory_is_bounded_and_who_was_served_last_is_remembered(some: list[tuple[int, int]]) -> None:
    sessions = StickySessions(max_sessions=50)
    now_s = NOW_S
    for key, wait_s in some:
        now_s += wait_s
        serve(sessions, at_s=now_s, key=str(key))
        assert sessions[str(key)] == "a"
        assert len(sessions) == len(list(sessions)) == len(set(sessions)) <= 50
