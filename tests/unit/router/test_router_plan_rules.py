"""The rules that go beyond price and filters: tiers, shortcuts, speed, sessions, accounts and their own credentials."""

import pytest

from libs.errors import AppError, Kind
from services.router.core.catalogue import Endpoint, Provider
from services.router.core.health import UNKNOWN_HEALTH, HealthSnapshot, Percentiles, Standing
from services.router.core.plan import Plan, make_plan
from services.router.core.wishes import CutOffs, Features, OwnCredential, Policy, Preferences, Sort, Wishes
from tests.unit.router.making import MODEL, catalogue, dropped, endpoint, model, plan, price, slugs

A, B, C = endpoint("a", 100), endpoint("b", 200), endpoint("c", 300)
FLEX = endpoint("a", 50, variant="flex", service_tier="flex", is_opt_in=True)
PRIORITY = endpoint("b", 400, variant="priority", service_tier="priority", is_opt_in=True)
TIERS = [A, B, FLEX, PRIORITY]


def speeds(count: int = 1000, **medians: float) -> dict[str, Percentiles]:
    return {f"{slug}/{MODEL}": Percentiles(at, at * 1.5, at * 2, at * 3, count) for slug, at in medians.items()}


def tags(made: Plan) -> list[str]:
    return [place.endpoint.tag for place in made.attempts]


def named(
    name: str, endpoints: list[Endpoint] = TIERS, health: HealthSnapshot = UNKNOWN_HEALTH, **more: object
) -> Plan:
    wishes = Wishes((name,), **more)  # type: ignore[arg-type] # fields by name
    return make_plan(wishes, catalogue=catalogue(model(endpoints)), health=health, seed="gen-1")


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        ("", {"a", "b"}),
        ("flex", {"a/flex"}),
        ("priority", {"b/priority", "a", "b"}),
    ],
)
def test_service_tier_decides_which_endpoints_are_planned(tier: str, expected: set[str]) -> None:
    assert set(tags(plan(TIERS, Features(service_tier=tier)))) == expected


def test_priority_endpoints_come_first_and_flex_falls_back_only_where_there_is_none() -> None:
    assert tags(plan(TIERS, Features(service_tier="priority")))[0] == "b/priority"
    assert set(tags(plan([A, B], Features(service_tier="flex")))) == {"a", "b"}
    assert dropped(plan(TIERS, Features(service_tier="flex")))["b"] == "service_tier"


def test_tier_that_was_asked_for_still_obeys_the_names_of_providers() -> None:
    wanted = Features(service_tier="flex")
    assert tags(plan(TIERS, wanted, Preferences(only=frozenset({"a"})))) == ["a/flex"]
    with pytest.raises(AppError):
        plan([FLEX], wanted, Preferences(ignore=frozenset({"a"})))


def test_nitro_ranks_by_throughput_with_priority_endpoints_eligible() -> None:
    health = HealthSnapshot(throughput=speeds(a=10, b=90))
    assert tags(named(f"{MODEL}:nitro", health=health)) == ["b", "a", "b/priority"]


def test_floor_ranks_by_price_with_flex_endpoints_eligible() -> None:
    assert tags(named(f"{MODEL}:floor")) == ["a/flex", "a", "b"]


def test_shortcut_gives_way_to_the_callers_own_sort() -> None:
    health = HealthSnapshot(throughput=speeds(a=10, b=90))
    preferences = Preferences(sort=Sort.PRICE)
    assert tags(named(f"{MODEL}:nitro", [A, B], health, preferences=preferences)) == ["a", "b"]


def test_online_plans_only_endpoints_that_search() -> None:
    searching = endpoint("s", supported_parameters=frozenset({"web_search_options"}))
    assert slugs(named(f"{MODEL}:online", [A, searching])) == ["s"]
    with pytest.raises(AppError) as caught:
        named(f"{MODEL}:online", [A])
    assert caught.value.metadata["excluded_by"] == "web_search"


@pytest.mark.parametrize("name", [f"{MODEL}:turbo", f"{MODEL}:", f"{MODEL}:nitro:x", ":nitro", f"{MODEL}:NITRO"])
def test_shortcut_that_nobody_knows_is_no_model(name: str) -> None:
    with pytest.raises(AppError) as caught:
        named(name)
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "MODEL_UNKNOWN")


