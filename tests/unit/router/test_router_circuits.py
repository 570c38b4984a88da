"""Circuits: who fails is left alone, tried by one request, and taken back or left alone for longer."""

from typing import Any

import pytest

from services.router.core.circuit import COOLING_S, FORGIVING_S, MAX_COOLING_S, PROBE_S, Circuit
from services.router.core.health import MAX_CREDENTIALS, Health, HealthSnapshot, Standing, Verdict
from tests.unit.router.making import NOW_S, X, record, standing

LATEST_S = COOLING_S * 6 // 5
"""When a first cooling is over, whatever the luck."""


def broken(at_s: int = NOW_S) -> Health:
    health = Health()
    record(health, Verdict.FAILURE, 6, at_s=at_s)
    return health


def begin(health: Health, now_s: int) -> None:
    """A request is about to try `X`."""
    health.snapshot(now_s)
    health.planned(X, "x", now_s)


def test_endpoint_that_only_fails_is_behind_until_it_may_be_tried() -> None:
    health = broken()
    seen = [standing(health, NOW_S + second) for second in range(LATEST_S + 1)]
    assert set(seen[:COOLING_S]) == {Standing.OUTAGE}
    assert set(seen[COOLING_S:-1]) <= {Standing.TRIPPED, None}
    assert seen[-1] is None


def test_one_request_tries_and_the_others_do_not() -> None:
    health = broken()
    now_s = NOW_S + LATEST_S
    assert standing(health, now_s) is None
    begin(health, now_s)
    assert standing(health, now_s) is Standing.TRIPPED
    assert standing(health, now_s + PROBE_S - 1) is Standing.TRIPPED


def test_request_that_never_tells_does_not_keep_others_from_trying_for_ever() -> None:
    health = broken()
    begin(health, NOW_S + LATEST_S)
    assert standing(health, NOW_S + LATEST_S + PROBE_S) is None


def test_success_of_the_one_brings_all_traffic_back() -> None:
    health = broken()
    now_s = NOW_S + LATEST_S
    begin(health, now_s)
    record(health, Verdict.SUCCESS, at_s=now_s + 2, started_s=now_s)
    begin(health, now_s + 2)
    assert standing(health, now_s + 2) is None


def test_failure_of_the_one_leaves_it_alone_for_twice_as_long() -> None:
    health = broken()
    now_s = NOW_S + LATEST_S
    begin(health, now_s)
    record(health, Verdict.FAILURE, at_s=now_s + 1, started_s=now_s)
    assert standing(health, now_s + 1 + 2 * COOLING_S - 1) is Standing.TRIPPED
    assert standing(health, now_s + 1 + 2 * LATEST_S) is None


def test_success_that_began_before_the_failures_brings_nothing_back() -> None:
    health = broken()
    now_s = NOW_S + LATEST_S
    begin(health, now_s)
    record(health, Verdict.SUCCESS, at_s=now_s + 1, started_s=NOW_S - 10)
    assert standing(health, now_s + 1) is Standing.TRIPPED


def test_failures_while_it_is_left_alone_do_not_make_it_longer() -> None:
    health = broken()
    record(health, Verdict.FAILURE, at_s=NOW_S + 5)
    assert standing(health, NOW_S + LATEST_S) is None


def test_slow_trickle_of_failures_opens_too() -> None:
    """One request in 20 seconds is never three in thirty."""
    health = Health()
    for number in range(5):
        record(health, Verdict.FAILURE, at_s=NOW_S + 20 * number)
    assert standing(health, NOW_S + 85) is Standing.TRIPPED


def test_many_failures_in_a_row_open_though_all_was_well_before() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, 1000)
    record(health, Verdict.FAILURE, 20)
    assert standing(health) is Standing.TRIPPED


def test_failures_that_opened_the_circuit_are_forgiven_when_it_closes() -> None:
    """They are a tenth of the last five minutes, and still all traffic comes back."""
    health = Health()
    record(health, Verdict.SUCCESS, 200)
    record(health, Verdict.FAILURE, 22)
    now_s = NOW_S + LATEST_S
    begin(health, now_s)
    record(health, Verdict.SUCCESS, at_s=now_s + 1, started_s=now_s)
    assert standing(health, now_s + 2) is None
    assert health.figures(X, now_s + 2).uptime_5m == pytest.approx(90.1, abs=0.1)


def test_some_failures_in_a_row_among_many_successes_are_chance() -> None:
    health = Health()
    record(health, Verdict.SUCCESS, 1000)
    record(health, Verdict.FAILURE, 6)
    assert standing(health) is None


