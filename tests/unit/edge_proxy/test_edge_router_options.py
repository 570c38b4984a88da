"""The `auto-router` plugin, and parameters that a model has of itself."""

from typing import Any

import orjson
import pytest

from libs.errors import AppError
from services.edge_proxy.core.presets import with_preset
from services.edge_proxy.core.router_options import NO_OPTIONS, RouterOptions, read_router_options

MESSAGES = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "model": "acme/one"},
    {"role": "user", "content": "c"},
]


def read(messages: list[Any] | None = None, **plugin: Any) -> RouterOptions:
    body = {"plugins": [{"id": "web"}, {"id": "auto-router", **plugin}], "messages": messages or MESSAGES}
    return read_router_options(body)


def test_nothing_asked_is_the_default() -> None:
    assert read_router_options({"plugins": [{"id": "web"}]}) is NO_OPTIONS
    assert read_router_options({"plugins": [{"id": "auto-router", "enabled": False}]}) is NO_OPTIONS


def test_patterns_and_tier_are_taken_as_they_are() -> None:
    assert read(allowed_models=["acme/*"], excluded_models=["*/two"], cost_tier="high") == RouterOptions(
        ("acme/*",), ("*/two",), "high"
    )


@pytest.mark.parametrize(
    ("trade_off", "tier"), [(0, "low"), (2, "low"), (3, "medium"), (5, "high"), (7, "xhigh"), (9, "max"), (10, "max")]
)
def test_older_dial_is_a_tier(trade_off: int, tier: str) -> None:
    assert read(cost_quality_tradeoff=trade_off).cost_tier == tier


def test_pinned_model_is_that_of_the_last_assistant_message() -> None:
    assert read(pin_model=True).pinned_model == "acme/one"
    assert read(pin_model=False).pinned_model == ""
    assert read([{"role": "user", "content": "a"}], pin_model=True).pinned_model == ""
    assert read([{"role": "assistant", "content": "a", "model": 5}], pin_model=True).pinned_model == ""


@pytest.mark.parametrize(
    ("plugin", "field"),
    [
        ({"cost_tier": "cheap"}, "plugins.1.cost_tier"),
        ({"cost_quality_tradeoff": 11}, "plugins.1.cost_quality_tradeoff"),
        ({"allowed_models": "acme/*"}, "plugins.1.allowed_models"),
        ({"allowed_models": ["x"] * 1025}, "plugins.1.allowed_models"),
        ({"excluded_models": ["x" * 1025]}, "plugins.1.excluded_models.0"),
        ({"excluded_models": ["x" * 1024] * 65}, "plugins.1.excluded_models"),
        ({"pin_model": 1}, "plugins.1.pin_model"),
    ],
)
def test_option_that_is_wrong_names_its_field(plugin: dict[str, Any], field: str) -> None:
    with pytest.raises(AppError) as caught:
        read(**plugin)
    assert (caught.value.http_status, caught.value.metadata["field"]) == (400, field)


@pytest.mark.parametrize(
    ("body", "given", "expected"),
    [
        ({"model": "m"}, (), {"model": "m", "temperature": 0.6, "reasoning": {"enabled": True}}),
        (
            {"model": "m", "temperature": 0},
            ("temperature",),
            {"model": "m", "temperature": 0, "reasoning": {"enabled": True}},
        ),
        ({"model": "m", "temperature": None}, (), {"model": "m", "temperature": 0.6, "reasoning": {"enabled": True}}),
    ],
)
def test_preset_fills_what_the_caller_left_out(body: Any, given: tuple[str, ...], expected: Any) -> None:
    preset = orjson.dumps({"temperature": 0.6, "reasoning": {"enabled": True}})[1:-1]
    for text in (orjson.dumps(body), orjson.dumps(body, option=orjson.OPT_INDENT_2) + b" \n"):
        assert orjson.loads(with_preset(text, preset, given)) == expected


def test_preset_that_adds_nothing_leaves_the_callers_bytes() -> None:
    body = b'{ "model": "m", "temperature": 1 }'
    assert with_preset(body, b'"temperature":0.6', ("temperature",)) is body
