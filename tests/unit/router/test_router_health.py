"""When an endpoint goes behind, and when it comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.core.health import WINDOW_S, Health, Standing, Verdict, verdict_of

NOW_S = 1_750_000_000
X = "x/acme/one"


def standing(health: Health, now_s: int = NOW_S) -> Standing | None:
    return health.snapshot(now_s).behind.get(X)


def record(health: Health, verdict: Verdict, count: int = 1, at_s: int = NOW_S, now_s: int | None = None) -> None:
    for _ in range(count):
        health.record(X, verdict, at_s, now_s or at_s)


@pytest.mark.parametrize(
    ("successes", "failures", "expected"),
    [
        (0, 2, None),
        (0, 3, Standing.OUTAGE),
        (12, 3, Standing.OUTAGE),
        (13, 3, None),
        (40, 10, Standing.OUTAGE),
        (41, 10, None),
        (100, 0, None),
    ],
)
def test_three_failures_that_are_a_fifth_of_all_are_an_outage(
    successes: int, failures: int, expected: Standing | None
) -> None:
    health = Health()
    record(health, Verdict.SUCCESS, successes)
    record(health, Verdict.FAILURE, failures)
    assert standing(health) is expected


def test_outage_ends_when_its_failures_are_thirty_seconds_old() -> None:
    health = Health()
    record(health, Verdict.FAILURE, 3)
    assert standing(health, NOW_S + WINDOW_S - 1) is Standing.OUTAGE
    assert standing(health, NOW_S + WINDOW_S) is None


def test_outage_ends_when_enough_succeed() -> None:
    health = Health()
    record(health, Verdict.FAILURE, 3)
    assert standing(health) is Standing.OUTAGE
    record(health, Verdict.SUCCESS, 13)
    assert standing(health) is None


def test_outage_shows_once_older_successes_are_forgotten() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, 100)
    record(health, Verdict.FAILURE, 3, at_s=NOW_S + 20)
    assert standing(health, NOW_S + 20) is None
    assert standing(health, NOW_S + 31) is Standing.OUTAGE


@pytest.mark.parametrize(("successes", "expected"), [(0, Standing.RATE_LIMITED), (4, Standing.RATE_LIMITED), (5, None)])
def test_rate_limit_puts_behind_unless_nearly_all_succeed(successes: int, expected: Standing | None) -> None:
    health = Health()
    record(health, Verdict.RATE_LIMITED)
    record(health, Verdict.SUCCESS, successes)
    assert standing(health) is expected
    assert standing(health, NOW_S + WINDOW_S) is None


def test_callers_faults_count_for_nothing() -> None:
    health = Health()
    record(health, Verdict.NOTHING, 50)
    record(health, Verdict.FAILURE, 2)
    assert standing(health) is None


def test_events_older_than_the_window_are_ignored() -> None:
    health = Health()
    record(health, Verdict.FAILURE, 3, at_s=NOW_S - WINDOW_S, now_s=NOW_S)
    assert standing(health, NOW_S) is None


def test_events_of_a_clock_that_runs_ahead_count_as_now() -> None:
    health = Health()
    record(health, Verdict.FAILURE, 3, at_s=NOW_S + 3600, now_s=NOW_S)
    assert standing(health, NOW_S) is Standing.OUTAGE
    assert standing(health, NOW_S + WINDOW_S) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 90), st.sampled_from([Verdict.SUCCESS, Verdict.FAILURE, Verdict.RATE_LIMITED])),
        max_size=60,
    )
)
def test_standing_is_that_of_a_plain_count_over_the_last_thirty_seconds(events: list[tuple[int, Verdict]]) -> None:
    health = Health()
    now_s = NOW_S
    for delay, verdict in sorted(events, key=lambda event: event[0]):
        now_s = NOW_S + delay
        record(health, verdict, at_s=now_s)
    recent = [verdict for delay, verdict in events if NOW_S + delay > now_s - WINDOW_S]
    failures, limited = recent.count(Verdict.FAILURE), recent.count(Verdict.RATE_LIMITED)
    expected = None
    if failures >= 3 and failures * 5 >= len(recent) - limited:
        expected = Standing.OUTAGE
    elif limited and limited * 5 >= len(recent):
        expected = Standing.RATE_LIMITED
    assert standing(health, now_s) is expected


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    health = Health(max_endpoints=10)
    for number in range(100):
        for _ in range(3):
            health.record(f"e{number}", Verdict.FAILURE, NOW_S, NOW_S)
        health.record_speed(f"e{number}", 100, 10, 1000)
    snapshot = health.snapshot(NOW_S)
    expected = {f"e{number}" for number in range(90, 100)}
    assert set(snapshot.behind) == set(snapshot.latency_s) == set(snapshot.throughput) == expected


def test_speeds_follow_what_is_measured() -> None:
    health = Health()
    record(health, Verdict.SUCCESS)
    health.record_speed(X, 100, 50, 1000)
    assert health.snapshot(NOW_S).latency_s[X].p50 == 0.1
    assert health.snapshot(NOW_S).throughput[X].p50 == 50
    for _ in range(50):
        health.record_speed(X, 300, 10, 1000)
    assert health.snapshot(NOW_S).latency_s[X].p50 == pytest.approx(0.3, abs=0.001)
    assert health.snapshot(NOW_S).throughput[X].p50 == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("status", "error_class", "expected"),
    [
        *((status, "", Verdict.FAILURE) for status in (0, 401, 402, 404, 408, 500, 502, 503, 529)),
        *((status, "", Verdict.NOTHING) for status in (400, 403, 413, 422)),
        (429, "", Verdict.RATE_LIMITED),
        (429, "insufficient_credits", Verdict.FAILURE),
        (400, "authentication", Verdict.FAILURE),
        (403, "permission", Verdict.NOTHING),
        (200, "upstream", Verdict.FAILURE),
        (0, "timeout", Verdict.FAILURE),
        (400, "content_policy", Verdict.NOTHING),
        (500, "something_new", Verdict.FAILURE),
    ],
)
def test_verdict_follows_the_class_and_then_the_status(status: int, error_class: str, expected: Verdict) -> None:
    assert verdict_of(succeeded=False, status=status, error_class=error_class) is expected


def test_success_is_a_success_whatever_the_status() -> None:
    assert verdict_of(succeeded=True, status=0, error_class="") is Verdict.SUCCESS
