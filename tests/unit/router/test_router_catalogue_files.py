"""The catalogue's files: what is refused, where the complaint points, and what ships with the product."""

import copy
import json
from importlib.resources import files
from typing import Any

import pytest

from services.router.catalogue_files import read_catalogue
from services.router.core.catalogue import Catalogue
from services.router.core.fields import CatalogueError
from services.router.core.loading import load_catalogue

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


ENDPOINT = "acme.json/models/0/endpoints/0"


@pytest.mark.parametrize(
    ("path", "value", "place", "problem"),
    [
        (f"{ENDPOINT}/pricing/prompt", "0.0000000000000001", "models[0].endpoints[0].pricing.prompt", "finer than"),
        (f"{ENDPOINT}/pricing/prompt", "-1", "models[0].endpoints[0].pricing.prompt", "never negative"),
        (f"{ENDPOINT}/pricing/prompt", "cheap", "models[0].endpoints[0].pricing.prompt", "not a price"),
        (f"{ENDPOINT}/pricing/prompt", 0.5, "models[0].endpoints[0].pricing.prompt", "decimal text"),
        (f"{ENDPOINT}/pricing/completion", None, "models[0].endpoints[0].pricing.completion", "decimal text"),
        (f"{ENDPOINT}/pricing/audio", "1", "models[0].endpoints[0].pricing.audio", "not a known field"),
        (f"{ENDPOINT}/pricing", None, "models[0].endpoints[0].pricing", "must be an object"),
        (f"{ENDPOINT}/provider", "z", "models[0].endpoints[0].provider", "is not in providers.json"),
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
    file = path.split("/", maxsplit=1)[0]
    assert str(caught.value).startswith(f"{file}: {place}: " if place else f"{file}: ")
    assert problem in caught.value.problem


def test_model_in_two_files_is_refused() -> None:
    with pytest.raises(CatalogueError, match=r"^zeta.json: models\[0\].id: is taken by another model"):
        load(GOOD | {"zeta.json": GOOD["acme.json"]})


def test_file_that_is_not_json_is_refused() -> None:
    with pytest.raises(CatalogueError, match=r"^acme.json: is not JSON"):
        load_catalogue({"providers.json": json.dumps(GOOD["providers.json"]).encode(), "acme.json": b"{"})


def test_shipped_catalogue_has_the_promised_models_and_choice() -> None:
    catalogue = read_catalogue()
    assert len(catalogue.models) == 13
    priced_apart = [
        model
        for model in catalogue.models.values()
        if len({one.blend for one in model.endpoints}) >= 3 and len({one.provider.slug for one in model.endpoints}) >= 3
    ]
    assert len(priced_apart) >= 8
    for name in ("openai/gpt-4o-mini", "openai/gpt-4o"):
        assert {one.provider.slug for one in catalogue.models[name].endpoints} >= {"openai", "azure"}
    mini = {one.provider.slug: one for one in catalogue.models["openai/gpt-4o-mini"].endpoints}["openai"]
    assert (mini.price.prompt, mini.price.completion, mini.price.cache_read) == (150_000_000, 600_000_000, 75_000_000)


def test_shipped_catalogue_prices_every_endpoint_above_zero() -> None:
    for model in read_catalogue().models.values():
        assert model.endpoints
        for one in model.endpoints:
            assert one.price.prompt > 0, one.id
            assert one.price.completion > 0, one.id


def test_simulator_stands_in_for_exactly_these_endpoints() -> None:
    """The simulator's list is a file of its own, for it must not know us; this keeps both in step."""
    simulated = json.loads((files("services.provider_simulator") / "catalogue.json").read_bytes())["providers"]
    catalogue = read_catalogue()
    expected: dict[str, Any] = {}
    for model in catalogue.models.values():
        for one in model.endpoints:
            provider = expected.setdefault(one.provider.slug, {"name": one.provider.name, "models": {}})
            provider["models"][one.provider_model_id] = model.id
    assert simulated == expected


def test_attribution_ships_with_the_catalogue() -> None:
    text = (files("services.router") / "catalogue" / "ATTRIBUTION.md").read_text()
    assert "Copyright (c) 2025 models.dev" in text
    assert "Copyright (c) 2023 Berri AI" in text
