"""The order of attempts: luck by price, the caller's order, sorting, health, models one after another."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import AppError, Kind
from services.router.core.health import UNKNOWN_HEALTH, HealthSnapshot, Percentiles, Standing
from services.router.core.plan import MAX_MODELS, make_plan
from services.router.core.wishes import NO_PREFERENCES, Features, Preferences, Sort, Wishes
from tests.unit.router.making import catalogue, endpoint, model, plan, price, slugs

A, B, C = endpoint("a", 100), endpoint("b", 200), endpoint("c", 300)


def behind(**standings: Standing) -> HealthSnapshot:
    return HealthSnapshot({f"{slug}/acme/one": standing for slug, standing in standings.items()})


def measured(**speeds: float) -> HealthSnapshot:
    by_id = {f"{slug}/acme/one": Percentiles(speed, speed, speed, speed, 1) for slug, speed in speeds.items()}
    return HealthSnapshot(latency_s=by_id, throughput=by_id)


def test_first_choices_follow_the_inverse_square_of_the_price() -> None:
    draws = 9000
    counts = Counter(slugs(plan([A, B, C], seed=f"gen-{number}"))[0] for number in range(draws))
    weights = {"a": 1 / 100**2, "b": 1 / 200**2, "c": 1 / 300**2}
    total = sum(weights.values())
    expected = {slug: draws * weight / total for slug, weight in weights.items()}
    chi_square = sum((counts[slug] - expected[slug]) ** 2 / expected[slug] for slug in weights)
    assert chi_square < 13.8, counts  # 0.999 quantile with two degrees of freedom; the seeds are fixed


def test_endpoints_after_the_first_are_tried_cheapest_first() -> None:
    for number in range(50):
        first, *others = slugs(plan([A, B, C], seed=f"gen-{number}"))
        assert others == [slug for slug in ("a", "b", "c") if slug != first]


def test_completion_price_counts_a_quarter_of_the_blend() -> None:
    made = catalogue(model([A])).models["acme/one"].endpoints[0]
    assert made.blend == 3 * 100 + 100


def test_endpoints_sold_by_the_request_rank_by_its_price() -> None:
    dear, cheap = (
        endpoint(slug, price=price(0, request=amount)) for slug, amount in (("dear", 2_000_000), ("cheap", 1_000_000))
    )
    assert slugs(plan([dear, cheap], preferences=Preferences(sort=Sort.PRICE))) == ["cheap", "dear"]
    firsts = Counter(slugs(plan([dear, cheap], seed=f"gen-{number}"))[0] for number in range(500))
    assert 350 <= firsts["cheap"] <= 450


def test_free_endpoints_come_first_in_random_order() -> None:
    endpoints = [endpoint("f", 0), endpoint("g", 0), A, B]
    firsts = Counter(tuple(slugs(plan(endpoints, seed=f"gen-{number}"))[:2]) for number in range(100))
    assert set(firsts) == {("f", "g"), ("g", "f")}
    assert all(30 <= count <= 70 for count in firsts.values())
    made = plan(endpoints)
    assert [(one.provider.slug, str(reason)) for one, reason, _ in made.attempts][2:] == [
        ("a", "price"),
        ("b", "price"),
    ]


@given(st.text(max_size=40))
def test_equal_seeds_make_equal_plans(seed: str) -> None:
    endpoints = [endpoint("f", 0), endpoint("g", 0), A, B, C]
    assert plan(endpoints, seed=seed).attempts == plan(endpoints, seed=seed).attempts


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        (Preferences(order=("c", "a")), ["c", "a", "b"]),
        (Preferences(order=("c", "nobody", "c")), ["c", "a", "b"]),
        (Preferences(order=("c", "a"), allow_fallbacks=False), ["c", "a"]),
        (Preferences(sort=Sort.PRICE), ["a", "b", "c"]),
        (Preferences(sort=Sort.PRICE, allow_fallbacks=False), ["a"]),
        (Preferences(order=("b",), sort=Sort.PRICE), ["b", "a", "c"]),
    ],
)
def test_order_and_sort_decide_without_luck(preferences: Preferences, expected: list[str]) -> None:
    for number in range(10):
        assert slugs(plan([A, B, C], preferences=preferences, seed=f"gen-{number}")) == expected


def test_caller_who_allows_no_fallbacks_gets_one_attempt() -> None:
    made = plan([A, B, C], preferences=Preferences(allow_fallbacks=False))
    assert len(made.attempts) == 1
    assert {str(one.constraint) for one in made.dropped} == {"allow_fallbacks"}


def test_throughput_ranks_the_measured_ones_and_lets_the_others_follow_by_price() -> None:
    made = plan([A, B, C], preferences=Preferences(sort=Sort.THROUGHPUT), health=measured(b=10.0, c=90.0))
    assert slugs(made) == ["c", "b", "a"]


def test_latency_ranks_the_quickest_first() -> None:
    made = plan([A, B, C], preferences=Preferences(sort=Sort.LATENCY), health=measured(b=10.0, c=90.0))
    assert slugs(made) == ["b", "c", "a"]


@pytest.mark.parametrize("preferences", [NO_PREFERENCES, Preferences(sort=Sort.PRICE)])
def test_endpoints_in_trouble_are_tried_last(preferences: Preferences) -> None:
    for number in range(30):
        made = plan(
            [A, B, C],
            preferences=preferences,
            health=behind(a=Standing.OUTAGE, b=Standing.RATE_LIMITED),
            seed=f"gen-{number}",
        )
        assert slugs(made)[0] == "c"
        assert {one.provider.slug: str(reason) for one, reason, _ in made.attempts} == {
            "c": "price",
            "a": "outage",
            "b": "rate_limited",
        }


def test_order_of_the_caller_stands_even_in_an_outage() -> None:
    made = plan([A, B, C], preferences=Preferences(order=("a",)), health=behind(a=Standing.OUTAGE, b=Standing.OUTAGE))
    assert [(one.provider.slug, str(reason)) for one, reason, _ in made.attempts] == [
        ("a", "order"),
        ("c", "price"),
        ("b", "outage"),
    ]


def test_endpoints_that_are_all_in_trouble_are_still_tried() -> None:
    made = plan([A, B], health=behind(a=Standing.OUTAGE, b=Standing.OUTAGE))
    assert sorted(slugs(made)) == ["a", "b"]


def plan_models(*names: str, preferences: Preferences = NO_PREFERENCES) -> tuple[list[str], str]:
    one = model([A, B], aliases=("acme/uno",))
    two = model([endpoint("x", 1, model="acme/two"), endpoint("a", 2, model="acme/two")], "acme/two")
    made = make_plan(
        Wishes(tuple(names), Features(), preferences),
        catalogue=catalogue(one, two),
        health=UNKNOWN_HEALTH,
        seed="gen-1",
    )
    return [one.id for one, *_ in made.attempts], made.strategy


def test_models_are_tried_one_after_another() -> None:
    attempts, strategy = plan_models("acme/two", "acme/one", preferences=Preferences(sort=Sort.PRICE))
    assert attempts == ["x/acme/two", "a/acme/two", "a/acme/one", "b/acme/one"]
    assert strategy == "fallback"


def test_model_without_a_fitting_endpoint_leaves_the_others() -> None:
    attempts, _ = plan_models("acme/one", "acme/two", preferences=Preferences(only=frozenset({"x"})))
    assert attempts == ["x/acme/two"]


def test_no_fallbacks_among_providers_still_lets_the_next_model_follow() -> None:
    preferences = Preferences(sort=Sort.PRICE, allow_fallbacks=False)
    assert plan_models("acme/one", "acme/two", preferences=preferences)[0] == ["a/acme/one", "x/acme/two"]


def test_alias_is_the_model_itself() -> None:
    preferences = Preferences(sort=Sort.PRICE)
    assert plan_models("acme/uno", preferences=preferences) == (["a/acme/one", "b/acme/one"], "alias")
    assert plan_models("acme/one", preferences=preferences) == (["a/acme/one", "b/acme/one"], "direct")
    assert plan_models("acme/one", "acme/uno", preferences=preferences)[0] == ["a/acme/one", "b/acme/one"]


@pytest.mark.parametrize(
    ("names", "reason", "message"),
    [
        (["acme/none"], "MODEL_UNKNOWN", "acme/none is not a valid model ID"),
        (["acme/one", "acme/none"], "MODEL_UNKNOWN", "acme/none is not a valid model ID"),
        ([""], "MODEL_UNKNOWN", " is not a valid model ID"),
        (["x" * 100_000], "MODEL_UNKNOWN", "x" * 200 + " is not a valid model ID"),
        ([], "MODEL_MISSING", "No model was given: set `model` or `models`"),
        (["acme/one"] * (MAX_MODELS + 1), "TOO_MANY_MODELS", "`models` may name at most 32 models"),
    ],
)
def test_models_that_cannot_be_asked_for_are_refused(names: list[str], reason: str, message: str) -> None:
    with pytest.raises(AppError) as caught:
        plan_models(*names)
    assert (caught.value.kind, caught.value.reason, caught.value.message) == (Kind.INVALID, reason, message)
