"""Router models: what `auto` and `free` choose, and what they never choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import AppError
from services.router.core.catalogue import Catalogue
from services.router.core.health import UNKNOWN_HEALTH
from services.router.core.plan import Plan, make_plan
from services.router.core.routers import Patterns
from services.router.core.wishes import Features, Policy, Preferences, RouterOptions, Wishes
from tests.unit.router.making import catalogue, endpoint, model

TOOLS = frozenset({"tools"})


def offered() -> Catalogue:
    """Ten models at rising prices, m0 the cheapest; the odd ones know tools; two that cost nothing."""
    priced = [
        model(
            [
                endpoint(
                    f"p{number}",
                    100 * (number + 1),
                    model=f"acme/m{number}",
                    supported_parameters=TOOLS if number % 2 else frozenset(),
                ),
                endpoint("all", 100 * (number + 1), model=f"acme/m{number}"),
            ],
            f"acme/m{number}",
            created_s=number,
        )
        for number in range(10)
    ]
    free = [
        model(
            [endpoint("f", 0, model=f"acme/f{number}", supported_parameters=TOOLS if number else frozenset())],
            f"acme/f{number}",
        )
        for number in range(2)
    ]
    return catalogue(*priced, *free)


def chosen(name: str, seed: str = "gen-1", features: Features | None = None, **more: object) -> list[str]:
    return models(plan_of(name, seed, features, **more))


def plan_of(name: str, seed: str = "gen-1", features: Features | None = None, **more: object) -> Plan:
    wishes = Wishes((name,), features or Features(), **more)  # type: ignore[arg-type] # fields by name
    return make_plan(wishes, catalogue=offered(), health=UNKNOWN_HEALTH, seed=seed)


def models(made: Plan) -> list[str]:
    return list(dict.fromkeys(place.endpoint.model for place in made.attempts))


@pytest.mark.parametrize(
    ("tier", "band"),
    [
        ("low", {"acme/m0", "acme/m1"}),
        ("medium", {"acme/m2", "acme/m3"}),
        ("max", {"acme/m8", "acme/m9"}),
        ("", {"acme/m2", "acme/m3"}),
    ],
)
def test_auto_chooses_within_the_band_of_price(tier: str, band: set[str]) -> None:
    assert set(chosen("switchyard/auto", router=RouterOptions(cost_tier=tier))) == band


def test_auto_takes_only_models_that_can_do_what_is_asked() -> None:
    assert chosen("openrouter/auto", features=Features(uses_tools=True)) == ["acme/m3"]


def test_auto_obeys_patterns_and_exclusion_wins() -> None:
    options = RouterOptions(("acme/*",), ("*/m3",))
    assert chosen("openrouter/auto", router=options) == ["acme/m2"]
    with pytest.raises(AppError) as caught:
        chosen("openrouter/auto", router=RouterOptions(("nobody/*",)))
    assert (caught.value.http_status, caught.value.metadata["availability"]) == (404, "no_endpoints")


def test_auto_keeps_to_the_pinned_model_while_it_is_a_candidate() -> None:
    for name in ("acme/m2", "acme/m3"):
        assert chosen("openrouter/auto", router=RouterOptions(pinned_model=name))[0] == name
    assert "acme/m9" not in chosen("openrouter/auto", router=RouterOptions(pinned_model="acme/m9"))


def test_free_chooses_at_random_among_what_costs_nothing_and_fits() -> None:
    firsts = {chosen("openrouter/free", f"gen-{number}")[0] for number in range(40)}
    assert firsts == {"acme/f0", "acme/f1"}
    assert chosen("switchyard/free", features=Features(uses_tools=True)) == ["acme/f1"]


def test_conversation_that_its_caller_names_keeps_its_free_model() -> None:
    features = Features(session_key="s1", names_session=True)
    assert len({chosen("openrouter/free", f"gen-{number}", features)[0] for number in range(40)}) == 1
    unnamed = Features(session_key="s1")
    assert len({chosen("openrouter/free", f"gen-{number}", unnamed)[0] for number in range(40)}) == 2


def test_what_the_account_forbids_is_never_chosen() -> None:
    assert chosen("openrouter/free", policy=Policy(ignored_models=("*/f0",))) == ["acme/f1"]
    with pytest.raises(AppError):
        chosen("openrouter/auto", preferences=Preferences(only=frozenset({"nobody"})))


def test_plan_names_the_router_that_chose() -> None:
    made = plan_of("openrouter/auto")
    assert (made.strategy, made.router) == ("auto", "openrouter/auto")


def slow_match(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(slow_match(pattern[1:], text[place:]) for place in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and slow_match(pattern[1:], text[1:])


@given(st.text("ab*", max_size=7), st.text("ab", max_size=8))
def test_star_stands_for_anything(pattern: str, text: str) -> None:
    assert Patterns((pattern,)).match(text) == slow_match(pattern, text)
