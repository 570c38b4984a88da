"""What is on offer: providers with credentials, and an operator's own upstream."""

import pytest

from libs.errors import AppError
from libs.money import NanoUsdPerMillion
from services.router.catalogue_files import read_catalogue
from services.router.core.catalogue import Catalogue, Provider
from services.router.core.health import UNKNOWN_HEALTH
from services.router.core.offer import MAX_UPSTREAM_MODELS, UpstreamTerms, offer_providers, offer_upstream
from services.router.core.plan import Plan, make_plan
from services.router.core.vocabulary import PARAMETERS
from services.router.core.wishes import Features, Wishes
from tests.unit.router.making import catalogue, endpoint, model


def base() -> Catalogue:
    one = model(
        [
            endpoint("a", 300, provider_model_id="one-a", context_length=100, max_completion_tokens=50),
            endpoint("b", 200, provider_model_id="one-b", context_length=900, max_completion_tokens=70),
        ],
        aliases=("acme/uno",),
    )
    two = model([endpoint("a", 50, model="acme/two", provider_model_id="two-a")], "acme/two")
    return catalogue(one, two)


def planned(offered: Catalogue, *names: str, features: Features | None = None) -> Plan:
    wishes = Wishes(names, features or Features())
    return make_plan(wishes, catalogue=offered, health=UNKNOWN_HEALTH, seed="gen-1")


def ids(offered: Catalogue) -> list[str]:
    return [one.id for each in offered.models.values() for one in each.endpoints]


def test_only_providers_with_credentials_are_offered_and_other_models_stay_known() -> None:
    offered = offer_providers(base(), {"b"})
    assert ids(offered) == ["b/acme/one"]
    with pytest.raises(AppError) as caught:
        planned(offered, "acme/two")
    assert caught.value.reason == "NO_ENDPOINTS"


def test_what_nobody_here_can_call_is_never_offered() -> None:
    two_doors = Provider("d", "D", protocol="cohere", doors=("openai",))
    mute = Provider("m", "M", protocol="sap-orchestration")
    one = model(
        [
            endpoint("d", 1, provider=two_doors, protocol="cohere", provider_model_id="own"),
            endpoint("d", 2, provider=two_doors, protocol="openai", provider_model_id="by-door"),
            endpoint("d", 3, provider=two_doors, protocol="anthropic", provider_model_id="no-door"),
            endpoint(
                "d", 4, provider=two_doors, protocol="cohere", provider_model_id="a", serves=frozenset({"images"})
            ),
            endpoint("m", 5, provider=mute, protocol="sap-orchestration", provider_model_id="mute"),
        ]
    )

    for slugs in ({"d", "m"}, set[str]()):
        offered = offer_providers(catalogue(one), slugs).models["acme/one"]
        known = [*offered.endpoints, *offered.elsewhere]
        assert [each.provider_model_id for each in known] == ["own", "by-door"]


CLOUD = Provider(
    "cloud", "Cloud", callable_from=(("us", ("us-east-", "us-west-")), ("us-gov", ("us-gov-",)), ("eu", ("eu-",)))
)


@pytest.mark.parametrize(
    ("region", "offered"),
    [
        ("", {"", "us", "us-20250101", "us-gov", "eu", "euro"}),
        ("us-east-1", {"", "us", "us-20250101", "euro"}),
        ("us-gov-west-1", {"", "us-gov", "euro"}),
        ("eu-west-3", {"", "eu", "euro"}),
        ("mars-1", {"", "euro"}),
    ],
)
def test_what_a_host_in_its_region_does_not_serve_is_for_accounts_with_a_credential_of_their_own(
    region: str, offered: set[str]
) -> None:
    variants = {"", "us", "us-20250101", "us-gov", "eu", "euro"}
    one = model([endpoint("cloud", 1, provider=CLOUD, variant=variant) for variant in variants])
    found = offer_providers(catalogue(one), {"cloud"}, {"cloud": region}).models["acme/one"]
    assert {each.variant for each in found.endpoints} == offered
    assert {each.variant for each in found.elsewhere} == variants - offered


@pytest.mark.parametrize(
    ("region", "beginnings"),
    [
        ("us-east-1", {"us", "global"}),
        ("eu-central-1", {"eu", "global"}),
        ("ap-northeast-1", {"jp", "apac", "global"}),
        ("ap-southeast-2", {"au", "apac", "global"}),
        ("us-gov-west-1", {"us-gov"}),
    ],
)
def test_profiles_of_bedrock_are_offered_where_their_region_can_call_them(region: str, beginnings: set[str]) -> None:
    found = offer_providers(read_catalogue(), {"amazon-bedrock"}, {"amazon-bedrock": region})
    offered = [one for each in found.models.values() for one in each.endpoints]
    profiles = {one.provider_model_id.partition(".")[0] for one in offered} & {
        "us", "us-gov", "eu", "apac", "jp", "au", "global"
    }  # fmt: skip
    assert profiles == beginnings
    assert any(not one.variant for one in offered)


