"""Router models: names that choose a model for the request instead of naming one.

Owns that choice: `auto` by breadth of service within a band of price, `free` at random among what costs nothing, once
for a conversation that its caller names. Does not see prompts. Invariant: a model that is chosen has an endpoint that
passes every hard constraint of the request.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from libs.errors import AppError, Kind
from services.router.core.catalogue import Catalogue, Model
from services.router.core.constraints import dropped_by
from services.router.core.luck import luck
from services.router.core.names import RouterModel
from services.router.core.vocabulary import CHAT
from services.router.core.wishes import NO_POLICY, Wishes

MOST_CHOSEN: Final = 3
"""The model and what follows when all its endpoints fail."""
MAX_PATTERNS: Final = 1024
_DEFAULT_TIER: Final = "medium"
_BANDS: Final = {"low": (0, 20), "medium": (20, 40), "high": (40, 60), "xhigh": (60, 80), "max": (80, 101)}
"""Percentiles of price among the models that chat (reference §1.5)."""
COST_TIERS: Final = frozenset(_BANDS)


def choose(router: RouterModel, wishes: Wishes, catalogue: Catalogue, seed: str) -> list[Model]:
    """The models to try, in order; at least one.

    Raises:
        AppError: NO_ENDPOINTS (missing), when request and restrictions leave none.
    """
    options = wishes.router
    if router is RouterModel.FREE:
        features = wishes.features
        draw = features.session_key if features.names_session else seed
        ordered = sorted(_free(catalogue), key=lambda model: luck(draw, model.id))
    else:
        ordered = _in_band(catalogue, options.cost_tier or _DEFAULT_TIER)
        pinned = catalogue.by_name.get(options.pinned_model)
        if pinned is not None and pinned in ordered:
            ordered = [pinned, *(model for model in ordered if model is not pinned)]
    chosen = list(islice(_fitting(ordered, wishes), MOST_CHOSEN))
    if not chosen:
        message = f"No model of {router.slug} fits this request and its restrictions on models and providers."
        metadata = {"availability": "no_endpoints", "requested_models": router.slug}
        raise AppError(Kind.MISSING, "NO_ENDPOINTS", message, metadata)
    return chosen


def _fitting(ordered: Sequence[Model], wishes: Wishes) -> Iterator[Model]:
    options, policy, features = wishes.router, wishes.policy, wishes.features
    needed = [
        name
        for is_needed, name in ((features.uses_tools, "tools"), (features.uses_response_format, "response_format"))
        if is_needed
    ]
    for model in ordered:
        if not allows(options.allowed_models or None, options.excluded_models, model.id):
            continue
        if policy is not NO_POLICY and not allows(policy.allowed_models, policy.ignored_models, model.id):
            continue
        if any(
            dropped_by(one, features, wishes.preferences, policy) is None
            and one.supported_parameters.issuperset(needed)
            for one in model.endpoints
        ):
            yield model


@lru_cache(maxsize=2)
def _free(catalogue: Catalogue) -> tuple[Model, ...]:
    return tuple(
        model
        for model in catalogue.models.values()
        if model.kind == CHAT and model.endpoints and model.endpoints[0].is_free
    )


@lru_cache(maxsize=16)
def _in_band(catalogue: Catalogue, tier: str) -> list[Model]:
    """Models whose price lies in the band, those that most providers serve first, then the newest."""
    priced = [
        model
        for model in catalogue.models.values()
        if model.kind == CHAT
        and "text" in model.output_modalities
        and model.endpoints
        and not model.endpoints[0].is_free
    ]
    priced.sort(key=lambda model: (model.cheapest.blend, model.id))
    low, high = _BANDS[tier]
    band = [model for place, model in enumerate(priced) if low <= place * 100 // len(priced) < high]
    return sorted(band, key=lambda model: (-model.breadth, -model.created_s, model.id))


def allows(allowed: tuple[str, ...] | None, ignored: tuple[str, ...], model_id: str) -> bool:
    """Whether patterns of an account let a model through; what is ignored wins."""
    if ignored and patterns(ignored).match(model_id):
        return False
    return allowed is None or patterns(allowed).match(model_id)


class Patterns:
    """Slugs in which `*` stands for anything. Matching takes time in proportion to the texts, whatever they are."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._exact = frozenset(one for one in texts if "*" not in one)
        self._split = [one.split("*") for one in texts if "*" in one]

    def match(self, text: str) -> bool:
        return text in self._exact or any(_matches(parts, text) for parts in self._split)


def _matches(parts: list[str], text: str) -> bool:
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


@lru_cache(maxsize=256)
def patterns(texts: tuple[str, ...]) -> Patterns:
    return Patterns(texts)