def test_free_variant_that_is_not_offered_is_told_apart_from_an_unknown_model() -> None:
    with pytest.raises(AppError) as caught:
        named(f"{MODEL}:free")
    assert caught.value.http_status == 404
    assert caught.value.metadata["availability"] == "free_variant_ended"
    assert caught.value.metadata["fallback_models"] == MODEL


def test_model_whose_endpoints_have_all_ended_is_deprecated() -> None:
    with pytest.raises(AppError) as caught:
        make_plan(Wishes((MODEL,)), catalogue=catalogue(model([], has_ended=True)), health=UNKNOWN_HEALTH, seed="gen-1")
    assert caught.value.metadata["availability"] == "model_deprecated"


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        (Preferences(sort=Sort.PRICE, min_throughput=CutOffs(p50=50)), ["b", "c", "a"]),
        (Preferences(sort=Sort.PRICE, min_throughput=CutOffs(p99=100)), ["b", "c", "a"]),
        (Preferences(sort=Sort.PRICE, min_throughput=CutOffs(p50=5, p90=10)), ["a", "b", "c"]),
        (Preferences(sort=Sort.PRICE, max_latency=CutOffs(p50=20)), ["a", "c", "b"]),
        (Preferences(sort=Sort.PRICE, max_latency=CutOffs(p50=90, p75=100)), ["a", "c", "b"]),
        (Preferences(sort=Sort.PRICE, min_throughput=CutOffs(p50=1000), max_latency=CutOffs(p50=0.1)), ["c", "a", "b"]),
    ],
)
def test_endpoints_that_miss_a_cut_off_go_behind_and_unmeasured_ones_stay(
    preferences: Preferences, expected: list[str]
) -> None:
    health = HealthSnapshot(throughput=speeds(a=10, b=90), latency_s=speeds(a=10, b=90))
    made = plan([A, B, C], None, preferences, health)
    assert slugs(made) == expected
    assert len(made.dropped) == 0


def test_worse_troubles_stand_further_behind() -> None:
    endpoints = [endpoint(slug, 100) for slug in "abcdef"]
    ids = {slug: f"{slug}/{MODEL}" for slug in "abcdef"}
    health = HealthSnapshot(
        behind={
            ids["a"]: Standing.TRIPPED,
            ids["b"]: Standing.OUTAGE,
            ids["c"]: Standing.FALLBACK_ONLY,
            ids["d"]: Standing.RATE_LIMITED,
            ids["e"]: Standing.DEGRADED,
        }
    )
    assert slugs(plan(endpoints, health=health)) == ["f", "e", "d", "c", "b", "a"]


def test_provider_whose_platform_credential_cools_comes_last() -> None:
    made = plan([A, B, C], None, Preferences(sort=Sort.PRICE), HealthSnapshot(cooling=frozenset({"a"})))
    assert slugs(made) == ["b", "c", "a"]
    assert made.attempts[-1].reason == "cooling"


def test_conversation_stays_with_the_endpoint_that_has_it_cached() -> None:
    cached = endpoint("c", price=price(300, cache_read=30))
    health = HealthSnapshot(sticky={f"s1/{MODEL}": cached.id})
    made = plan([A, B, cached], Features(session_key="s1"), health=health)
    assert (slugs(made)[0], made.attempts[0].reason) == ("c", "sticky")
    sorted_by_price = Preferences(sort=Sort.PRICE)
    assert slugs(plan([A, B, cached], Features(session_key="other"), sorted_by_price, health))[0] == "a"
    assert slugs(plan([A, B, cached], Features(session_key="s1"), Preferences(order=("b",)), health))[0] == "b"


def test_cache_that_saves_nothing_ties_no_conversation() -> None:
    health = HealthSnapshot(sticky={f"s1/{MODEL}": C.id})
    assert slugs(plan([A, B, C], Features(session_key="s1"), Preferences(sort=Sort.PRICE), health))[0] == "a"


