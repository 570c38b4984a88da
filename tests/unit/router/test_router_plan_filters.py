"""Hard and soft constraints: who is left, and which constraint dropped the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import AppError, Kind
from services.router.core.catalogue import Endpoint, Provider
from services.router.core.constraints import divide, dropped_by
from services.router.core.wishes import NO_PREFERENCES, Features, Preferences, Sort
from tests.unit.router.making import PLAIN, catalogue, dropped, endpoint, model, plan, price, slugs

TOOLS = PLAIN | {"tools"}
FORMATS = PLAIN | {"response_format"}


def two(**facts_of_b: object) -> list[Endpoint]:
    """`a` is plain and dearer, `b` is what the test is about."""
    return [endpoint("a", 200), endpoint("b", 100, **facts_of_b)]


@pytest.mark.parametrize(
    ("endpoints", "features", "preferences", "left", "constraint"),
    [
        (two(), Features(), Preferences(only=frozenset({"a"})), ["a"], "allowed_providers"),
        (two(), Features(), Preferences(ignore=frozenset({"b"})), ["a"], "allowed_providers"),
        (two(price=price(301)), Features(), Preferences(max_prompt_price=300), ["a"], "max_price"),
        (two(price=price(1, 301)), Features(), Preferences(max_completion_price=300), ["a"], "max_price"),
        (two(price=price(1, request=301)), Features(), Preferences(max_request_price=300), ["a"], "max_price"),
        (two(context_length=149), Features(prompt_tokens=50, max_tokens=100), Preferences(), ["a"], "context_length"),
        (two(context_length=49), Features(prompt_tokens=50), Preferences(), ["a"], "context_length"),
        (two(max_prompt_tokens=49), Features(prompt_tokens=50), Preferences(), ["a"], "context_length"),
        (two(max_completion_tokens=99), Features(max_tokens=100), Preferences(), ["a"], "max_tokens"),
        (
            [endpoint("a", supported_parameters=PLAIN | {"seed"}), endpoint("b")],
            Features(parameters=frozenset({"seed"})),
            Preferences(require_parameters=True),
            ["a"],
            "require_parameters",
        ),
        (
            [endpoint("a", input_modalities=frozenset({"text", "image"})), endpoint("b")],
            Features(input_modalities=frozenset({"image"})),
            Preferences(),
            ["a"],
            "input_modalities",
        ),
        (
            [endpoint("a", quantization="fp8"), endpoint("b")],
            Features(),
            Preferences(quantizations=frozenset({"fp8"})),
            ["a"],
            "quantization",
        ),
        (
            two(provider=Provider("b", "B", collects_data=True)),
            Features(),
            Preferences(deny_data_collection=True),
            ["a"],
            "data_policy:training",
        ),
        (
            [endpoint("a", provider=Provider("a", "A", zero_data_retention=True)), endpoint("b")],
            Features(),
            Preferences(zero_data_retention=True),
            ["a"],
            "data_policy:zdr",
        ),
        (
            [endpoint("a", supported_parameters=TOOLS), endpoint("b")],
            Features(uses_tools=True),
            Preferences(),
            ["a"],
            "tools",
        ),
        (
            [endpoint("a", supported_parameters=FORMATS), endpoint("b")],
            Features(uses_response_format=True),
            Preferences(),
            ["a"],
            "response_format",
        ),
    ],
)
def test_endpoint_that_does_not_fit_is_dropped_with_its_constraint(
    endpoints: list[Endpoint], features: Features, preferences: Preferences, left: list[str], constraint: str
) -> None:
    made = plan(endpoints, features, preferences)
    assert slugs(made) == left
    assert dropped(made) == {"b": constraint}


@pytest.mark.parametrize(
    ("features", "preferences"),
    [
        (Features(prompt_tokens=50, max_tokens=100), Preferences()),
        (Features(max_tokens=100), Preferences()),
        (Features(), Preferences(max_prompt_price=100, max_completion_price=100)),
        (Features(parameters=frozenset({"seed"})), Preferences()),
        (Features(parameters=frozenset({"max_completion_tokens"})), Preferences(require_parameters=True)),
        (Features(), Preferences(quantizations=frozenset({"unknown"}))),
    ],
)
def test_endpoint_exactly_at_the_bound_is_kept(features: Features, preferences: Preferences) -> None:
    made = plan([endpoint("a", 100, context_length=150, max_completion_tokens=100)], features, preferences)
    assert slugs(made) == ["a"]


def test_tools_that_no_endpoint_supports_are_ignored() -> None:
    made = plan([endpoint("a", 1), endpoint("b", 2)], Features(uses_tools=True), Preferences(sort=Sort.PRICE))
    assert slugs(made) == ["a", "b"]
    assert dropped(made) == {}


def test_soft_rule_looks_only_at_what_passed_the_hard_ones() -> None:
    endpoints = [endpoint("a", supported_parameters=TOOLS), endpoint("b")]
    assert slugs(plan(endpoints, Features(uses_tools=True), Preferences(only=frozenset({"b"})))) == ["b"]


EAST = endpoint("vertex", 1, variant="us-east5", provider=Provider("vertex", "Google Vertex", ("gv",)))
WEST = endpoint("vertex", 2, variant="us-west1", provider=Provider("vertex", "Google Vertex", ("gv",)))
OTHER = endpoint("other", 3)


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("vertex", ["vertex/us-east5", "vertex/us-west1"]),
        ("google vertex", ["vertex/us-east5", "vertex/us-west1"]),
        ("gv", ["vertex/us-east5", "vertex/us-west1"]),
        ("vertex/us-west1", ["vertex/us-west1"]),
        ("google vertex/us-west1", ["vertex/us-west1"]),
        ("other", ["other"]),
    ],
)
def test_name_of_provider_matches_its_variants_and_a_full_slug_one_alone(name: str, tags: list[str]) -> None:
    preferences = Preferences(only=frozenset({name}), sort=Sort.PRICE)
    assert [one.tag for one, *_ in plan([EAST, WEST, OTHER], preferences=preferences).attempts] == tags


@pytest.mark.parametrize(
    ("preferences", "features", "availability", "excluded_by"),
    [
        (Preferences(only=frozenset({"nobody"})), Features(), "constraint_filtered", "allowed_providers"),
        (Preferences(only=frozenset()), Features(), "constraint_filtered", "allowed_providers"),
        (Preferences(max_prompt_price=0), Features(), "constraint_filtered", "max_price"),
        (Preferences(order=("nobody",), allow_fallbacks=False), Features(), "constraint_filtered", "allowed_providers"),
        (Preferences(zero_data_retention=True), Features(), "privacy_restricted", "data_policy:zdr"),
        (
            Preferences(ignore=frozenset({"a"})),
            Features(prompt_tokens=5000),
            "constraint_filtered",
            "allowed_providers,context_length",
        ),
    ],
)
def test_plan_that_nothing_fits_names_what_emptied_it(
    preferences: Preferences, features: Features, availability: str, excluded_by: str
) -> None:
    with pytest.raises(AppError) as caught:
        plan([endpoint("a"), endpoint("b", 200)], features, preferences)
    error = caught.value
    assert (error.kind, error.reason) == (Kind.MISSING, "NO_ENDPOINTS")
    assert error.metadata["availability"] == availability
    assert error.metadata["excluded_by"] == excluded_by
    assert error.metadata["requested_models"] == "acme/one"
    for constraint in excluded_by.split(","):
        assert constraint in error.message


def test_model_that_is_known_but_not_offered_has_no_endpoints() -> None:
    with pytest.raises(AppError) as caught:
        plan([])
    assert (caught.value.kind, caught.value.reason) == (Kind.MISSING, "NO_ENDPOINTS")
    assert caught.value.metadata["availability"] == "no_endpoints"


def test_prompt_that_is_too_long_for_all_is_told_the_longest_context() -> None:
    with pytest.raises(AppError, match="maximum context length is 900 tokens; about 1100 were asked for"):
        plan(
            [endpoint("a", context_length=900), endpoint("b", context_length=500)],
            Features(prompt_tokens=1000, max_tokens=100),
        )


NAMES = ["a", "b", "c", "d", "e"]
prices = st.integers(0, 5)
parameter_sets = st.sets(st.sampled_from(["tools", "seed", "response_format", "top_k"])).map(frozenset)


@st.composite
def some_endpoints(draw: st.DrawFn) -> list[Endpoint]:
    return [
        endpoint(
            slug,
            price=price(draw(prices), draw(prices)),
            context_length=draw(st.integers(1, 20)),
            max_completion_tokens=draw(st.integers(0, 10)),
            max_prompt_tokens=draw(st.integers(0, 10)),
            is_opt_in=draw(st.booleans()),
            supported_parameters=draw(parameter_sets),
            quantization=draw(st.sampled_from(["fp8", "unknown"])),
            input_modalities=draw(st.sampled_from([frozenset({"text"}), frozenset({"text", "image"})])),
            provider=Provider(slug, slug, (), draw(st.booleans()), draw(st.booleans())),
        )
        for slug in draw(st.lists(st.sampled_from(NAMES), unique=True))
    ]


names = st.sets(st.sampled_from(NAMES)).map(frozenset)
features_of_all_kinds = st.builds(
    Features,
    prompt_tokens=st.integers(0, 10),
    max_tokens=st.none() | st.integers(1, 10),
    uses_tools=st.booleans(),
    uses_response_format=st.booleans(),
    parameters=parameter_sets,
    input_modalities=st.sampled_from([frozenset(), frozenset({"image"})]),
)
preferences_of_all_kinds = st.builds(
    Preferences,
    order=st.lists(st.sampled_from(NAMES)).map(tuple),
    only=st.none() | names,
    ignore=names,
    allow_fallbacks=st.booleans(),
    sort=st.none() | st.sampled_from(list(Sort)),
    require_parameters=st.booleans(),
    deny_data_collection=st.booleans(),
    zero_data_retention=st.booleans(),
    quantizations=st.sampled_from([frozenset(), frozenset({"fp8"})]),
    max_prompt_price=st.none() | prices,
    max_completion_price=st.none() | prices,
)


@given(some_endpoints(), features_of_all_kinds, preferences_of_all_kinds, st.text(max_size=5))
def test_any_request_accounts_for_every_endpoint_once_and_never_plans_an_excluded_one(
    endpoints: list[Endpoint], features: Features, preferences: Preferences, seed: str
) -> None:
    try:
        made = plan(endpoints, features, preferences, seed=seed)
    except AppError:
        assert not any(
            dropped_by(one, features, preferences) is None
            and (preferences.allow_fallbacks or not preferences.order or one.provider.slug in preferences.order)
            for one in endpoints
        ) or (features.uses_tools or features.uses_response_format)
        return
    tried = [one for one, *_ in made.attempts]
    left_out = [one.endpoint for one in made.dropped]
    assert sorted(one.id for one in tried + left_out) == sorted(one.id for one in endpoints)
    for one in tried:
        slug = one.provider.slug
        assert preferences.only is None or slug in preferences.only
        assert slug not in preferences.ignore
        assert preferences.max_prompt_price is None or one.price.prompt <= preferences.max_prompt_price
        assert preferences.max_completion_price is None or one.price.completion <= preferences.max_completion_price
        assert features.prompt_tokens + (features.max_tokens or 0) <= one.context_length
        assert not one.max_completion_tokens or (features.max_tokens or 0) <= one.max_completion_tokens
        assert features.input_modalities <= one.input_modalities
        assert not preferences.require_parameters or features.parameters <= one.supported_parameters
        assert not preferences.quantizations or one.quantization in preferences.quantizations
        assert not (preferences.deny_data_collection and one.provider.collects_data)
        assert not preferences.zero_data_retention or one.provider.zero_data_retention
        assert preferences.allow_fallbacks or not preferences.order or slug in preferences.order


@given(some_endpoints(), features_of_all_kinds, preferences_of_all_kinds, preferences_of_all_kinds)
def test_adding_a_constraint_never_adds_an_endpoint(
    endpoints: list[Endpoint], features: Features, first: Preferences, second: Preferences
) -> None:
    def tighter(one: int | None, other: int | None) -> int | None:
        return min((bound for bound in (one, other) if bound is not None), default=None)

    both = first._replace(
        only=second.only if first.only is None else first.only & (second.only or first.only),
        ignore=first.ignore | second.ignore,
        require_parameters=first.require_parameters or second.require_parameters,
        deny_data_collection=first.deny_data_collection or second.deny_data_collection,
        zero_data_retention=first.zero_data_retention or second.zero_data_retention,
        quantizations=first.quantizations or second.quantizations,
        max_prompt_price=tighter(first.max_prompt_price, second.max_prompt_price),
        max_completion_price=tighter(first.max_completion_price, second.max_completion_price),
    )
    for one in endpoints:
        if dropped_by(one, features, both) is None:
            assert dropped_by(one, features, first) is None


@given(some_endpoints(), features_of_all_kinds, st.just(NO_PREFERENCES) | preferences_of_all_kinds)
def test_looking_at_many_endpoints_at_once_is_looking_at_each(
    endpoints: list[Endpoint], features: Features, preferences: Preferences
) -> None:
    fitting, dropped = divide(endpoints, features, preferences)
    each = [(one, dropped_by(one, features, preferences)) for one in endpoints]
    assert fitting == [one for one, constraint in each if constraint is None]
    assert dropped == [(one, constraint) for one, constraint in each if constraint is not None]


def test_catalogue_keeps_endpoints_cheapest_first() -> None:
    made = catalogue(model([endpoint("dear", 3), endpoint("cheap", 1), endpoint("free", 0), endpoint("fair", 2)]))
    assert [one.provider.slug for one in made.models["acme/one"].endpoints] == ["free", "cheap", "fair", "dear"]
