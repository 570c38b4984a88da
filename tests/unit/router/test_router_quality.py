"""Requests with tools: who is graded how, what that does to plans, and how it is learnt, forgotten and kept over restarts."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.router.core.health import Grade, Health, HealthSnapshot, Standing, Verdict
from services.router.core.history import BUCKET_S, TWO_HOURS, History, Tally
from services.router.core.quality import LEAST_SPEED_SIGMA, LEAST_TOOL_SIGMA, Gradebook, Quality, grades
from services.router.core.snapshot import ToolRecord
from services.router.core.wishes import Features, Preferences, Sort
from tests.unit.router.making import MODEL, NOW_S, endpoint, plan, record, slugs

GOOD, SLOW, MISCALLS = Grade.GOOD, Grade.SLOW, Grade.TOOL_CALLS
NONE = None


def speed(median: float, requests: int = 1000) -> Quality:
    return Quality(median, requests)


def calls(failures: int, requests: int = 1000) -> Quality:
    return Quality(tools=ToolRecord(requests, failures))


def both(median: float, failures: int) -> Quality:
    return Quality(median, 1000, ToolRecord(1000, failures))


def graded(*qualities: Quality) -> list[Grade | None]:
    """Those of providers a, b, c, …"""
    known = {f"{slug}/{MODEL}": quality for slug, quality in zip("abcdefgh", qualities, strict=False)}
    found = grades(known)
    assert found.keys() <= known.keys()
    return [found.get(one) for one in known]


@pytest.mark.parametrize(
    ("qualities", "expected"),
    [
        # Throughput: 1.5 sigma below the median.
        ([speed(1), speed(100), speed(101), speed(99), speed(100)], [SLOW, GOOD, GOOD, GOOD, GOOD]),
        ([speed(60), speed(80), speed(100), speed(120), speed(140)], [GOOD] * 5),
        ([speed(30), speed(80), speed(100), speed(120), speed(140)], [SLOW, GOOD, GOOD, GOOD, GOOD]),
        ([speed(500), speed(100), speed(101), speed(99)], [GOOD] * 4),
        # All alike but one: a hair is no reason, a difference is.
        ([speed(96), speed(100), speed(100), speed(100)], [GOOD] * 4),
        ([speed(90), speed(100), speed(100), speed(100)], [SLOW, GOOD, GOOD, GOOD]),
        # Too few requests, or providers, say nothing.
        ([speed(1, 99), speed(100), speed(101), speed(99), speed(100)], [NONE, GOOD, GOOD, GOOD, GOOD]),
        ([speed(1, 100), speed(100), speed(101), speed(99)], [SLOW, GOOD, GOOD, GOOD]),
        ([speed(1), speed(100), speed(101), speed(99, 99)], [NONE] * 4),
        # Tool calls: 2 sigma below the median.
        ([calls(200), calls(10), calls(12), calls(8), calls(11)], [MISCALLS, GOOD, GOOD, GOOD, GOOD]),
        ([calls(60), calls(10), calls(30), calls(50), calls(20)], [GOOD] * 5),
        ([calls(0), calls(0), calls(0), calls(15)], [GOOD] * 4),
        ([calls(0), calls(0), calls(0), calls(25)], [GOOD, GOOD, GOOD, MISCALLS]),
        ([calls(0), calls(0), calls(0), calls(1000)], [GOOD, GOOD, GOOD, MISCALLS]),
        ([calls(0), calls(40), calls(40), calls(40)], [GOOD] * 4),
        ([calls(5, 199), calls(0), calls(0), calls(0), calls(0)], [NONE, GOOD, GOOD, GOOD, GOOD]),
        ([calls(199, 199), calls(0), calls(0), calls(0)], [NONE] * 4),
        ([calls(200, 200), calls(0), calls(0), calls(0)], [MISCALLS, GOOD, GOOD, GOOD]),
        # Nine in ten good: by chance 200 replies may well show some four in a hundred less, 10,000 may not.
        ([calls(28, 200), calls(1000, 10_000), calls(1000, 10_000), calls(1000, 10_000)], [GOOD] * 4),
        ([calls(1400, 10_000), calls(1000, 10_000), calls(1000, 10_000), calls(1000, 10_000)], [MISCALLS, GOOD, GOOD, GOOD]),
        # Both signals: none may find it bad; calls are the better reason.
        ([both(1, 0), both(100, 0), both(100, 0), both(100, 500)], [SLOW, GOOD, GOOD, MISCALLS]),
        ([both(1, 500), both(100, 0), both(100, 0), both(100, 0)], [MISCALLS, GOOD, GOOD, GOOD]),
        # What one signal does not know is not held against whom the other knows.
        ([speed(100), both(100, 0), both(100, 0), both(100, 0), both(100, 300)], [GOOD, GOOD, GOOD, GOOD, MISCALLS]),
        ([calls(0), both(100, 0), both(100, 0), both(100, 0), both(1, 0)], [GOOD, GOOD, GOOD, GOOD, SLOW]),
        ([calls(900), both(100, 0), both(100, 0), both(100, 0)], [MISCALLS, GOOD, GOOD, GOOD]),
        ([calls(900), speed(100), speed(100), speed(100), both(1, 900)], [NONE, GOOD, GOOD, GOOD, SLOW]),
        ([Quality(), both(100, 0), both(100, 0), both(100, 0), both(100, 0)], [NONE, GOOD, GOOD, GOOD, GOOD]),
        ([], []),
    ],
)  # fmt: skip
def test_endpoints_are_graded_by_their_models_others(qualities: list[Quality], expected: list[Grade | None]) -> None:
    assert graded(*qualities) == expected


def test_four_endpoints_of_one_provider_are_no_four_providers() -> None:
    known = {f"a/{MODEL}#{region}": calls(0) for region in ("eu", "us", "jp")} | {f"b/{MODEL}": calls(900)}
    assert grades(known) == {}
    known |= {f"c/{MODEL}": calls(0), f"d/{MODEL}": calls(0)}
    assert grades(known)[f"b/{MODEL}"] is MISCALLS


qualities_of_some = st.lists(
    st.builds(
        lambda median, requests, replies, failures: Quality(
            median, requests, ToolRecord(replies, min(failures, replies))
        ),
        st.floats(0.1, 1000),
        st.sampled_from([0, 99, 100, 5000]),
        st.sampled_from([0, 199, 200, 5000]),
        st.integers(0, 5000),
    ),
    max_size=8,
)


@given(qualities_of_some)
def test_at_least_half_of_those_that_a_signal_knows_are_not_bad_by_it(qualities: list[Quality]) -> None:
    found = graded(*qualities)
    for bad in (SLOW, MISCALLS):
        knows = [one.requests >= 100 if bad is SLOW else one.tools.requests >= 200 for one in qualities]
        assert 2 * sum(grade is bad for grade in found) <= sum(knows)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=8), st.integers(0, 7), st.integers(1, 1000))
def test_better_calls_never_make_a_grade_worse(failures: list[int], place: int, fewer: int) -> None:
    assume(place < len(failures))
    before = graded(*(calls(one) for one in failures))[place]
    failures[place] = max(0, failures[place] - fewer)
    after = graded(*(calls(one) for one in failures))[place]
    assert before is MISCALLS or after is GOOD


@given(st.integers(4, 8), st.integers(1, 999))
def test_one_among_perfect_ones_is_bad_when_the_difference_means_something(peers: int, failures: int) -> None:
    found = graded(calls(failures), *(calls(0) for _ in range(peers - 1)))
    assert (found[0] is MISCALLS) == (failures / 1000 > 2 * LEAST_TOOL_SIGMA + 1e-12)
    assert set(found[1:]) == {GOOD}


def test_speeds_that_a_sketch_cannot_tell_apart_are_no_reason() -> None:
    assert LEAST_SPEED_SIGMA * 1.5 > 0.04


def test_gradebook_works_out_anew_what_has_changed() -> None:
    book = Gradebook()
    for slug in "abcd":
        book.note(f"{slug}/{MODEL}", calls(900 if slug == "a" else 0))
        book.note(f"{slug}/other/one", calls(0))
    assert book.grades()[f"a/{MODEL}"] is MISCALLS
    assert book.grades()["a/other/one"] is GOOD
    book.note(f"a/{MODEL}", calls(0))
    assert set(book.grades().values()) == {GOOD}
    book.forget("d/other/one")
    assert set(book.grades()) == {f"{slug}/{MODEL}" for slug in "abcd"}
    for slug in "abcd":
        book.forget(f"{slug}/{MODEL}")
    assert book.grades() == {}


# Plans

MANY = [endpoint(slug, 100 + place) for place, slug in enumerate("abcdef")]
HEALTH = HealthSnapshot(
    grades={MANY[0].id: MISCALLS, MANY[1].id: SLOW, MANY[3].id: GOOD, MANY[4].id: GOOD, MANY[5].id: GOOD}
)
"""Of c nothing is known."""
TOOLS = Features(uses_tools=True)


@pytest.mark.parametrize(
    ("features", "preferences"), [(TOOLS, Preferences()), (Features(), Preferences(sort=Sort.EXACTO))]
)
def test_good_ones_go_first_then_unknown_ones_then_those_that_stand_out(
    features: Features, preferences: Preferences
) -> None:
    firsts = set()
    for number in range(40):
        made = plan(MANY, features, preferences, HEALTH, seed=f"gen-{number}")
        firsts.add(slugs(made)[0])
        assert set(slugs(made)[:3]) == {"d", "e", "f"}
        assert slugs(made)[3] == "c"
        reasons = {place.endpoint.provider.slug: str(place.reason) for place in made.attempts}
        assert reasons == {
            "a": "tool_calls", "b": "slow", "c": "price", "d": "exacto", "e": "exacto", "f": "exacto"
        }  # fmt: skip
    assert firsts == {"d", "e", "f"}, "price decides among the good ones"


@pytest.mark.parametrize(
    ("features", "preferences", "first"),
    [
        (TOOLS, Preferences(sort=Sort.PRICE), "a"),
        (TOOLS, Preferences(order=("b", "a")), "b"),
        (TOOLS, Preferences(sort=Sort.THROUGHPUT), "a"),
    ],
)
def test_caller_who_sorts_is_obeyed(features: Features, preferences: Preferences, first: str) -> None:
    assert slugs(plan(MANY, features, preferences, HEALTH))[0] == first


def test_without_tools_quality_has_no_say() -> None:
    firsts = {slugs(plan(MANY, health=HEALTH, seed=f"gen-{number}"))[0] for number in range(60)}
    assert firsts >= {"a", "b", "c"}


def test_while_nobody_is_graded_price_decides() -> None:
    firsts = {slugs(plan(MANY, TOOLS, seed=f"gen-{number}"))[0] for number in range(60)}
    assert firsts >= {"a", "b", "c"}


def test_grades_hold_among_whichever_endpoints_are_left() -> None:
    """The peers that they are measured by are the model's, not those that a request's filters leave."""
    made = plan(MANY, TOOLS, Preferences(only=frozenset({"a", "c"})), HEALTH)
    assert slugs(made) == ["c", "a"]
    assert made.attempts[1].reason == "tool_calls"


def test_trouble_is_worse_than_bad_calls() -> None:
    health = HEALTH._replace(behind={MANY[3].id: Standing.OUTAGE})
    made = plan(MANY, TOOLS, health=health)
    assert slugs(made)[-1] == "d"
    assert {"a", "b"} == set(slugs(made)[3:5])


# What routers hear

PEERS = [f"{slug}/{MODEL}" for slug in "abcd"]


def hear(health: Health, endpoint_id: str, replies: int, failures: int, at_s: int = NOW_S, **facts: Any) -> None:
    for number in range(replies):
        record(
            health, Verdict.SUCCESS, at_s=at_s, endpoint_id=endpoint_id, tool_calls=number >= failures, **facts
        )  # fmt: skip


def seen(health: Health, now_s: int = NOW_S) -> Mapping[str, Grade]:
    """Once everything was measured."""
    for second in range(3):
        health.snapshot(now_s + second)
    return health.snapshot(now_s + 3).grades


def busy_health(at_s: int = NOW_S) -> Health:
    health = Health()
    for endpoint_id in PEERS:
        hear(health, endpoint_id, 200, 50 if endpoint_id == PEERS[0] else 0, at_s)
    return health


def test_bad_calls_are_heard_of_and_put_behind() -> None:
    found = seen(busy_health())
    assert found == {PEERS[0]: MISCALLS, PEERS[1]: GOOD, PEERS[2]: GOOD, PEERS[3]: GOOD}
    endpoints = [endpoint(slug) for slug in "abcd"]
    made = plan(endpoints, TOOLS, health=HealthSnapshot(grades=found))
    assert slugs(made)[-1] == "a"


@pytest.mark.parametrize("facts", [{"tool_calls": None}, {"tool_calls": True, "is_own": False}])
def test_what_nobody_can_say_is_no_tool_request_and_whose_credential_it_is_does_not_matter(facts: Any) -> None:
    health = Health()
    for endpoint_id in PEERS:
        record(health, Verdict.SUCCESS, 200, endpoint_id=endpoint_id, **facts)
    assert bool(seen(health)) is (facts["tool_calls"] is not None)


def test_calls_are_forgotten_after_two_hours_and_not_before() -> None:
    health = busy_health()
    still = NOW_S + (TWO_HOURS - 1) * BUCKET_S
    for second in range(NOW_S, still, 60):
        health.snapshot(second)
    assert seen(health, still)[PEERS[0]] is MISCALLS
    for second in range(still, still + BUCKET_S + 60, 10):
        health.snapshot(second)
    assert seen(health, still + BUCKET_S + 60) == {}


def test_calls_of_two_hours_count_together() -> None:
    health = Health()
    for number in range(10):
        at_s = NOW_S + number * 2 * BUCKET_S
        for endpoint_id in PEERS:
            hear(health, endpoint_id, 20, 10 if endpoint_id == PEERS[0] else 0, at_s)
        assert bool(seen(health, at_s)) is (number == 9)


def test_speeds_of_half_an_hour_count_together_and_are_forgotten_after_it() -> None:
    health = Health()
    for number in range(5):
        for endpoint_id in PEERS:
            tokens = 10 if endpoint_id == PEERS[0] else 100
            record(
                health, Verdict.SUCCESS, 20, NOW_S + number * BUCKET_S,
                endpoint_id=endpoint_id, completion_tokens=tokens, total_ms=1000,
            )  # fmt: skip
    end_s = NOW_S + 4 * BUCKET_S
    assert seen(health, end_s)[PEERS[0]] is SLOW
    for second in range(end_s, end_s + 3 * BUCKET_S, 10):
        health.snapshot(second)
    assert seen(health, end_s + 3 * BUCKET_S) == {}


def test_forgotten_endpoints_leave_no_grade() -> None:
    health = Health(max_endpoints=4)
    for endpoint_id in PEERS:
        hear(health, endpoint_id, 200, 0)
    assert len(seen(health)) == 4
    record(health, Verdict.SUCCESS, endpoint_id="another/one/two", latency_ms=100)
    assert seen(health, NOW_S + 10) == {}


def told(attempts: int, requests: int, failures: int) -> Tally:
    tally = Tally(attempts)
    tally.tool_requests, tally.tool_failures = requests, failures
    return tally


BUCKET = NOW_S // BUCKET_S

steps = st.lists(
    st.tuples(st.sampled_from(["add", "see", "wait"]), st.integers(0, TWO_HOURS + 2), st.integers(1, 20)), max_size=60
)


@given(steps)
def test_sums_of_two_hours_are_those_of_the_fullest_word_on_each_bucket(some: list[tuple[str, int, int]]) -> None:
    history, now = History(), BUCKET
    holding: dict[int, int] = {}
    counted: dict[int, int] = {}
    for kind, ago, number in some:
        bucket = now - ago
        if kind == "wait":
            now += ago
            history.advance(now)
        elif kind == "see":
            history.see(bucket, now, told(number, number, number // 2))
            holding[bucket] = max(holding.get(bucket, 0), number)
        elif ago < 6:
            for place in range(number):
                good = (counted.get(bucket, 0) + place) % 2 == 0
                history.add(
                    bucket, now, failed=False, latency_key=None, throughput_key=None, tool_calls=good
                )  # fmt: skip
            counted[bucket] = counted.get(bucket, 0) + number
            holding[bucket] = max(holding.get(bucket, 0), counted[bucket])
    held = [number for bucket, number in holding.items() if bucket > now - TWO_HOURS]
    assert history.tools == ToolRecord(sum(held), sum(number // 2 for number in held))


def test_word_of_a_router_that_knew_nothing_of_tools_takes_nothing_away() -> None:
    history = History()
    for _ in range(10):
        history.add(BUCKET, BUCKET, failed=False, latency_key=None, throughput_key=None, tool_calls=False)
    history.see(BUCKET, BUCKET, told(10, 0, 0))
    assert history.tools == ToolRecord(10, 10)
