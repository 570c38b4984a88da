"""The catalogue's files: what is refused, where the complaint points, and what ships with the product."""

import copy
import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from services.router.catalogue_files import read_catalogue
from services.router.core.catalogue import Catalogue
from services.router.core.fields import CatalogueError
from services.router.core.loading import load_catalogue
from services.router.core.simulated import simulator_catalogue

GOOD: dict[str, Any] = {
    "providers.json": {
        "providers": [
            {"slug": "a", "name": "A Inc", "aliases": ["aa"], "trains_on_prompts": False, "retains_prompts": False},
            {"slug": "b", "name": "B Inc", "trains_on_prompts": False, "retains_prompts": None},
        ]
    },
    "acme.json": {
        "models": [
            {
                "id": "acme/one",
                "name": "One",
                "description": "A model.",
                "created": 1,
                "tokenizer": "Other",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "aliases": ["acme/uno"],
                "endpoints": [
                    {
                        "provider": "a",
                        "provider_model_id": "one",
                        "pricing": {"prompt": "0.0000006", "completion": "0.000002", "cache_read": "0"},
                        "context_length": 1000,
                        "supported_parameters": ["tools"],
                    },
                    {
                        "provider": "a",
                        "provider_model_id": "one-east",
                        "variant": "east",
                        "pricing": {"prompt": "0", "completion": "0"},
                        "context_length": 1000,
                        "quantization": "fp8",
                    },
                ],
            }
        ]
    },
}


def load(document: dict[str, Any]) -> Catalogue:
    return load_catalogue({name: json.dumps(content).encode() for name, content in document.items()})


def broken(path: str, value: Any) -> dict[str, Any]:
    """The good files with one place changed; a path such as `acme.json/models/0/id`; None takes it out."""
    document = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    place: Any = document
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    key: Any = int(last) if last.isdigit() else last
    if value is None:
        del place[key]
    else:
        place[key] = value
    return document


def test_good_files_become_exact_integers() -> None:
    catalogue = load(GOOD)
    free, paid = catalogue.models["acme/one"].endpoints
    assert (free.id, free.tag, free.is_free, free.quantization) == ("a/acme/one#east", "a/east", True, "fp8")
    assert (paid.id, paid.tag, paid.is_free, paid.quantization) == ("a/acme/one", "a", False, "unknown")
    assert (paid.price.prompt, paid.price.completion, paid.price.cache_read) == (600_000_000, 2_000_000_000, 0)
    assert paid.price.cache_write is None
    assert paid.price.version == catalogue.version
    assert catalogue.by_name["acme/uno"] is catalogue.models["acme/one"]


def test_provider_that_does_not_say_is_taken_to_collect_data() -> None:
    providers = load(GOOD).providers
    assert not providers["a"].collects_data
    assert providers["b"].collects_data


def test_another_content_is_another_version() -> None:
    assert load(GOOD).version == load(copy.deepcopy(GOOD)).version
    assert load(GOOD).version != load(broken("acme.json/models/0/name", "Two")).version


TWICE = [{"min_prompt_tokens": 5}, {"min_prompt_tokens": 5}]
ENDPOINT = "acme.json/models/0/endpoints/0"


