"""Overlays: what an operator can add, change and take away, and what is refused with the place named."""

import json
from typing import Any

import pytest

from services.router.core.catalogue import Catalogue, Endpoint
from services.router.core.fields import CatalogueError
from services.router.core.offer import offer_providers
from services.router.core.overlay import apply_overlays
from tests.unit.router.making import small_catalogue

LLAMA = "meta-llama/llama-3.3-70b-instruct"
MINI = "openai/gpt-4o-mini"
CHEAP = {"prompt": "0.000000001", "completion": "0.000000002"}
PRIVATE: dict[str, Any] = {"provider": "acme", "provider_model_id": "m", "pricing": CHEAP, "context_length": 4096}
OWN_MODEL: dict[str, Any] = {
    "id": "acme/secret",
    "name": "Secret",
    "input_modalities": ["text"],
    "output_modalities": ["text"],
    "endpoints": [PRIVATE],
}
OWN_PROVIDER = {"slug": "acme", "name": "Acme", "kind": "private", "trains_on_prompts": False, "retains_prompts": False}
BASE = small_catalogue()


def overlaid(*documents: Any) -> Catalogue:
    return apply_overlays(
        BASE, {f"{number}.json": json.dumps(document).encode() for number, document in enumerate(documents)}
    )


def endpoint_of(catalogue: Catalogue, endpoint_id: str) -> Endpoint | None:
    found = [one for model in catalogue.models.values() for one in model.endpoints if one.id == endpoint_id]
    return found[0] if found else None


def test_private_provider_and_model_are_offered_beside_the_others() -> None:
    changed = overlaid({"providers": [OWN_PROVIDER], "models": [OWN_MODEL]})
    [one] = changed.models["acme/secret"].endpoints
    assert (one.provider.name, one.price.prompt, one.price.version) == ("Acme", 1_000_000, changed.version)
    assert changed.version != BASE.version
    assert changed.models[MINI] is BASE.models[MINI]
    assert "acme/secret" not in BASE.models


def test_provider_of_one_file_serves_models_of_another_in_any_order() -> None:
    changed = overlaid({"endpoints": [{"model": LLAMA, **PRIVATE}]}, {"providers": [OWN_PROVIDER]})
    assert changed.models[LLAMA].endpoints[0].id == f"acme/{LLAMA}"


def test_disabled_endpoint_model_and_provider_are_gone_and_models_stay_known() -> None:
    changed = overlaid(
        {
            "changes": [
                {"endpoint": f"groq/{LLAMA}", "disable": True},
                {"model": "openai/gpt-4o", "disable": True},
                {"provider": "novita-ai", "disable": True},
            ]
        }
    )
    assert endpoint_of(changed, f"groq/{LLAMA}") is None
    assert changed.by_name["openai/gpt-4o"].endpoints == ()
    assert all(one.provider.slug != "novita-ai" for model in changed.models.values() for one in model.endpoints)
    assert len(changed.models) == len(BASE.models)


def test_repriced_endpoint_stands_where_its_new_price_puts_it() -> None:
    tiers = [{"min_prompt_tokens": 1000, "prompt": "0.000000003"}]
    changed = overlaid({"changes": [{"endpoint": f"groq/{LLAMA}", "pricing": CHEAP, "price_tiers": tiers}]})
    first = changed.models[LLAMA].endpoints[0]
    assert (first.id, first.price.prompt, first.price.version) == (f"groq/{LLAMA}", 1_000_000, changed.version)
    assert first.price.tiers[0].prompt == 3_000_000


def test_price_from_a_day_on_waits_for_that_day() -> None:
    changed = overlaid({"changes": [{"endpoint": f"groq/{LLAMA}", "from": "2030-01-01", "pricing": CHEAP}]})
    one = endpoint_of(changed, f"groq/{LLAMA}")
    assert one is not None
    assert one.price == next(old.price for old in BASE.models[LLAMA].endpoints if old.id == one.id)
    [(moment, price)] = one.price_changes
    assert (moment, price.prompt) == (1_893_456_000, 1_000_000)


def test_price_of_what_no_bill_can_form_takes_the_ability_away() -> None:
    pricing = {**CHEAP, "image": "0.001", "web_search": "0.01"}
    changed = overlaid({"changes": [{"endpoint": f"openai/{MINI}", "pricing": pricing}]})
    one = endpoint_of(changed, f"openai/{MINI}")
    assert one is not None
    assert "image" not in one.input_modalities
    assert "web_search_options" in one.unsupported_parameters