def test_conversation_leaves_an_endpoint_in_trouble() -> None:
    cached = endpoint("c", price=price(300, cache_read=30))
    health = HealthSnapshot(behind={cached.id: Standing.OUTAGE}, sticky={f"s1/{MODEL}": cached.id})
    assert slugs(plan([A, B, cached], Features(session_key="s1"), health=health))[-1] == "c"


def two_models(preferences: Preferences, **more: object) -> list[str]:
    one = model([endpoint("a", 100), endpoint("b", 300)])
    two = model([endpoint("x", 50, model="acme/two"), endpoint("y", 200, model="acme/two")], "acme/two")
    wishes = Wishes(("acme/one", "acme/two"), preferences=preferences, **more)  # type: ignore[arg-type] # fields by name
    return slugs(make_plan(wishes, catalogue=catalogue(one, two), health=UNKNOWN_HEALTH, seed="gen-1"))


def test_without_partition_one_ranking_spans_all_models() -> None:
    assert two_models(Preferences(sort=Sort.PRICE)) == ["a", "b", "x", "y"]
    assert two_models(Preferences(sort=Sort.PRICE, over_all_models=True)) == ["x", "a", "y", "b"]
    assert two_models(Preferences(order=("b", "x"), over_all_models=True)) == ["b", "x", "a", "y"]


def test_only_models_whose_author_allows_it_serve_text_to_train_on() -> None:
    wanted = Wishes((MODEL,), preferences=Preferences(distillable_only=True))
    for known, is_planned in ((True, True), (False, False), (None, False)):
        offered = catalogue(model([A], distillable=known))
        if is_planned:
            assert make_plan(wanted, catalogue=offered, health=UNKNOWN_HEALTH, seed="s").attempts
            continue
        with pytest.raises(AppError) as caught:
            make_plan(wanted, catalogue=offered, health=UNKNOWN_HEALTH, seed="s")
        assert caught.value.metadata["excluded_by"] == "enforce_distillable_text"
        assert caught.value.metadata["constraint_field"] == "provider.enforce_distillable_text"


def test_output_that_a_model_does_not_make_is_refused() -> None:
    with pytest.raises(AppError) as caught:
        plan([A], Features(output_modalities=frozenset({"image"})))
    assert caught.value.metadata["excluded_by"] == "output_modalities"


EU = endpoint("e", 500, provider=Provider("e", "E", collects_data=True), region="eu")


@pytest.mark.parametrize(
    ("policy", "left", "constraint"),
    [
        (Policy(allowed_providers=frozenset({"a"})), ["a"], "account_providers"),
        (Policy(ignored_providers=frozenset({"e"})), ["a"], "account_providers"),
        (Policy(deny_training=True), ["a"], "data_policy:training"),
        (Policy(region="eu"), ["e"], "data_region"),
    ],
)
def test_account_bounds_every_request(policy: Policy, left: list[str], constraint: str) -> None:
    made = plan([A, EU], policy=policy)
    assert slugs(made) == left
    assert list(dropped(made).values()) == [constraint]


def test_account_that_forbids_a_provider_forbids_its_other_tiers_too() -> None:
    made = plan(TIERS, Features(service_tier="flex"), policy=Policy(allowed_providers=frozenset({"b"})))
    assert tags(made) == ["b"]


@pytest.mark.parametrize(
    ("policy", "is_allowed"),
    [
        (Policy(allowed_models=("acme/*",)), True),
        (Policy(allowed_models=("*/one",)), True),
        (Policy(allowed_models=("acme/two", "acme/one")), True),
        (Policy(allowed_models=()), False),
        (Policy(allowed_models=("other/*",)), False),
        (Policy(ignored_models=("acme/*",), allowed_models=("acme/one",)), False),
        (Policy(allowed_models=("a*e*/o*",)), True),
        (Policy(allowed_models=("*a" * 60,)), False),
    ],
)
def test_account_allows_models_by_pattern(policy: Policy, is_allowed: bool) -> None:
    if is_allowed:
        assert slugs(plan([A], policy=policy)) == ["a"]
        return
    with pytest.raises(AppError) as caught:
        plan([A], policy=policy)
    assert caught.value.metadata["excluded_by"] == "account_models"