@pytest.mark.parametrize("listed", ["acme/one", "acme/uno", "one-a", "one-b"])
def test_listed_model_of_the_catalogue_is_offered_at_its_cheapest_price_and_widest_limits(listed: str) -> None:
    offered = offer_upstream(base(), [listed], UpstreamTerms())
    [(one, *_)] = planned(offered, "acme/one").attempts
    assert (one.id, one.provider.slug, one.provider_model_id) == ("upstream/acme/one", "upstream", listed)
    assert one.price.prompt == 200
    assert (one.context_length, one.max_completion_tokens) == (900, 70)
    assert ids(offered) == ["upstream/acme/one"]


def test_model_listed_under_two_names_is_offered_once_under_the_public_one() -> None:
    offered = offer_upstream(base(), ["one-a", "acme/one", "one-b"], UpstreamTerms())
    [(one, *_)] = planned(offered, "acme/one").attempts
    assert one.provider_model_id == "acme/one"


def test_model_of_the_operators_own_is_offered_free_under_both_names() -> None:
    offered = offer_upstream(base(), ["my-llama"], UpstreamTerms(context_length=4096))
    for name in ("upstream/my-llama", "my-llama"):
        [(one, reason, _)] = planned(offered, name).attempts
        assert (one.id, one.model, one.provider_model_id) == (
            "upstream/upstream/my-llama",
            "upstream/my-llama",
            "my-llama",
        )
        assert one.is_free
        assert str(reason) == "free"
        assert one.context_length == 4096
        assert one.supported_parameters == PARAMETERS


def test_model_of_the_operators_own_takes_tools_images_and_what_else_a_caller_sends() -> None:
    offered = offer_upstream(base(), ["my-llama"], UpstreamTerms())
    features = Features(uses_tools=True, input_modalities=frozenset({"image", "audio"}))
    assert len(planned(offered, "my-llama", features=features).attempts) == 1


def test_operators_prices_apply_to_own_models_alone() -> None:
    terms = UpstreamTerms(NanoUsdPerMillion(7), NanoUsdPerMillion(9))
    offered = offer_upstream(base(), ["my-llama", "acme/two"], terms)
    [(own, *_)] = planned(offered, "my-llama").attempts
    [(known, *_)] = planned(offered, "acme/two").attempts
    assert (own.price.prompt, own.price.completion, own.is_free) == (7, 9, False)
    assert known.price.prompt == 50


def test_bare_id_that_would_hide_another_name_is_not_taken() -> None:
    offered = offer_upstream(base(), ["x", "upstream/x"], UpstreamTerms())
    assert planned(offered, "upstream/x").attempts[0][0].provider_model_id == "x"
    assert planned(offered, "upstream/upstream/x").attempts[0][0].provider_model_id == "upstream/x"


def test_nothing_listed_offers_nothing() -> None:
    assert ids(offer_upstream(base(), [], UpstreamTerms())) == []


def test_hostile_list_is_cleaned_and_bounded() -> None:
    listed = ["", " ", "a\nb", "x" * 300, "ok", "ok", *(f"m{number}" for number in range(MAX_UPSTREAM_MODELS + 50))]
    offered = offer_upstream(base(), listed, UpstreamTerms())
    assert len(ids(offered)) == MAX_UPSTREAM_MODELS
    assert ids(offered)[0] == "upstream/upstream/ok"


def test_listed_model_that_embeds_is_offered_for_embeddings_and_for_nothing_else() -> None:
    embeds = endpoint("a", 20, model="acme/embed", provider_model_id="embed-a", serves=frozenset({"embeddings"}))
    known = catalogue(*base().models.values(), model([embeds], "acme/embed", kind="embedding"))
    offered = offer_upstream(known, ["embed-a"], UpstreamTerms())
    [(one, *_)] = planned(offered, "acme/embed", features=Features(operation="embeddings")).attempts
    assert (one.provider.slug, one.price.prompt) == ("upstream", 20)
    assert one.serves == {"embeddings"}
    with pytest.raises(AppError) as caught:
        planned(offered, "acme/embed")
    assert caught.value.reason == "WRONG_ENDPOINT"


@pytest.mark.parametrize("operation", ["chat", "completions", "embeddings", "rerank"])
def test_model_of_the_operators_own_may_be_asked_for_anything(operation: str) -> None:
    offered = offer_upstream(base(), ["my-model"], UpstreamTerms())
    assert len(planned(offered, "my-model", features=Features(operation=operation)).attempts) == 1
