"""The public lists: the exact shape, exact prices, and the official SDK reads them."""

import json
from typing import Any

import pytest
from openrouter import components

from libs.clock import ManualClock
from libs.errors import AppError, Kind
from services.router.catalogue_files import read_catalogue
from services.router.core.catalogue import Catalogue
from services.router.core.health import Health
from services.router.core.offer import UpstreamTerms, offer_providers, offer_upstream
from services.router.handlers import RouterHandlers
from tests.unit.router.making import catalogue, endpoint, model, price


def offering(one: Catalogue) -> RouterHandlers:
    handlers = RouterHandlers(Health(), ManualClock())
    handlers.offer(one)
    return handlers


def models(handlers: RouterHandlers) -> Any:
    return json.loads(handlers.on_offer.models.json)


SHIPPED = read_catalogue()


@pytest.mark.parametrize("offered", [SHIPPED, offer_upstream(SHIPPED, ["my-llama", "openai/gpt-4o"], UpstreamTerms())])
def test_official_sdk_parses_the_list_and_every_model(offered: Catalogue) -> None:
    handlers = offering(offered)
    listed = components.ModelsListResponse.model_validate_json(handlers.on_offer.models.json)
    assert listed.total_count == len(listed.data) > 0
    for one in listed.data:
        body = json.loads(handlers.on_offer.model_endpoints_json(one.id))
        parsed = components.ListEndpointsResponse.model_validate(body["data"])
        assert parsed.id == one.id
        assert len(parsed.endpoints) == len(offered.models[one.id].endpoints)
        assert parsed.architecture.input_modalities == one.architecture.input_modalities


def test_list_has_count_and_links_and_shows_the_cheapest_endpoint() -> None:
    body = models(
        offering(
            catalogue(model([endpoint("dear", 900_000_000), endpoint("cheap", price=price(150_000_000, 600_000_000))]))
        )
    )
    assert (body["total_count"], body["links"]) == (1, {"next": None})
    [one] = body["data"]
    assert one["id"] == "acme/one"
    assert one["pricing"]["prompt"] == "0.00000015"
    assert one["pricing"]["completion"] == "0.0000006"
    assert "input_cache_read" not in one["pricing"]


def test_model_without_an_endpoint_on_offer_is_not_listed_but_known() -> None:
    handlers = offering(offer_providers(SHIPPED, {"groq"}))
    listed = {one["id"] for one in models(handlers)["data"]}
    assert "openai/gpt-oss-120b" in listed
    assert "openai/gpt-4o" not in listed
    assert json.loads(handlers.on_offer.model_endpoints_json("openai/gpt-4o"))["data"]["endpoints"] == []


def test_endpoints_show_prices_limits_tag_and_no_measurement_yet() -> None:
    one = endpoint("a", price=price(1, 2, cache_read=3), variant="fast", max_completion_tokens=5)
    body = json.loads(offering(catalogue(model([one]))).on_offer.model_endpoints_json("acme/one"))
    [shown] = body["data"]["endpoints"]
    assert shown["tag"] == "a/fast"
    assert shown["provider_name"] == "A"
    assert shown["pricing"]["input_cache_read"] == "0.000000000000003"
    assert (shown["max_completion_tokens"], shown["max_prompt_tokens"]) == (5, None)
    assert shown["uptime_last_30m"] is shown["latency_last_30m"] is shown["throughput_last_30m"] is None


def test_endpoints_of_an_alias_are_those_of_its_model() -> None:
    handlers = offering(catalogue(model([endpoint("a")], aliases=("acme/uno",))))
    assert handlers.on_offer.model_endpoints_json("acme/uno") == handlers.on_offer.model_endpoints_json("acme/one")


def test_endpoints_of_an_unknown_model_are_missing() -> None:
    with pytest.raises(AppError) as caught:
        offering(SHIPPED).on_offer.model_endpoints_json("acme/none")
    assert caught.value.kind is Kind.MISSING
    assert "acme/none" in caught.value.message


def test_etag_changes_with_the_offer_alone() -> None:
    first, again, other = offering(SHIPPED), offering(SHIPPED), offering(offer_providers(SHIPPED, {"groq"}))
    assert first.on_offer.models.etag == again.on_offer.models.etag != other.on_offer.models.etag


def test_nothing_on_offer_yet_is_a_wait_not_an_empty_list() -> None:
    handlers = RouterHandlers(Health(), ManualClock())
    with pytest.raises(AppError) as caught:
        _ = handlers.on_offer
    assert caught.value.kind is Kind.NO_ROUTE
    assert caught.value.retry_after_s
