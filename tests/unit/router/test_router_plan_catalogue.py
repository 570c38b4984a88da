"""What the richer catalogue brings into plans: operations, tiers that are asked for, parts of providers, prices by length."""

import pytest
from switchyard.routing.v1 import routing_pb2 as pb

from libs.errors import AppError, Kind
from libs.pricing import Tier
from services.router.convert import PlanMessages, features_from_proto
from services.router.core.catalogue import Provider
from services.router.core.plan import MAX_ATTEMPTS
from services.router.core.wishes import NO_PREFERENCES, Features, Preferences, Sort
from tests.unit.router.making import catalogue, dropped, endpoint, model, plan, price, slugs

FLEX = endpoint("a", 50, variant="flex", service_tier="flex", is_opt_in=True)
PLAIN = endpoint("a", 100)
OTHER = endpoint("b", 200)
EMBEDS = endpoint("a", serves=frozenset({"embeddings"}))


def tags(preferences: Preferences = NO_PREFERENCES) -> list[str]:
    return [one.tag for one, *_ in plan([FLEX, PLAIN, OTHER], None, preferences).attempts]


def test_other_tiers_are_planned_only_for_callers_who_name_them() -> None:
    assert sorted(tags()) == ["a", "b"]
    assert dropped(plan([FLEX, PLAIN, OTHER])) == {"a": "service_tier"}
    assert tags(Preferences(only=frozenset({"a"}))) == ["a"]
    assert tags(Preferences(only=frozenset({"a/flex"}))) == ["a/flex"]
    assert tags(Preferences(order=("a/flex",), sort=Sort.PRICE)) == ["a/flex", "a", "b"]


def test_shown_price_is_that_of_the_cheapest_endpoint_that_plain_requests_reach() -> None:
    assert model([FLEX, PLAIN, OTHER]).cheapest is PLAIN
    assert model([FLEX]).cheapest is FLEX


def test_model_that_does_something_else_is_refused_as_the_wrong_endpoint() -> None:
    with pytest.raises(AppError) as caught:
        plan([EMBEDS])
    assert (caught.value.kind, caught.value.metadata["availability"]) == (Kind.INVALID, "wrong_endpoint")
    assert slugs(plan([EMBEDS], Features(operation="embeddings"))) == ["a"]


def test_prompt_is_completed_by_models_that_complete_and_by_models_that_chat() -> None:
    native = endpoint("n", 50, serves=frozenset({"completions"}))
    made = plan([native, PLAIN, EMBEDS], Features(operation="completions"), Preferences(sort=Sort.PRICE))
    assert slugs(made) == ["n", "a"]
    offer = catalogue(model([native, PLAIN, EMBEDS]))
    attempts = PlanMessages(pb.TimeLimits()).plan_to_proto(made, offer).attempts
    assert [list(one.serves) for one in attempts] == [["completions"], []]
    with pytest.raises(AppError) as caught:
        plan([EMBEDS], Features(operation="completions"))
    assert caught.value.metadata["availability"] == "wrong_endpoint"
    assert slugs(plan([native, PLAIN])) == ["a"]


def test_request_that_names_no_operation_is_a_chat() -> None:
    assert features_from_proto(pb.RequestFeatures()).operation == "chat"
    assert features_from_proto(pb.RequestFeatures(operation="rerank")).operation == "rerank"


def test_name_of_the_whole_means_its_part_but_not_the_other_way_round() -> None:
    whole = Provider("vertex", "Vertex", collects_data=False)
    part = Provider("vertex-anthropic", "Vertex A", collects_data=False, parent=("vertex", "Vertex"))
    endpoints = [endpoint("x", 1, provider=whole), endpoint("y", 2, provider=part, variant="eu")]
    assert len(plan(endpoints, None, Preferences(only=frozenset({"vertex"}))).attempts) == 2
    assert slugs(plan(endpoints, None, Preferences(only=frozenset({"vertex/eu"})))) == ["vertex-anthropic"]
    assert slugs(plan(endpoints, None, Preferences(only=frozenset({"vertex-anthropic"})))) == ["vertex-anthropic"]


def test_plan_stops_after_eight_but_keeps_what_the_caller_listed() -> None:
    many = [endpoint(f"p{number:02}", 100 + number) for number in range(30)]
    assert len(plan(many).attempts) == MAX_ATTEMPTS == 8
    listed = tuple(f"p{number:02}" for number in range(12))
    assert slugs(plan(many, None, Preferences(order=listed))) == list(listed)
    assert len(plan(many, None, Preferences(order=listed[:3])).attempts) == MAX_ATTEMPTS


def test_plan_that_is_cut_short_keeps_one_endpoint_of_each_provider() -> None:
    regions = [endpoint("cloud", 100, variant=f"r{number}") for number in range(12)]
    made = slugs(plan([*regions, endpoint("lab", 300), endpoint("other", 400)]))
    assert len(made) == MAX_ATTEMPTS
    assert made[-2:] == ["lab", "other"]


def test_prices_for_long_prompts_travel_with_the_attempt() -> None:
    one = endpoint("a", price=price(100, tiers=(Tier(1000, prompt=200, cache_read=0),)))
    made = PlanMessages(pb.TimeLimits()).plan_to_proto(plan([one]), catalogue(model([one])))
    [tier] = made.attempts[0].price.tiers
    assert (tier.min_prompt_tokens, tier.prompt, tier.cache_read) == (1000, 200, 0)
    assert tier.HasField("cache_read")
    assert not tier.HasField("completion")
