from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.protocols.openai_chat.usage import usage_of
from services.provider_adapter.protocols.port import Usage

BASE = {"prompt_tokens": 100, "completion_tokens": 50}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BASE, Usage(100, 50)),
        ({**BASE, "total_tokens": 150}, Usage(100, 50)),
        ({**BASE, "server_tool_use": {"web_search_requests": 2}}, Usage(100, 50, web_searches=2)),
        (
            {**BASE, "server_tool_use_details": {"web_search_requests": 3}, "num_search_queries": 1},
            Usage(100, 50, web_searches=3),
        ),
        ({**BASE, "num_search_queries": 4, "search_context_size": "low"}, Usage(100, 50, web_searches=4)),
        ({**BASE, "num_search_queries": -4, "server_tool_use": [2]}, Usage(100, 50)),
        (
            {
                **BASE,
                "prompt_tokens_details": {
                    "cached_tokens": 60,
                    "cache_write_tokens": 10,
                    "audio_tokens": 5,
                    "image_tokens": 4,
                },
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 3, "image_tokens": 2},
            },
            Usage(100, 50, 60, 10, 20, 5, 3, 4, 2),
        ),
        ({**BASE, "cached_tokens": 7}, Usage(100, 50, cache_read_tokens=7)),
        ({**BASE, "prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 93}, Usage(100, 50, cache_read_tokens=7)),
        ({**BASE, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(100, 50)),
        ({"prompt_tokens": 100, "total_tokens": 150}, Usage(100, 50)),
        ({"completion_tokens": 50, "total_tokens": 150}, Usage(100, 50)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        # xAI leaves reasoning out of the completion: 12 + 1 + 228 = 241.
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 241,
                "completion_tokens_details": {"reasoning_tokens": 228},
            },
            Usage(12, 229, reasoning_tokens=228),
        ),
    ],
)
def test_counts_of_hosts_become_disjoint_classes(value: Any, expected: Usage) -> None:
    assert usage_of(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "12",
        {},
        {"total_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 1.5, "completion_tokens": 5},
        {"prompt_tokens": "1", "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": 1, "completion_tokens": None},
        {"prompt_tokens": 10, "total_tokens": 5},
        {"prompt_tokens": 1, "completion_tokens": 1 << 70},
    ],
)
def test_malformed_totals_are_as_if_absent(value: Any) -> None:
    assert usage_of(value) is None


def test_details_that_exceed_the_total_are_left_out_and_the_rest_fits() -> None:
    value = {
        **BASE,
        "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 20, "audio_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 51},
    }

    assert usage_of(value) == Usage(100, 50, cache_read_tokens=90, prompt_audio_tokens=10)


COUNTS = st.integers(-5, 1 << 45) | st.none() | st.booleans() | st.text(max_size=2) | st.floats()
DETAILS = st.none() | st.dictionaries(
    st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "reasoning_tokens"]), COUNTS
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": COUNTS,
            "completion_tokens": COUNTS,
            "total_tokens": COUNTS,
            "reasoning_tokens": COUNTS,
            "cached_tokens": COUNTS,
            "prompt_tokens_details": DETAILS,
            "completion_tokens_details": DETAILS,
        },
    )
)
def test_any_usage_gives_parts_that_fit_into_their_totals(value: dict[str, Any]) -> None:
    usage = usage_of(value)
    if usage is None:
        return
    assert all(0 <= count < 1 << 42 for count in usage)
    assert (
        usage.cache_read_tokens + usage.cache_write_tokens + usage.prompt_audio_tokens + usage.prompt_image_tokens
        <= usage.prompt_tokens
    )
    assert (
        usage.reasoning_tokens + usage.completion_audio_tokens + usage.completion_image_tokens
        <= usage.completion_tokens
    )
