"""When an endpoint goes behind, and when it comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.core.health import QUIET_S, WINDOW_S, Health, Standing, Verdict, verdict_of
from services.router.core.verdicts import blames_credential
from services.router.core.windows import Window
from tests.unit.router.making import NOW_S, X, record, standing


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
    window = Window()
    now_s = NOW_S
    for delay, verdict in sorted(events, key=lambda event: event[0]):
        now_s = NOW_S + delay
        window.add(now_s, verdict)
    recent = [verdict for delay, verdict in events if NOW_S + delay > now_s - WINDOW_S]
    failures, limited = recent.count(Verdict.FAILURE), recent.count(Verdict.RATE_LIMITED)
    expected = None
    if failures >= 3 and failures * 5 >= len(recent) - limited:
        expected = Standing.OUTAGE
    elif limited and limited * 5 >= len(recent):
        expected = Standing.RATE_LIMITED
    assert window.standing is expected


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    health = Health(max_endpoints=10)
    for number in range(100):
        for _ in range(3):
            record(health, Verdict.FAILURE, endpoint_id=f"e{number}")
        record(health, Verdict.SUCCESS, endpoint_id=f"e{number}", latency_ms=100, completion_tokens=10, total_ms=1000)
    snapshot = health.snapshot(NOW_S)
    expected = {f"e{number}" for number in range(90, 100)}
    assert set(snapshot.behind) == set(snapshot.latency_s) == set(snapshot.throughput) == expected


def test_speeds_are_those_of_the_last_five_minutes_and_a_second_old_at_most() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, latency_ms=100, completion_tokens=50, total_ms=1000)
    assert health.snapshot(NOW_S).latency_s[X].p50 == pytest.approx(0.1, rel=0.021)
    assert health.snapshot(NOW_S).throughput[X].p50 == pytest.approx(50, rel=0.021)
    record(health, Verdict.SUCCESS, 50, at_s=NOW_S + 200, latency_ms=300, completion_tokens=10, total_ms=1000)
    assert health.snapshot(NOW_S + 201).latency_s[X].p50 == pytest.approx(0.3, rel=0.021)
    assert health.snapshot(NOW_S + 201).latency_s[X].count == 51
    assert health.snapshot(NOW_S + 201).throughput[X].p50 == pytest.approx(10, rel=0.021)
    assert health.snapshot(NOW_S + 301).latency_s[X].count == 50
    assert health.snapshot(NOW_S + 501).latency_s == {}


def test_snapshots_do_not_change_afterwards() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, latency_ms=100)
    before = health.snapshot(NOW_S)
    record(health, Verdict.FAILURE, 9, endpoint_id="y")
    record(health, Verdict.SUCCESS, at_s=NOW_S + 1, latency_ms=900)
    assert health.snapshot(NOW_S + 1).behind
    assert (before.behind, before.latency_s[X].count) == ({}, 1)


def test_nothing_new_makes_no_new_snapshot() -> None:
    health = Health()
    record(health, Verdict.SUCCESS)
    assert health.snapshot(NOW_S + 1) is health.snapshot(NOW_S + 5)


def test_measuring_many_endpoints_is_spread_over_seconds() -> None:
    health = Health()
    for number in range(200):
        record(health, Verdict.SUCCESS, endpoint_id=f"e{number}", latency_ms=100)
    counts = [len(health.snapshot(NOW_S + second).latency_s) for second in range(5)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 200


@pytest.mark.parametrize(
    ("successes", "failures", "expected"),
    [
        (95, 5, None),
        (93, 6, None),  # too few to say
        (94, 6, Standing.DEGRADED),
        (160, 40, Standing.DEGRADED),
        (159, 41, Standing.FALLBACK_ONLY),
    ],
)
def test_uptime_of_enough_requests_has_bands(successes: int, failures: int, expected: Standing | None) -> None:
    health = Health()
    for number in range(failures):
        record(health, Verdict.SUCCESS, successes // failures + (number < successes % failures))
        record(health, Verdict.FAILURE)
    record(health, Verdict.RATE_LIMITED, 10)
    assert standing(health, NOW_S + WINDOW_S) is expected
    assert standing(health, NOW_S + QUIET_S) is None


def test_low_uptime_puts_behind_again_with_the_next_failure() -> None:
    health = Health()
    for _ in range(10):
        record(health, Verdict.SUCCESS, 9)
        record(health, Verdict.FAILURE)
    assert standing(health) is Standing.DEGRADED
    assert standing(health, NOW_S + QUIET_S) is None
    record(health, Verdict.FAILURE, at_s=NOW_S + QUIET_S)
    assert standing(health, NOW_S + QUIET_S) is Standing.DEGRADED


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


@pytest.mark.parametrize(
    ("status", "error_class", "expected"),
    [
        *((status, "", True) for status in (401, 402, 403)),
        *((status, "", False) for status in (0, 400, 404, 429, 500)),
        (400, "authentication", True),
        (200, "insufficient_credits", True),
        (403, "permission", True),
        (403, "content_policy", False),
        (401, "upstream", False),
    ],
)
def test_credential_is_to_blame_for_what_is_about_it(status: int, error_class: str, expected: bool) -> None:
    assert blames_credential(status=status, error_class=error_class) is expected
