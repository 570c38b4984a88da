"""Lists of models: filters, order, pages and counts, and the official SDK reads every public read of the whole catalogue."""

import json
from typing import Any

import pytest
from openrouter import components, operations
from switchyard.routing.v1 import routing_pb2 as pb

from libs.clock import ManualClock
from libs.errors import AppError
from libs.metrics import Metrics
from services.router.catalogue_files import read_catalogue
from services.router.convert import PlanMessages
from services.router.core.catalogue import Provider
from services.router.core.health import Health, HealthSnapshot, Percentiles
from services.router.core.listing import ModelFilter, listed
from services.router.handlers import RouterHandlers
from services.router.server import RouterServicer
from services.router.shelf import NO_FILTER, Page, Shelf, make_shelf
from tests.unit.router.making import catalogue, endpoint, model, price

NOW_S = 1_000_000_000
DAY_S = 86_400
MTOK = 10**9
CLEAN = Provider("clean", "Clean", collects_data=False, zero_data_retention=True)
SMALL = catalogue(
    model(
        [endpoint("a", MTOK, model="acme/old", context_length=8000, region="eu")],
        "acme/old",
        created_s=NOW_S - 100 * DAY_S,
        tokenizer="GPT",
        name="Old Faithful",
    ),
    model(
        [
            endpoint("a", 3 * MTOK, model="beta/new", supported_parameters=frozenset({"tools"})),
            endpoint("clean", 4 * MTOK, model="beta/new", provider=CLEAN, context_length=90_000),
        ],
        "beta/new",
        created_s=NOW_S - DAY_S,
        input_modalities=("text", "image"),
        distillable=True,
        categories=frozenset({"legal"}),
    ),
    model([endpoint("b", 2 * MTOK, model="beta/vector")], "beta/vector", output_modalities=("embeddings",)),
    model([], "beta/gone"),
)
SHIPPED = read_catalogue()
WHOLE = make_shelf(SHIPPED)
SOME = make_shelf(SHIPPED.with_models(list(SHIPPED.models.values())[:50]))


def ids(**wanted: Any) -> list[str]:
    return [one.id for one in listed(list(SMALL.models.values()), ModelFilter(**wanted), NOW_S)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["beta/new", "acme/old"]),
        ({"output_modalities": frozenset({"all"})}, ["beta/new", "acme/old", "beta/vector"]),
        ({"output_modalities": frozenset({"embeddings", "image"})}, ["beta/vector"]),
        ({"input_modalities": frozenset({"text", "image"})}, ["beta/new"]),
        ({"supported_parameters": frozenset({"tools", "temperature"})}, ["beta/new"]),
        ({"supported_parameters": frozenset({"tools", "seed"})}, []),
        ({"model_authors": frozenset({"acme"})}, ["acme/old"]),
        ({"providers": frozenset({"clean"})}, ["beta/new"]),
        ({"search": ("faithful", "acme")}, ["acme/old"]),
        ({"search": ("faithful", "beta")}, []),
        ({"architecture": "gpt"}, ["acme/old"]),
        ({"category": "legal"}, ["beta/new"]),
        ({"region": "eu"}, ["acme/old"]),
        ({"region": "us"}, []),
        ({"zdr": True}, ["beta/new"]),
        ({"distillable": True}, ["beta/new"]),
        ({"distillable": False}, ["acme/old"]),
        ({"min_context_length": 9000}, ["beta/new"]),
        ({"min_prompt_price": MTOK + 1}, ["beta/new"]),
        ({"max_prompt_price": MTOK}, ["acme/old"]),
        ({"min_completion_price": 3 * MTOK}, ["beta/new"]),
        ({"max_completion_price": 3 * MTOK - 1}, ["acme/old"]),
        ({"min_age_days": 2}, ["acme/old"]),
        ({"max_age_days": 2}, ["beta/new"]),
        ({"bounds_unknown_figure": True}, []),
        ({"sort": "newest"}, ["beta/new", "acme/old"]),
        ({"sort": "pricing-low-to-high"}, ["acme/old", "beta/new"]),
        ({"sort": "pricing-high-to-low"}, ["beta/new", "acme/old"]),
        ({"sort": "context-high-to-low"}, ["beta/new", "acme/old"]),
        ({"sort": "intelligence-high-to-low"}, ["beta/new", "acme/old"]),
    ],
)
def test_filter_or_sort_lists_what_it_says(wanted: dict[str, Any], expected: list[str]) -> None:
    assert ids(**wanted) == expected


def test_measured_models_come_first_when_sorted_by_speed() -> None:
    speeds = {"a/acme/old": Percentiles(5, 5, 5, 5, 1)}
    health = HealthSnapshot(latency_s=speeds, throughput=speeds)
    for sort in ("throughput-high-to-low", "latency-low-to-high"):
        found = listed(list(SMALL.models.values()), ModelFilter(sort=sort), NOW_S, health)
        assert [one.id for one in found] == ["acme/old", "beta/new"]


