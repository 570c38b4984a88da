"""The `usage` object: valid JSON, exact decimals, sums that add up."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from libs.money import NanoUsd
from libs.pricing import Charge, Units
from services.edge_proxy.core.metering import Metered, Source
from services.edge_proxy.core.usage_json import usage_json

tokens = st.integers(0, 10**12)
amounts = st.integers(0, 2**60).map(NanoUsd)
metered_values = st.builds(
    Metered,
    st.builds(Units, *[tokens] * len(Units._fields)),
    st.just(Source.PROVIDER),
    st.builds(Charge, amounts, amounts, amounts),
)


@given(metered_values, st.booleans())
def test_usage_is_valid_json_with_exact_decimals(metered: Metered, is_byok: bool) -> None:
    text = usage_json(metered, is_byok=is_byok)
    usage = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["cost"] == Decimal(metered.charge.total) / 10**9
    details = usage["cost_details"]
    assert details["upstream_inference_prompt_cost"] == Decimal(metered.charge.prompt) / 10**9
    assert details["upstream_inference_completions_cost"] == Decimal(metered.charge.completion) / 10**9
    assert usage["prompt_tokens_details"]["cached_tokens"] == metered.units.cache_read_tokens
    units, prompt, completion = metered.units, usage["prompt_tokens_details"], usage["completion_tokens_details"]
    assert prompt["cache_write_tokens"] == units.cache_write_tokens + units.cache_write_1h_tokens
    assert prompt["audio_tokens"] == units.prompt_audio_tokens
    assert completion["audio_tokens"] == units.completion_audio_tokens
    assert completion["reasoning_tokens"] == units.reasoning_tokens
    searches = units.web_searches
    expected = {"web_search_requests": searches} if searches else None
    assert usage.get("server_tool_use_details") == usage.get("server_tool_use") == expected
    assert usage["is_byok"] is is_byok
    assert b"e" not in text.partition(b'"cost":')[2].partition(b",")[0]


@given(metered_values, st.booleans())
def test_usage_of_embeddings_and_rerank_counts_what_they_have(metered: Metered, is_byok: bool) -> None:
    units = metered.units
    embeddings = json.loads(usage_json(metered, "embeddings", is_byok=is_byok), parse_float=Decimal, parse_int=Decimal)
    rerank = json.loads(usage_json(metered, "rerank", is_byok=is_byok), parse_float=Decimal, parse_int=Decimal)
    assert embeddings["prompt_tokens"] == units.prompt_tokens
    assert rerank["search_units"] == units.search_units
    for usage in embeddings, rerank:
        assert usage["total_tokens"] == units.prompt_tokens + units.completion_tokens
        assert usage["cost"] == Decimal(metered.charge.total) / 10**9
        assert usage["is_byok"] is is_byok
        assert "upstream_inference_cost" in usage["cost_details"]
        assert "completion_tokens" not in usage


@given(st.lists(metered_values, max_size=10))
def test_costs_of_many_replies_add_up_exactly(many: list[Metered]) -> None:
    read = [json.loads(usage_json(one, is_byok=False), parse_float=Decimal, parse_int=Decimal) for one in many]
    total = sum((usage["cost"] for usage in read), Decimal(0))
    assert total == Decimal(sum(one.charge.total for one in many)) / 10**9
