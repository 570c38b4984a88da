from typing import Any

import orjson
import pytest

from libs.settings import load
from services.provider_simulator.core.catalogue import CatalogueError, parse_catalogue
from services.provider_simulator.core.statistics import Statistics
from services.provider_simulator.settings import ProviderSimulatorSettings


def test_model_is_found_by_the_providers_own_id() -> None:
    catalogue = parse_catalogue({"providers": {"groq": {"name": "Groq", "models": {"own-id": "public/slug"}}}})
    groq = catalogue.provider("groq")

    assert groq is not None
    assert groq.public_slug("own-id") == "public/slug"
    assert groq.public_slug("public/slug") is None
    assert catalogue.provider("azure") is None


def test_upstream_takes_every_model_under_its_name() -> None:
    upstream = parse_catalogue({"providers": {}}).provider("upstream")

    assert upstream is not None
    assert upstream.public_slug("anything") == "anything"


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"providers": []},
        {"providers": {"groq": []}},
        {"providers": {"groq": {"models": {}}}},
        {"providers": {"groq": {"name": "Groq", "models": []}}},
        {"providers": {"groq": {"name": "Groq", "models": {"id": 5}}}},
        {"providers": {"a/b": {"name": "A", "models": {}}}},
    ],
)
def test_catalogue_of_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(CatalogueError):
        parse_catalogue(document)


def test_shipped_catalogue_is_valid() -> None:
    path = load(ProviderSimulatorSettings, {}).catalogue

    assert parse_catalogue(orjson.loads(path.read_bytes())).providers


def test_statistics_stay_bounded_however_many_models_are_named() -> None:
    statistics = Statistics()
    for number in range(25_000):
        statistics.tally("upstream", f"model-{number}").asked += 1
    counted = statistics.as_document()["providers"]["upstream"]

    assert len(counted) <= 20_001
    assert sum(tally["asked"] for tally in counted.values()) == 25_000