def test_coolings_double_up_to_a_bound_and_are_forgiven_after_a_good_time() -> None:
    circuit, now_s, cooled = Circuit(), NOW_S, []
    for _ in range(6):
        circuit.open(now_s, 0.0)
        cooled.append(circuit.until_s - now_s)
        now_s = circuit.until_s
        circuit.hear(now_s, now_s, 0.0, succeeded=True)
        assert not circuit.is_open
    assert cooled == [30, 60, 120, 120, 120, MAX_COOLING_S]
    circuit.open(now_s + FORGIVING_S, 0.0)
    assert circuit.until_s == now_s + FORGIVING_S + COOLING_S


def test_routers_do_not_try_all_at_the_same_moment() -> None:
    ends = set()
    for number in range(10):
        health = Health(seed=f"router-{number}")
        record(health, Verdict.FAILURE, 6)
        ends.add(next(second for second in range(100) if standing(health, NOW_S + second) is None))
    assert len(ends) > 1
    assert min(ends) >= COOLING_S
    assert max(ends) <= LATEST_S


def refused(health: Health, count: int = 1, at_s: int = NOW_S, **facts: Any) -> None:
    record(health, Verdict.FAILURE, count, at_s=at_s, blames_credential=True, **facts)


def cooling(health: Health, now_s: int = NOW_S) -> frozenset[str]:
    snapshot: HealthSnapshot = health.snapshot(now_s)
    return snapshot.cooling


def test_platforms_bad_key_cools_its_provider_and_no_endpoint() -> None:
    health = Health()
    refused(health, 6, credential="x")
    assert cooling(health) == {"x"}
    assert standing(health) is None


def test_accounts_bad_key_cools_that_key_alone() -> None:
    health = Health()
    refused(health, 6, credential="cred_1", is_own=False)
    assert cooling(health) == {"cred_1"}
    assert standing(health) is None
    assert health.figures(X, NOW_S).uptime_5m is None


def test_accounts_own_rate_limit_says_nothing_of_the_endpoint() -> None:
    health = Health()
    record(health, Verdict.RATE_LIMITED, 5, credential="cred_1", is_own=False)
    assert standing(health) is None


@pytest.mark.parametrize("count", [1, 2])
def test_few_refusals_cool_nothing(count: int) -> None:
    health = Health()
    refused(health, count, credential="x")
    assert cooling(health) == frozenset()


def test_key_that_works_for_most_is_not_cooled_by_refusals_of_some() -> None:
    health = Health()
    for _ in range(10):
        refused(health, credential="x")
        record(health, Verdict.SUCCESS, 2, credential="x")
    assert cooling(health) == frozenset()


def test_cooled_key_is_tried_by_one_request_and_then_used_again() -> None:
    health = Health()
    refused(health, 3, credential="x")
    now_s = NOW_S + LATEST_S
    assert cooling(health, now_s - LATEST_S + COOLING_S - 1) == {"x"}
    assert cooling(health, now_s) == frozenset()
    health.planned("x/other", "x", now_s)
    assert cooling(health, now_s) == {"x"}
    record(health, Verdict.SUCCESS, at_s=now_s + 1, started_s=now_s, credential="x")
    assert cooling(health, now_s + 1) == frozenset()


def test_cooled_key_that_is_refused_again_cools_for_longer() -> None:
    health = Health()
    refused(health, 3, credential="x")
    now_s = NOW_S + LATEST_S
    health.snapshot(now_s)
    health.planned("x/other", "x", now_s)
    refused(health, at_s=now_s + 1, started_s=now_s, credential="x")
    assert cooling(health, now_s + 1 + 2 * COOLING_S - 1) == {"x"}
    assert cooling(health, now_s + 1 + 2 * LATEST_S) == frozenset()


def test_key_that_nobody_uses_any_more_is_forgotten() -> None:
    health = Health()
    refused(health, 3, credential="cred_1", is_own=False)
    assert cooling(health, NOW_S + 2 * FORGIVING_S) == frozenset()
    refused(health, 2, at_s=NOW_S + 2 * FORGIVING_S, credential="cred_1", is_own=False)
    assert cooling(health, NOW_S + 2 * FORGIVING_S) == frozenset(), "it has two chances again"


def test_number_of_keys_that_are_remembered_is_bounded() -> None:
    health = Health()
    for number in range(MAX_CREDENTIALS + 10):
        refused(health, 3, credential=f"cred_{number}", is_own=False)
    assert len(cooling(health)) == MAX_CREDENTIALS
    assert f"cred_{MAX_CREDENTIALS + 9}" in cooling(health)
