"""The catalogue at one moment: prices that hold from a day on, and endpoints that their providers have ended.

Owns both. Does not know a clock. Invariant: between two moments of `next_change_s` the answer of `as_of` is the same.
"""

from dataclasses import replace

from services.router.core.catalogue import Catalogue, Endpoint

_DAY_S = 86_400


def as_of(catalogue: Catalogue, now_s: int, *, drops_ended: bool) -> Catalogue:
    """The catalogue with the prices of now, and without what has ended if it is really called."""
    changed = {}
    for model in catalogue.models.values():
        endpoints = [
            _priced(one, now_s) for one in model.endpoints if not (drops_ended and 0 < one.retires_s <= now_s - _DAY_S)
        ]
        if len(endpoints) < len(model.endpoints) or any(
            one is not old for one, old in zip(endpoints, model.endpoints, strict=False)
        ):
            changed[model.id] = replace(
                model, endpoints=tuple(endpoints), has_ended=bool(model.endpoints) and not endpoints
            )
    if not changed:
        return catalogue
    return catalogue.with_models(changed.get(model.id, model) for model in catalogue.models.values())


def _priced(endpoint: Endpoint, now_s: int) -> Endpoint:
    holding = [price for moment, price in endpoint.price_changes if moment <= now_s]
    return replace(endpoint, price=holding[-1]) if holding else endpoint


def next_change_s(catalogue: Catalogue, now_s: int) -> int | None:
    """When `as_of` will give another answer; None: never."""
    moments = [
        moment
        for model in catalogue.models.values()
        for one in model.endpoints
        for moment in (*(at for at, _ in one.price_changes), one.retires_s + _DAY_S if one.retires_s else 0)
        if moment > now_s
    ]
    return min(moments, default=None)