def test_deployments_are_called_by_the_operators_names() -> None:
    changed = overlaid({"deployments": {"azure": {MINI: "my-mini", "openai/gpt-4o": "my-4o"}}})
    names = {one.provider_model_id for model in changed.models.values() for one in model.endpoints}
    assert {"my-mini", "my-4o"} <= names
    assert endpoint_of(changed, f"openai/{MINI}") is endpoint_of(BASE, f"openai/{MINI}")


def test_a_provider_that_says_where_it_is_is_on_offer_beside_those_with_credentials() -> None:
    address = {"base_url": "http://acme.test/v1", "dialect": "groq", "credential_name": "ACME_KEY"}
    changed = overlaid({"providers": [{**OWN_PROVIDER, **address}], "models": [OWN_MODEL]})

    offered = offer_providers(changed, {"deepinfra"})

    assert [one.id for one in offered.models["acme/secret"].endpoints] == ["acme/acme/secret"]
    assert (
        offer_providers(overlaid({"providers": [OWN_PROVIDER], "models": [OWN_MODEL]}), set())
        .models["acme/secret"]
        .endpoints
        == ()
    )


def test_a_provider_that_is_moved_speaks_the_format_that_is_told_and_is_on_offer() -> None:
    changed = overlaid({"changes": [{"provider": "groq", "base_url": "http://proxy.test", "protocol": "anthropic"}]})

    offered = offer_providers(changed, set())

    endpoints = [one for model in offered.models.values() for one in model.endpoints]
    assert {(one.provider.slug, one.protocol, one.provider.protocol) for one in endpoints} == {
        ("groq", "anthropic", "anthropic")
    }
    assert changed.providers["groq"].is_addressed
    assert endpoint_of(BASE, endpoints[0].id).protocol == "openai"  # type: ignore[union-attr]


def test_no_overlay_changes_nothing() -> None:
    assert overlaid() is BASE


GROQ = f"groq/{LLAMA}"


@pytest.mark.parametrize(
    ("document", "place", "problem"),
    [
        ([], "", "must be an object"),
        ({"surprise": 1}, "surprise", "not a known field"),
        ({"providers": [OWN_PROVIDER | {"slug": "groq"}]}, "providers[0].slug", "there twice"),
        ({"providers": [OWN_PROVIDER | {"name": "GROQ"}]}, "providers[0].name", "taken by another"),
        ({"providers": [OWN_PROVIDER | {"protocol": "pigeon"}]}, "providers[0].protocol", "not one of"),
        ({"models": [OWN_MODEL]}, "models[0].endpoints[0].provider", "not a known provider: 'acme'"),
        ({"models": [OWN_MODEL | {"id": MINI}], "providers": [OWN_PROVIDER]}, "models[0].id", "taken by another"),
        ({"endpoints": [{"model": "x/y", **PRIVATE}]}, "endpoints[0].model", "not a model of the catalogue"),
        ({"endpoints": [{"model": MINI, **PRIVATE}]}, "endpoints[0].provider", "not a known provider"),
        ({"endpoints": [{"model": LLAMA, **PRIVATE, "provider": "groq"}]}, "endpoints[0].provider", "two endpoints"),
        ({"changes": [{"endpoint": GROQ, "pricing": {"prompt": "-1"}}]}, "changes[0].pricing.prompt", "never negative"),
        ({"changes": [{"endpoint": GROQ, "pricing": {"prompt": "1"}}]}, "changes[0].pricing.completion", "decimal"),
        ({"changes": [{"endpoint": GROQ, "pricing": CHEAP, "from": "soon"}]}, "changes[0].from", "day or time"),
        ({"changes": [{"endpoint": "groq/x", "disable": True}]}, "changes[0].endpoint", "not an endpoint"),
        ({"changes": [{"endpoint": GROQ}]}, "changes[0]", "must either disable"),
        ({"changes": [{"endpoint": GROQ, "disable": True, "pricing": CHEAP}]}, "changes[0]", "must either disable"),
        ({"changes": [{"provider": "zzz", "disable": True}]}, "changes[0].provider", "not a known provider"),
        ({"changes": [{"provider": "groq", "pricing": CHEAP}]}, "changes[0].disable", "must be true"),
        ({"changes": [{"disable": True}]}, "changes[0]", "must name one of"),
        ({"deployments": {"azure": {"x/y": "z"}}}, "deployments.azure.x/y", "not an endpoint"),
        ({"deployments": {"azure": {MINI: 7}}}, f"deployments.azure.{MINI}", "must be a text"),
        ({"deployments": {"azure": 7}}, "deployments.azure", "must be an object"),
    ],
)
def test_bad_overlay_is_refused_with_the_place_named(document: Any, place: str, problem: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        overlaid({"providers": []} if document is None else document)
    assert str(caught.value).startswith(f"0.json: {place}")
    assert problem in str(caught.value)