@pytest.mark.parametrize(
    ("path", "value", "place", "problem"),
    [
        (f"{ENDPOINT}/pricing/prompt", "0.0000000000000001", "models[0].endpoints[0].pricing.prompt", "finer than"),
        (f"{ENDPOINT}/pricing/prompt", "-1", "models[0].endpoints[0].pricing.prompt", "never negative"),
        (f"{ENDPOINT}/pricing/prompt", "cheap", "models[0].endpoints[0].pricing.prompt", "not a price"),
        (f"{ENDPOINT}/pricing/prompt", 0.5, "models[0].endpoints[0].pricing.prompt", "decimal text"),
        (f"{ENDPOINT}/pricing/completion", None, "models[0].endpoints[0].pricing.completion", "decimal text"),
        (f"{ENDPOINT}/pricing/smell", "1", "models[0].endpoints[0].pricing.smell", "not a known field"),
        (f"{ENDPOINT}/price_tiers", [{"min_prompt_tokens": 0}], "models[0].endpoints[0].price_tiers[0].min", "whole"),
        (f"{ENDPOINT}/price_tiers", TWICE, "models[0].endpoints[0].price_tiers", "in order"),
        (f"{ENDPOINT}/price_changes", [{}], "models[0].endpoints[0].price_changes[0].from", "from which day"),
        (f"{ENDPOINT}/deprecation_date", "soon", "models[0].endpoints[0].deprecation_date", "not a day or time"),
        (f"{ENDPOINT}/serves", ["tea"], "models[0].endpoints[0].serves[0]", "not one of"),
        (f"{ENDPOINT}/protocol", "carrier-pigeon", "models[0].endpoints[0].protocol", "not one of"),
        (f"{ENDPOINT}/service_tier", "slow", "models[0].endpoints[0].service_tier", "not one of"),
        ("acme.json/models/0/kind", "poem", "models[0].kind", "not one of"),
        ("acme.json/models/0/reasoning", {"efforts": ["some"]}, "models[0].reasoning.efforts[0]", "not one of"),
        ("providers.json/providers/0/kind", "aggregator", "models[0].endpoints[0].provider", "not called directly"),
        ("providers.json/providers/0/protocol", "x", "providers[0].protocol", "not one of"),
        ("providers.json/providers/0/part_of", "b", "providers[0].part_of", "not a provider above"),
        ("providers.json/providers/0/headquarters", "USA", "providers[0].headquarters", "country code"),
        ("providers.json/providers/0/status_page_url", "ftp://x", "providers[0].status_page_url", "http"),
        (f"{ENDPOINT}/pricing", None, "models[0].endpoints[0].pricing", "must be an object"),
        (f"{ENDPOINT}/provider", "z", "models[0].endpoints[0].provider", "is not a known provider"),
        (f"{ENDPOINT}/context_length", 0, "models[0].endpoints[0].context_length", "whole number"),
        (f"{ENDPOINT}/context_length", True, "models[0].endpoints[0].context_length", "whole number"),
        (f"{ENDPOINT}/context_length", None, "models[0].endpoints[0].context_length", "whole number"),
        (f"{ENDPOINT}/supported_parameters/0", "toolz", "models[0].endpoints[0].supported_parameters[0]", "not one of"),
        (f"{ENDPOINT}/unsupported_parameters", ["tools"], "models[0].endpoints[0].unsupported_parameters", "also"),
        (f"{ENDPOINT}/quantization", "fp7", "models[0].endpoints[0].quantization", "not one of"),
        (f"{ENDPOINT}/variant", "East!", "models[0].endpoints[0].variant", "not a variant"),
        (f"{ENDPOINT}/variant", "east", "models[0].endpoints[1].provider", "two endpoints"),
        (f"{ENDPOINT}/provider_model_id", "", "models[0].endpoints[0].provider_model_id", "must be a text"),
        ("acme.json/models/0/id", "One", "models[0].id", "author/slug"),
        ("acme.json/models/0/aliases", ["acme/one"], "models[0].aliases", "taken by another model"),
        ("acme.json/models/0/input_modalities", ["smell"], "models[0].input_modalities[0]", "not one of"),
        ("acme.json/models/0/input_modalities", [], "models[0].input_modalities", "not be empty"),
        ("acme.json/models/0/output_modalities", [], "models[0].output_modalities", "not be empty"),
        ("acme.json/models/0/endpoints", [], "models[0].endpoints", "list of 1 to"),
        ("acme.json/models/0/endpoints/0", 7, "models[0].endpoints[0]", "must be an object"),
        ("acme.json/models/0/name", 7, "models[0].name", "must be a text"),
        ("acme.json/models", None, "models", "list of 1 to"),
        ("acme.json/surprise", 1, "surprise", "not a known field"),
        ("acme.json", [], "", "must be an object"),
        ("providers.json/providers/1/slug", "a", "providers[1].slug", "is there twice"),
        ("providers.json/providers/1/slug", "B b", "providers[1].slug", "not a provider slug"),
        ("providers.json/providers/1/name", "AA", "providers[1].name", "taken by another provider"),
        ("providers.json/providers/1/retains_prompts", "no", "providers[1].retains_prompts", "true, false or null"),
        ("providers.json", None, "", "is missing"),
    ],
)
def test_bad_file_is_refused_with_the_place_named(path: str, value: Any, place: str, problem: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load(broken(path, value))
    file = "acme.json" if place.startswith("models") else path.split("/", maxsplit=1)[0]
    assert str(caught.value).startswith(f"{file}: {place}" if place else f"{file}: ")
    assert problem in caught.value.problem


def test_model_in_two_files_is_refused() -> None:
    with pytest.raises(CatalogueError, match=r"^zeta.json: models\[0\].id: is taken by another model"):
        load(GOOD | {"zeta.json": GOOD["acme.json"]})


def test_file_that_is_not_json_is_refused() -> None:
    with pytest.raises(CatalogueError, match=r"^acme.json: is not JSON"):
        load_catalogue({"providers.json": json.dumps(GOOD["providers.json"]).encode(), "acme.json": b"{"})


SHIPPED = read_catalogue()


def test_shipped_catalogue_is_the_whole_of_its_sources() -> None:
    plain = [one for one in SHIPPED.models if not one.endswith(":free")]
    assert (len(plain), len(SHIPPED.providers)) == (816, 172)
    assert sum(len(model.endpoints) for model in SHIPPED.models.values()) == 3071
    assert max(len({one.provider.slug for one in model.endpoints}) for model in SHIPPED.models.values()) >= 35
    mini = {one.tag: one for one in SHIPPED.models["openai/gpt-4o-mini"].endpoints}["openai"]
    assert (mini.price.prompt, mini.price.completion, mini.price.cache_read) == (150_000_000, 600_000_000, 75_000_000)


def test_shipped_endpoints_that_cost_nothing_stand_apart_from_those_that_cost() -> None:
    for model in SHIPPED.models.values():
        assert len({one.is_free for one in model.endpoints}) == 1, model.id
        if model.id.endswith(":free"):
            assert all(one.is_free for one in model.endpoints)
            assert not any(one.is_free for one in SHIPPED.models[model.id.removesuffix(":free")].endpoints)


def test_shipped_models_have_an_endpoint_that_a_plain_request_can_use() -> None:
    for model in SHIPPED.models.values():
        assert not all(one.is_opt_in for one in model.endpoints), model.id


def test_shipped_tiers_are_dearer_and_within_reach() -> None:
    tiered = [one for model in SHIPPED.models.values() for one in model.endpoints if one.price.tiers]
    assert len(tiered) >= 190
    for one in tiered:
        for tier in one.price.tiers:
            assert (tier.prompt or 0) >= one.price.prompt, one.id


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("~anthropic/claude-sonnet-latest", "anthropic/claude-sonnet-5.5"),
        ("~google/gemini-flash-latest", "google/gemini-3.8-flash"),
        ("anthropic/claude-sonnet-4-20250514", "anthropic/claude-sonnet-4"),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("z-ai/glm-4.5-flash:free", "z-ai/glm-4.5-flash"),
    ],
)
def test_shipped_alias_names_the_model_it_reads_like(name: str, target: str) -> None:
    assert SHIPPED.by_name[name].id == target


