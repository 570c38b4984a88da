"""Which models a public list holds, and in which order (reference api-facts §4, `GET /models`).

Owns the meaning of each filter and sort. Does not make JSON. Invariant: the order is total, so that pages never overlap.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from services.router.core.catalogue import Endpoint, Model
from services.router.core.health import UNKNOWN_HEALTH, HealthSnapshot

ALL = "all"
TEXT = frozenset({"text"})
_DAY_S = 86_400


class ModelFilter(NamedTuple):
    """Prices in nano-USD per million tokens. The defaults bind nothing but the output: text."""

    output_modalities: frozenset[str] = TEXT
    """One is enough; `all`: whatever there is."""
    input_modalities: frozenset[str] = frozenset()
    supported_parameters: frozenset[str] = frozenset()
    model_authors: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    """In lower case, as in `Endpoint.names`."""
    search: tuple[str, ...] = ()
    """Words in lower case, all of which must be there."""
    architecture: str = ""
    category: str = ""
    region: str = ""
    zdr: bool = False
    distillable: bool | None = None
    min_context_length: int | None = None
    min_prompt_price: int | None = None
    max_prompt_price: int | None = None
    min_completion_price: int | None = None
    max_completion_price: int | None = None
    min_age_days: int | None = None
    max_age_days: int | None = None
    bounds_unknown_figure: bool = False
    sort: str = ""


def listed(
    models: Sequence[Model], wanted: ModelFilter, now_s: int, health: HealthSnapshot = UNKNOWN_HEALTH
) -> list[Model]:
    """The models on offer that pass, in order."""
    if wanted.bounds_unknown_figure:
        return []
    passing = [model for model in models if model.endpoints and _passes(model, wanted, now_s)]
    key = _SORT_KEYS.get(wanted.sort, _by_breadth)
    passing.sort(key=lambda model: (key(model, health), _by_breadth(model, health), model.id))
    return passing


def _passes(model: Model, wanted: ModelFilter, now_s: int) -> bool:
    outputs = wanted.output_modalities
    return (
        (ALL in outputs or not outputs.isdisjoint(model.output_modalities))
        and wanted.input_modalities.issubset(model.input_modalities)
        and (not wanted.model_authors or model.author in wanted.model_authors)
        and (not wanted.architecture or model.tokenizer.lower() == wanted.architecture)
        and (not wanted.category or wanted.category in model.categories)
        and (wanted.distillable is None or bool(model.distillable) is wanted.distillable)
        and _is_found(model, wanted.search)
        and _has_price(model, wanted)
        and _has_age(model, wanted, now_s)
        and _has_endpoint(model, wanted)
    )


def _is_found(model: Model, words: Sequence[str]) -> bool:
    if not words:
        return True
    text = f"{model.id} {model.name} {model.description}".lower()
    return all(word in text for word in words)


def _has_price(model: Model, wanted: ModelFilter) -> bool:
    price = model.cheapest.price
    return _is_within(price.prompt, wanted.min_prompt_price, wanted.max_prompt_price) and _is_within(
        price.completion, wanted.min_completion_price, wanted.max_completion_price
    )


def _has_age(model: Model, wanted: ModelFilter, now_s: int) -> bool:
    """A model whose day is not known passes no bound."""
    if wanted.min_age_days is None and wanted.max_age_days is None:
        return True
    age_days = (now_s - model.created_s) // _DAY_S
    return model.created_s > 0 and _is_within(age_days, wanted.min_age_days, wanted.max_age_days)


def _is_within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _has_endpoint(model: Model, wanted: ModelFilter) -> bool:
    """One endpoint has it all; parameters may be spread, as the list shows them."""
    if wanted.supported_parameters:
        supported = frozenset[str]().union(*(one.supported_parameters for one in model.endpoints))
        if not wanted.supported_parameters <= supported:
            return False
    return any(_endpoint_passes(one, wanted) for one in model.endpoints)


def _endpoint_passes(endpoint: Endpoint, wanted: ModelFilter) -> bool:
    return (
        (not wanted.providers or not endpoint.names.isdisjoint(wanted.providers))
        and (not wanted.zdr or endpoint.provider.zero_data_retention)
        and (not wanted.region or endpoint.region == wanted.region)
        and (wanted.min_context_length is None or endpoint.context_length >= wanted.min_context_length)
    )


def _by_breadth(model: Model, _: HealthSnapshot) -> Any:
    """Those that most providers serve first, then the newest."""
    return -model.breadth, -model.created_s


def _by_day(model: Model, _: HealthSnapshot) -> Any:
    return -model.created_s


def _by_price(model: Model, _: HealthSnapshot) -> Any:
    return model.cheapest.blend


def _by_falling_price(model: Model, _: HealthSnapshot) -> Any:
    return -model.cheapest.blend


def _by_context(model: Model, _: HealthSnapshot) -> Any:
    return -max(one.context_length for one in model.endpoints)


def _by_throughput(model: Model, health: HealthSnapshot) -> Any:
    measured = (health.throughput.get(one.id) for one in model.endpoints)
    return -max((one.p50 for one in measured if one), default=0.0)


def _by_latency(model: Model, health: HealthSnapshot) -> Any:
    measured = (health.latency_s.get(one.id) for one in model.endpoints)
    return min((one.p50 for one in measured if one), default=float("inf"))


_SORT_KEYS: Mapping[str, Callable[[Model, HealthSnapshot], Any]] = {
    "newest": _by_day,
    "pricing-low-to-high": _by_price,
    "pricing-high-to-low": _by_falling_price,
    "context-high-to-low": _by_context,
    "throughput-high-to-low": _by_throughput,
    "latency-low-to-high": _by_latency,
}
"""The others sort by figures that are known of no model, so that the default order stands."""
