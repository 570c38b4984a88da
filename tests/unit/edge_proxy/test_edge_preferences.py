"""The `provider` object (reference api-facts §8)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from switchyard.routing.v1 import routing_pb2 as routing

from libs.errors import AppError
from libs.tokens import TokenCounter
from services.edge_proxy.convert import plan_request
from services.edge_proxy.core.chat_request import parse_chat_request
from services.edge_proxy.core.preferences import NO_PREFERENCES, Preferences, read_preferences
from services.edge_proxy.generation import CallerFacts, Generation
from tests.testkit.edge_proxy import account_key, chat_body

COUNTER = TokenCounter()


def read(**provider: Any) -> Preferences:
    return read_preferences({"provider": provider})


def refused_field(**provider: Any) -> str:
    with pytest.raises(AppError) as caught:
        read(**provider)
    assert caught.value.http_status == 400
    return caught.value.metadata["field"]


def planned_preferences(**provider: Any) -> routing.ProviderPreferences:
    return planned_request(provider=provider).preferences


def planned_request(**changes: Any) -> routing.PlanRequest:
    request = parse_chat_request(chat_body(**changes), COUNTER)
    return plan_request(Generation("gen-1", account_key(), request, CallerFacts(), 0, 0.0))


@pytest.mark.parametrize("body", [{}, {"provider": None}, {"provider": {}}])
def test_nothing_asked_is_the_default(body: dict[str, Any]) -> None:
    assert read_preferences(body) is NO_PREFERENCES


@pytest.mark.parametrize(
    ("value", "nano"),
    [
        (1, 1_000_000_000), ("1", 1_000_000_000), (0.5, 500_000_000), ("0.000000001", 1), ("0.0000000019", 1),
        (0, 0), ("1e-3", 1_000_000), (1000000, 1_000_000 * 10**9),
    ],
)  # fmt: skip
def test_max_price_of_tokens_is_usd_per_million_rounded_down(value: Any, nano: int) -> None:
    assert read(max_price={"prompt": value}).max_price == (("prompt", nano),)
    assert read(max_price={"completion": value}).max_price == (("completion", nano),)


@pytest.mark.parametrize("name", ["request", "image"])
def test_max_price_of_a_request_is_usd_each(name: str) -> None:
    assert read(max_price={name: "0.01"}).max_price == ((name, 10_000 * 10**9),)


@pytest.mark.parametrize("name", ["prompt", "completion", "request", "image", "audio"])
@pytest.mark.parametrize("value", [9_223, 9_224, 1_000_000, "999999.999999999"])
def test_max_price_beyond_every_price_still_makes_a_plan(name: str, value: Any) -> None:
    bound = getattr(planned_preferences(max_price={name: value}).max_price, name)
    scale = 10**15 if name in {"request", "image"} else 10**9
    assert bound == min(int(Decimal(str(value)) * scale), 2**63 - 1)


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "-1", -1, True, [], {}, 1_000_001, "1" * 41, "sNaN"])
def test_max_price_that_is_no_price_is_400(value: Any) -> None:
    assert refused_field(max_price={"prompt": value}) == "provider.max_price.prompt"


@given(st.decimals(min_value=0, max_value=1_000_000, places=9))
def test_max_price_as_text_is_exact(value: Decimal) -> None:
    assert read(max_price={"prompt": f"{value:f}"}).max_price == (("prompt", int(value * 10**9)),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order", "groq"), ("order", [1]), ("order", ["x"] * 201), ("only", {}), ("ignore", [None]),
        ("ignore", ["x" * 257]), ("allow_fallbacks", "yes"), ("require_parameters", 1), ("zdr", "no"),
        ("data_collection", "maybe"), ("sort", "random"), ("sort", 1), ("quantizations", ["fp1"]),
        ("quantizations", "fp8"), ("max_price", 1),
    ],
)  # fmt: skip
def test_wrong_type_is_400_naming_the_field(field: str, value: Any) -> None:
    assert refused_field(**{field: value}).startswith(f"provider.{field}")


def test_sort_may_be_an_object() -> None:
    assert read(sort={"by": "latency"}).sort == "latency"
    assert read(sort={"by": None, "partition": None}).sort is None
    assert read(sort="price").sort == "price"
    assert refused_field(sort={"by": "random"}) == "provider.sort.by"


def test_empty_only_differs_from_none() -> None:
    assert read(only=[], zdr=True).only == ()
    assert read(zdr=True).only is None
    assert planned_preferences(only=[], zdr=True).has_only
    assert not planned_preferences(zdr=True).has_only


def test_everything_reaches_the_router() -> None:
    message = planned_preferences(
        order=["b", "a"], only=["a"], ignore=["c"], allow_fallbacks=False, sort="throughput", require_parameters=True,
        data_collection="deny", zdr=True, quantizations=["fp8"], max_price={"prompt": "1", "completion": 2},
    )  # fmt: skip
    assert (list(message.order), list(message.only), list(message.ignore)) == (["b", "a"], ["a"], ["c"])
    assert message.HasField("allow_fallbacks")
    assert not message.allow_fallbacks
    assert message.sort == routing.SORT_THROUGHPUT
    assert message.data_collection == routing.DATA_COLLECTION_DENY
    assert message.require_parameters
    assert message.zdr
    assert list(message.quantizations) == ["fp8"]
    assert (message.max_price.prompt, message.max_price.completion) == (10**9, 2 * 10**9)
    assert not message.max_price.HasField("request")


def test_absent_preferences_stay_absent() -> None:
    message = planned_preferences(zdr=False)
    assert not message.HasField("allow_fallbacks")
    assert message.sort == routing.SORT_UNSPECIFIED
    assert not planned_request().HasField("preferences")


@pytest.mark.parametrize(
    ("changes", "partition"),
    [
        ({"provider": {"sort": {"by": "price", "partition": "none"}}}, routing.SORT_PARTITION_NONE),
        ({"provider": {"sort": {"by": "price", "partition": "model"}}}, routing.SORT_PARTITION_UNSPECIFIED),
        ({"route": "sort"}, routing.SORT_PARTITION_NONE),
        ({"route": "fallback"}, routing.SORT_PARTITION_UNSPECIFIED),
        ({"route": "sort", "provider": {"sort": {"partition": "model"}}}, routing.SORT_PARTITION_UNSPECIFIED),
    ],
)
def test_one_ranking_over_all_models_is_asked_for_in_two_ways(changes: dict[str, Any], partition: int) -> None:
    assert planned_request(**changes).preferences.sort_partition == partition


def test_cut_offs_bound_the_median_or_each_percentile() -> None:
    sent = planned_preferences(preferred_min_throughput=50, preferred_max_latency={"p50": 1.5, "p99": 4})
    assert (sent.preferred_min_throughput.p50, sent.preferred_min_throughput.HasField("p99")) == (50, False)
    assert (sent.preferred_max_latency.p50, sent.preferred_max_latency.p99) == (1.5, 4)
    assert not planned_preferences(zdr=True).HasField("preferred_max_latency")


@pytest.mark.parametrize(
    ("provider", "field"),
    [
        ({"sort": {"partition": "all"}}, "provider.sort.partition"),
        ({"preferred_min_throughput": "fast"}, "provider.preferred_min_throughput"),
        ({"preferred_min_throughput": -1}, "provider.preferred_min_throughput"),
        ({"preferred_max_latency": {"p90": "x"}}, "provider.preferred_max_latency.p90"),
        ({"preferred_max_latency": True}, "provider.preferred_max_latency"),
        ({"enforce_distillable_text": "yes"}, "provider.enforce_distillable_text"),
    ],
)
def test_preference_of_the_wrong_type_names_its_field(provider: dict[str, Any], field: str) -> None:
    assert refused_field(**provider) == field


def test_service_tier_and_outputs_reach_the_router() -> None:
    features = planned_request(
        service_tier="flex",
        modalities=["text", "image"],
        response_format={"type": "json_schema", "json_schema": {"name": "x"}},
    ).features
    assert (features.service_tier, list(features.output_modalities)) == ("flex", ["image"])
    assert features.uses_json_schema
    assert features.uses_response_format
    assert not planned_request(response_format={"type": "json_object"}).features.uses_json_schema