def test_region_that_no_endpoint_is_in_is_forbidden() -> None:
    with pytest.raises(AppError) as caught:
        plan([A], policy=Policy(region="eu"))
    assert (caught.value.http_status, caught.value.metadata["availability"]) == (403, "region_restricted")


def test_account_without_a_model_name_gets_its_default() -> None:
    made = make_plan(
        Wishes((), policy=Policy(default_model=MODEL)),
        catalogue=catalogue(model([A])),
        health=UNKNOWN_HEALTH,
        seed="s",
    )
    assert slugs(made) == ["a"]


def own(slug: str, name: str = "", **facts: object) -> OwnCredential:
    return OwnCredential(name or f"own-{slug}", slug, **facts)  # type: ignore[arg-type] # fields by name


def with_credentials(
    *credentials: OwnCredential, order: tuple[str, ...] = (), health: HealthSnapshot = UNKNOWN_HEALTH
) -> list[str]:
    preferences = Preferences(order=order, sort=Sort.PRICE)
    made = plan([A, B, C], None, preferences, health, credentials=credentials)
    return [f"{one.credential.id if one.credential else 'ours'}@{one.endpoint.provider.slug}" for one in made.attempts]


def test_own_credentials_go_first_even_against_the_callers_order() -> None:
    assert with_credentials(own("c"), order=("b",)) == ["own-c@c", "ours@b", "ours@a", "ours@c"]


def test_own_credentials_are_tried_in_their_order_then_the_shared_capacity_then_the_fallbacks() -> None:
    credentials = (
        own("b", "second", sort_order=2),
        own("b", "first", sort_order=1),
        own("a", "last", is_fallback=True),
    )
    assert with_credentials(*credentials) == ["first@b", "second@b", "ours@a", "ours@b", "ours@c", "last@a"]


def test_own_credential_that_is_always_used_shuts_the_shared_capacity_of_its_provider() -> None:
    assert with_credentials(own("a", always_use=True)) == ["own-a@a", "ours@b", "ours@c"]
    assert with_credentials(own("a", always_use=True, is_fallback=True)) == ["ours@b", "ours@c", "own-a@a"]


def test_own_credential_holds_for_its_models_alone() -> None:
    assert with_credentials(own("a", allowed_models=frozenset({"acme/two"}))) == ["ours@a", "ours@b", "ours@c"]
    assert with_credentials(own("a", allowed_models=frozenset({MODEL})))[0] == "own-a@a"


def test_own_credential_that_cools_comes_after_those_that_do_not() -> None:
    health = HealthSnapshot(cooling=frozenset({"bad"}))
    assert with_credentials(own("a", "bad"), own("b", "good", sort_order=5), health=health)[:2] == ["good@b", "bad@a"]


def test_own_credential_opens_a_provider_that_the_platform_cannot_call() -> None:
    offered = catalogue(model([A], elsewhere=(endpoint("z", 10),)))
    wishes = Wishes((MODEL,), credentials=(own("z"),))
    assert slugs(make_plan(wishes, catalogue=offered, health=UNKNOWN_HEALTH, seed="s")) == ["z", "a"]
    assert slugs(make_plan(Wishes((MODEL,)), catalogue=offered, health=UNKNOWN_HEALTH, seed="s")) == ["a"]
    bounded = wishes._replace(preferences=Preferences(ignore=frozenset({"z"})))
    assert slugs(make_plan(bounded, catalogue=offered, health=UNKNOWN_HEALTH, seed="s")) == ["a"]


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        (MODEL, "direct"),
        ("acme/uno", "alias"),
        ("~acme/ones-latest", "latest"),
        (f"{MODEL}:nitro", "direct"),
        ("acme/uno:floor", "alias"),
        ("openrouter/auto", "auto"),
        ("switchyard/auto", "auto"),
    ],
)
def test_strategy_says_how_the_model_was_found(name: str, strategy: str) -> None:
    offered = catalogue(model([A, B], aliases=("acme/uno",), family="ones"))
    wishes = Wishes((name,))._replace(router=Wishes(()).router._replace(cost_tier="low"))
    made = make_plan(wishes, catalogue=offered, health=UNKNOWN_HEALTH, seed="gen-1")
    assert made.strategy == strategy
    assert made.router == (name if strategy == "auto" else "")
