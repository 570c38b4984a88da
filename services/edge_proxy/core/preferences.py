"""The `provider` object of a request (reference api-facts §8): checked and typed.

Owns its fields and their defaults. Does not apply them: the router does.
Invariant: what is absent here leaves the router's default in force.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from libs.money import MAX_NANO_USD, NANO_PER_USD
from services.edge_proxy.core import fields
from services.edge_proxy.core.fields import Json, Object, invalid

_PATH = "provider."
_SORTS = frozenset({"price", "throughput", "latency", "exacto"})
_COLLECTION = frozenset({"allow", "deny"})
_PARTITIONS = frozenset({"model", "none"})
_ROUTES = frozenset({"fallback", "sort"})
_PERCENTILES = ("p50", "p75", "p90", "p99")
_MAX_CUT_OFF: Final = 1e9
_PRICED = ("prompt", "completion", "request", "image", "audio")
_QUANTIZATIONS = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"}
)
_MAX_LIST: Final = 200


@dataclass(frozen=True, slots=True)
class Preferences:
    """Prices in nano-USD per million units.

    Attributes:
        over_all_models: one ranking over all models of the request, not model after model.
        min_throughput: completion tokens per second, by percentile.
        max_latency: seconds to the first event, by percentile.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool | None = None
    sort: str | None = None
    require_parameters: bool = False
    data_collection: str | None = None
    zdr: bool = False
    quantizations: tuple[str, ...] = ()
    max_price: tuple[tuple[str, int], ...] = ()
    over_all_models: bool = False
    min_throughput: tuple[tuple[str, float], ...] = ()
    max_latency: tuple[tuple[str, float], ...] = ()
    distillable_only: bool = False


NO_PREFERENCES: Final = Preferences()


def read_preferences(body: Object) -> Preferences:
    """Checks `provider`.

    Raises:
        AppError: 400 that names the field.
    """
    source = fields.mapping(body, "provider")
    route = fields.member(body, "route", _ROUTES)
    if not source and route != "sort":
        return NO_PREFERENCES
    source = source or {}
    only = fields.texts(source, "only", max_items=_MAX_LIST, path=_PATH)
    quantizations = fields.texts(source, "quantizations", max_items=_MAX_LIST, path=_PATH) or []
    for index, value in enumerate(quantizations):
        if value not in _QUANTIZATIONS:
            raise invalid(f"provider.quantizations.{index}", f"must be one of {', '.join(sorted(_QUANTIZATIONS))}")
    return Preferences(
        order=tuple(fields.texts(source, "order", max_items=_MAX_LIST, path=_PATH) or ()),
        only=None if only is None else tuple(only),
        ignore=tuple(fields.texts(source, "ignore", max_items=_MAX_LIST, path=_PATH) or ()),
        allow_fallbacks=fields.flag(source, "allow_fallbacks", path=_PATH),
        sort=_read_sort(source),
        require_parameters=fields.flag(source, "require_parameters", path=_PATH) or False,
        data_collection=fields.member(source, "data_collection", _COLLECTION, path=_PATH),
        zdr=fields.flag(source, "zdr", path=_PATH) or False,
        quantizations=tuple(quantizations),
        max_price=_read_max_price(source),
        over_all_models=_read_partition(source, route) == "none",
        min_throughput=_read_cut_offs(source, "preferred_min_throughput"),
        max_latency=_read_cut_offs(source, "preferred_max_latency"),
        distillable_only=fields.flag(source, "enforce_distillable_text", path=_PATH) or False,
    )


def _read_sort(source: Object) -> str | None:
    if isinstance(source.get("sort"), dict):
        config = fields.mapping(source, "sort", path=_PATH) or {}
        return fields.member(config, "by", _SORTS, path="provider.sort.")
    return fields.member(source, "sort", _SORTS, path=_PATH)


def _read_partition(source: Object, route: str | None) -> str | None:
    """`route` is the old way to say it (reference behaviour-facts §2)."""
    config = source.get("sort")
    told = fields.member(config, "partition", _PARTITIONS, path="provider.sort.") if isinstance(config, dict) else None
    return told or ("none" if route == "sort" else None)


def _read_cut_offs(source: Object, name: str) -> tuple[tuple[str, float], ...]:
    """A number bounds the median; an object bounds percentiles."""
    if not isinstance(source.get(name), dict):
        bound = fields.number(source, name, 0, _MAX_CUT_OFF, path=_PATH)
        return () if bound is None else (("p50", bound),)
    bounds = fields.mapping(source, name, path=_PATH) or {}
    read = ((one, fields.number(bounds, one, 0, _MAX_CUT_OFF, path=f"{_PATH}{name}.")) for one in _PERCENTILES)
    return tuple((one, bound) for one, bound in read if bound is not None)


def _read_max_price(source: Object) -> tuple[tuple[str, int], ...]:
    prices = fields.mapping(source, "max_price", path=_PATH)
    if not prices:
        return ()
    return tuple((name, _nano_per_million(name, prices[name])) for name in _PRICED if prices.get(name) is not None)


def _nano_per_million(name: str, value: Json) -> int:
    """USD per million units (a decimal string or a JSON number) as nano-USD per million, rounded down.

    A bound above every price that int64 can hold is that highest price: it binds nobody either way.

    `request` and `image` are USD per unit there (reference behaviour-facts §1.2).
    """
    field = f"provider.max_price.{name}"
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        raise invalid(field, "must be a number or a decimal string")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise invalid(field, "must be a number or a decimal string") from None
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise invalid(field, "must be between 0 and 1000000")
    units = 1_000_000 if name in {"request", "image"} else 1
    return min(int(amount * NANO_PER_USD * units), MAX_NANO_USD)