def test_latest_of_a_family_is_the_newest_that_is_on_offer() -> None:
    newest = SHIPPED.by_name["~anthropic/claude-opus-latest"]
    gone = SHIPPED.with_models(
        replace(model, endpoints=()) if model is newest else model for model in SHIPPED.models.values()
    )
    other = gone.by_name["~anthropic/claude-opus-latest"]
    assert other.id != newest.id
    assert other.endpoints


def test_what_no_bill_can_tell_apart_is_not_accepted() -> None:
    """Audio, searches and pictures priced apart would be charged as tokens."""
    for model in SHIPPED.models.values():
        for one in model.endpoints:
            others = dict(one.price.others)
            assert others.get("audio", one.price.prompt) == one.price.prompt or "audio" not in one.input_modalities
            assert "image" not in others or "image" not in one.input_modalities
            assert "web_search" not in others or "web_search_options" not in one.supported_parameters
            assert "web_search" not in others or "web_search_options" in one.unsupported_parameters


def test_simulator_stands_in_for_exactly_the_endpoints_that_chat() -> None:
    """The simulator's list is a file of its own, for it must not know us; this keeps both in step."""
    simulated = json.loads((files("services.provider_simulator") / "catalogue.json").read_bytes())
    assert simulated == simulator_catalogue(SHIPPED)
    pairs = [
        (one.provider.slug, one.provider_model_id)
        for model in SHIPPED.models.values()
        for one in model.endpoints
        if "chat" in one.serves
    ]
    assert len(pairs) == len(set(pairs)) > 2500


def test_attribution_ships_with_the_catalogue() -> None:
    text = (files("services.router") / "catalogue" / "ATTRIBUTION.md").read_text()
    assert "Copyright (c) 2025 models.dev" in text
    assert "Copyright (c) 2023 Berri AI" in text
