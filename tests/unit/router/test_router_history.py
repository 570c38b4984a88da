"""Half an hour and a day: what counts, who holds when two say different, what is shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.core.health import Health, Verdict
from services.router.core.history import BUCKET_S, DAY, RECENT, History, Tally
from services.router.core.sketch import key_of
from tests.unit.router.making import NOW_S, X, record

BUCKET = NOW_S // BUCKET_S


def tally(attempts: int, failures: int = 0, latency_s: float = 0.5) -> Tally:
    made = Tally(attempts, failures)
    for _ in range(attempts - failures):
        made.latency.add(key_of(latency_s))
    return made


def add(history: History, count: int, bucket: int = BUCKET, now: int = BUCKET, *, latency_s: float = 0.5) -> None:
    for _ in range(count):
        history.add(bucket, now, failed=False, latency_key=key_of(latency_s), throughput_key=None)


def sums(history: History) -> tuple[int, int, int]:
    return history.recent.attempts, history.recent.latency.count, history.day.attempts


def test_half_an_hour_and_a_day_are_forgotten_when_they_are_over() -> None:
    history = History()
    add(history, 10)
    assert sums(history) == (10, 10, 10)
    history.advance(BUCKET + RECENT - 1)
    assert sums(history) == (10, 10, 10)
    history.advance(BUCKET + RECENT)
    assert sums(history) == (0, 0, 10)
    history.advance(BUCKET + DAY - 1)
    assert sums(history) == (0, 0, 10)
    history.advance(BUCKET + DAY)
    assert sums(history) == (0, 0, 0)


def test_what_another_router_saw_of_the_same_bucket_is_not_added() -> None:
    history = History()
    add(history, 10)
    history.see(BUCKET, BUCKET, tally(10))
    history.see(BUCKET, BUCKET, tally(7))
    assert sums(history) == (10, 10, 10)


def test_who_saw_more_holds() -> None:
    history = History()
    add(history, 10, latency_s=1)
    history.see(BUCKET, BUCKET, tally(30, latency_s=4))
    found = history.recent.latency.percentiles()
    assert found is not None
    assert found.p50 == pytest.approx(4, rel=0.021)
    add(history, 20, latency_s=1)
    found = history.recent.latency.percentiles()
    assert found is not None
    assert found.p99 == pytest.approx(1, rel=0.021)
    assert sums(history) == (30, 30, 30)


steps = st.lists(
    st.tuples(st.sampled_from(["add", "see", "wait"]), st.integers(0, RECENT), st.integers(1, 20)),
    max_size=60,
)


@given(steps)
def test_sums_are_those_of_the_fullest_word_on_each_bucket(some: list[tuple[str, int, int]]) -> None:
    history, now = History(), BUCKET
    counted: dict[int, int] = {}
    seen: dict[int, int] = {}
    for kind, ago, number in some:
        bucket = now - ago
        if kind == "wait":
            now += ago
        elif kind == "see":
            history.see(bucket, now, tally(number))
            seen[bucket] = max(seen.get(bucket, 0), number)
        elif ago < RECENT:
            add(history, number, bucket, now)
            counted[bucket] = counted.get(bucket, 0) + number
    history.advance(now)
    holding = {bucket: max(counted.get(bucket, 0), seen.get(bucket, 0)) for bucket in {*counted, *seen}}
    recent = sum(count for bucket, count in holding.items() if bucket > now - RECENT)
    assert sums(history) == (recent, recent, sum(holding.values()))


def told(health: Health, bucket: int, now_s: int, *tallies: tuple[str, Tally]) -> None:
    health.see(bucket, tallies, now_s)


def test_a_restarted_router_that_reads_all_again_shows_what_it_showed() -> None:
    """Published buckets and usage of the last ten minutes come in any order, and overlap."""
    end_s = NOW_S + 4 * 3600 + 130
    events: list[tuple[int, Any]] = [
        (NOW_S + second, {"latency_ms": 100 + second % 400, "completion_tokens": 20, "total_ms": 1000})
        for second in range(0, end_s - NOW_S, 7)
    ]
    before = Health()
    published: list[tuple[int, list[tuple[str, Tally]]]] = []
    for at_s, facts in events:
        while (len(published) + BUCKET + 1) * BUCKET_S + 20 <= at_s:
            bucket = BUCKET + len(published)
            published.append((bucket, [(one, copied(tally)) for one, tally in before.unseen(bucket)]))
        record(before, Verdict.FAILURE if at_s % 50 == 0 else Verdict.SUCCESS, at_s=at_s, **facts)
    after = Health()
    for bucket, tallies in published[::2]:
        told(after, bucket, end_s, *tallies)
    for at_s, facts in events:
        if at_s > end_s - 600:
            record(after, Verdict.FAILURE if at_s % 50 == 0 else Verdict.SUCCESS, at_s=at_s, now_s=end_s, **facts)
    for bucket, tallies in published[1::2]:
        told(after, bucket, end_s, *tallies)
    shown = after.figures(X, end_s)
    assert shown == before.figures(X, end_s)
    assert shown.uptime_1d is not None
    assert shown.latency_s is not None


def copied(one: Tally) -> Tally:
    made = Tally()
    made.merge(one)
    return made


def test_what_somebody_published_as_fully_is_not_published_again() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, 5)
    assert [(one, tally.attempts) for one, tally in health.unseen(BUCKET)] == [(X, 5)]
    told(health, BUCKET, NOW_S, (X, tally(4)))
    assert health.unseen(BUCKET)
    told(health, BUCKET, NOW_S, (X, tally(5)))
    assert health.unseen(BUCKET) == []


def test_figures_are_per_cent_of_what_is_no_callers_fault_and_no_rate_limit() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, 150, latency_ms=250, completion_tokens=100, total_ms=2000)
    record(health, Verdict.FAILURE, 50)
    record(health, Verdict.NOTHING, 70)
    record(health, Verdict.RATE_LIMITED, 70)
    shown = health.figures(X, NOW_S)
    assert (shown.uptime_5m, shown.uptime_30m, shown.uptime_1d) == (75, 75, 75)
    assert shown.latency_s is not None
    assert shown.latency_s.p99 == pytest.approx(0.25, rel=0.021)
    assert shown.throughput is not None
    assert shown.throughput.p50 == pytest.approx(50, rel=0.021)
    assert shown.status < 0
    later = health.figures(X, NOW_S + 600)
    assert (later.status, later.uptime_5m, later.uptime_30m) == (0, None, 75)
    much_later = health.figures(X, NOW_S + 3600)
    assert (much_later.uptime_30m, much_later.uptime_1d, much_later.latency_s) == (None, 75, None)


def test_too_few_requests_have_no_uptime() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, 99)
    assert health.figures(X, NOW_S).uptime_1d is None


def test_what_is_older_than_a_day_or_of_the_future_is_not_believed() -> None:
    health = Health()
    told(health, BUCKET - DAY, NOW_S, (X, tally(500)))
    told(health, BUCKET + 1, NOW_S, (X, tally(500)))
    assert health.figures(X, NOW_S).uptime_1d is None