def page(shelf: Shelf, offset: int, limit: int) -> Any:
    return json.loads(shelf.list_models(NO_FILTER, Page(offset, limit, "/api/v1/models?q=x"), NOW_S).json)


@pytest.mark.parametrize("limit", [1, 7, 500, 747, 748, 1000])
def test_pages_of_any_length_are_the_whole_list_once(limit: int) -> None:
    shelf = SOME if limit < 100 else WHOLE
    whole = [one["id"] for one in json.loads(shelf.models.json)["data"]]
    found: list[str] = []
    while True:
        body = page(shelf, len(found), limit)
        found += [one["id"] for one in body["data"]]
        assert body["total_count"] == len(whole)
        if body["links"]["next"] is None:
            break
        assert body["links"]["next"] == f"/api/v1/models?q=x&offset={len(found)}&limit={limit}"
    assert found == whole


def test_page_beyond_the_end_is_empty() -> None:
    body = page(WHOLE, 10**6, 5)
    assert (body["data"], body["links"]["next"]) == ([], None)


def test_default_list_is_text_and_all_is_everything() -> None:
    text = json.loads(WHOLE.models.json)
    assert 700 <= text["total_count"] == len(text["data"]) < 887
    every = ModelFilter(output_modalities=frozenset({"all"}))
    assert WHOLE.count_models(every, NOW_S) == 887
    assert WHOLE.count_models(NO_FILTER, NOW_S) == text["total_count"]


def test_official_sdk_parses_every_read_of_the_whole_catalogue() -> None:
    every = WHOLE.list_models(ModelFilter(output_modalities=frozenset({"all"})), Page(), NOW_S)
    parsed = components.ModelsListResponse.model_validate_json(every.json)
    assert parsed.total_count == len(parsed.data) == 887
    for name in ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5", "~google/gemini-flash-latest"):
        model_response = components.ModelResponse.model_validate({"data": json.loads(WHOLE.model_json(name))})
        assert model_response.data.id
    zdr = operations.ListEndpointsZdrResponse.model_validate_json(WHOLE.zdr_json())
    assert len(zdr.data) > 50
    providers = operations.ListProvidersResponse.model_validate_json(WHOLE.providers_json)
    assert len(providers.data) == 108
    for model_id in WHOLE.cards:
        body = json.loads(WHOLE.model_endpoints_json(model_id))
        assert components.ListEndpointsResponse.model_validate(body["data"]).endpoints


def test_alias_of_a_family_shows_its_target() -> None:
    shown = json.loads(WHOLE.model_json("~anthropic/claude-sonnet-latest"))
    assert shown["alias_target"] == {"name": "Claude Sonnet 5.5", "slug": "anthropic/claude-sonnet-5.5"}


def test_prices_for_long_prompts_are_shown_as_overrides() -> None:
    cards = json.loads(WHOLE.model_endpoints_json("google/gemini-2.5-pro"))["data"]["endpoints"]
    google = next(one for one in cards if one["tag"] == "google")
    [override] = google["pricing"]["overrides"]
    assert override["min_prompt_tokens"] == 200_000
    assert float(override["prompt"]) > float(google["pricing"]["prompt"])


def test_model_without_its_authors_words_is_described_by_facts() -> None:
    shelf = make_shelf(catalogue(model([endpoint("a", price=price(1))], description="")))
    assert json.loads(shelf.model_json("acme/one"))["description"] == "A chat model by acme: text in, text out."


async def test_reads_over_the_wire_filter_count_and_spare_what_is_known() -> None:
    handlers = RouterHandlers(Health(), ManualClock())
    handlers.offer(SMALL)
    servicer = RouterServicer(handlers, PlanMessages(pb.TimeLimits()), Metrics())
    wanted = pb.ModelFilter(search="FAITHFUL", max_prompt_price=MTOK, providers=["A"])
    found = await servicer.ListModels(pb.ListModelsRequest(filter=wanted), None)
    assert [one["id"] for one in json.loads(found.json)["data"]] == ["acme/old"]
    again = await servicer.ListModels(pb.ListModelsRequest(filter=wanted, if_none_match=found.etag), None)
    assert (again.not_modified, again.json, again.etag) == (True, b"", found.etag)
    every = pb.ModelFilter(output_modalities=["all"])
    assert (await servicer.CountModels(pb.CountModelsRequest(filter=every), None)).count == 3
    shown = await servicer.GetModel(pb.GetModelRequest(model="acme/old"), None)
    assert json.loads(shown.json)["id"] == "acme/old"
    for name in ("acme/none", "beta/gone"):
        with pytest.raises(AppError, match="is not a valid model ID"):
            await servicer.GetModel(pb.GetModelRequest(model=name), None)
    assert json.loads((await servicer.ListZdrEndpoints(pb.ListZdrEndpointsRequest(), None)).json)["data"]
    providers = json.loads((await servicer.ListProviders(pb.ListProvidersRequest(), None)).json)["data"]
    assert [one["slug"] for one in providers] == ["a", "b", "clean"]
