"""The `auto-router` plugin: how a router model is to choose (reference api-facts §8, behaviour-facts §1.5).

Owns its fields and bounds. Does not choose: the router does. Invariant: patterns are bounded in number and length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.edge_proxy.core import fields
from services.edge_proxy.core.fields import Json, Object, invalid

_PLUGINS: Final = frozenset({"auto-router", "auto-beta-router"})
_TIERS: Final = ("low", "medium", "high", "xhigh", "max")
_MAX_PATTERNS: Final = 1024
_MAX_PATTERN_LENGTH: Final = 1024
_MAX_PATTERNS_LENGTH: Final = 65_536
_TRADE_OFF_STEPS: Final = 11


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """Patterns are slugs in which `*` stands for anything; the defaults bind nothing."""

    allowed_models: tuple[str, ...] = ()
    excluded_models: tuple[str, ...] = ()
    cost_tier: str = ""
    pinned_model: str = ""


NO_OPTIONS: Final = RouterOptions()


def read_router_options(body: Object) -> RouterOptions:
    """Checks the plugin in `plugins`, which are known to be objects with an id.

    Raises:
        AppError: 400 that names the field.
    """
    for index, plugin in enumerate(body.get("plugins") or ()):
        if plugin["id"] in _PLUGINS and plugin.get("enabled") is not False:
            return _read(plugin, f"plugins.{index}.", body)
    return NO_OPTIONS


def _read(plugin: Object, path: str, body: Object) -> RouterOptions:
    tier = fields.member(plugin, "cost_tier", frozenset(_TIERS), path=path)
    trade_off = fields.whole(plugin, "cost_quality_tradeoff", 0, _TRADE_OFF_STEPS - 1, path=path)
    if tier is None and trade_off is not None:
        # The older dial: 0 is cheapest, 10 is best.
        tier = _TIERS[trade_off * len(_TIERS) // _TRADE_OFF_STEPS]
    pins = fields.flag(plugin, "pin_model", path=path) or False
    return RouterOptions(
        _patterns(plugin, "allowed_models", path),
        _patterns(plugin, "excluded_models", path),
        tier or "",
        _last_model(body.get("messages") or ()) if pins else "",
    )


def _patterns(plugin: Object, name: str, path: str) -> tuple[str, ...]:
    patterns = fields.texts(plugin, name, max_items=_MAX_PATTERNS, max_length=_MAX_PATTERN_LENGTH, path=path) or ()
    if sum(map(len, patterns)) > _MAX_PATTERNS_LENGTH:
        raise invalid(path + name, f"must be at most {_MAX_PATTERNS_LENGTH} characters in all")
    return tuple(patterns)


def _last_model(messages: Sequence[Json]) -> str:
    """The model that the last assistant message names."""
    for message in reversed(messages):
        if message.get("role") == "assistant":
            model = message.get("model")
            return model[:256] if isinstance(model, str) else ""
    return ""
