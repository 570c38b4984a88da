"""What a model name asks for besides the model: shortcuts behind a colon, and names that choose a model.

Owns the names of shortcuts and router models (reference behaviour-facts §1.5). Does not choose models (routers.py does).
Invariant: a name of the catalogue is that model, whatever it looks like.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from libs.errors import AppError, Kind
from services.router.core.catalogue import Catalogue, Model
from services.router.core.wishes import Features, Preferences, Sort

AUTHOR: Final = "switchyard"
"""The author of our own router models; the reference's names mean the same."""
_SHOWN_LENGTH: Final = 200
_MOST_SHORTCUTS: Final = 4


class Shortcut(StrEnum):
    """What may follow any model's name; each stands for preferences."""

    NITRO = "nitro"
    FLOOR = "floor"
    EXACTO = "exacto"
    ONLINE = "online"


class RouterModel(StrEnum):
    """Names that choose a model; the value is also the public word for the strategy (reference §22)."""

    AUTO = "auto"
    FREE = "free"

    @property
    def slug(self) -> str:
        return f"{AUTHOR}/{self.value}"


_SHORTCUTS: Final = frozenset(Shortcut)
_ROUTERS: Final = {f"{author}/{one.value}": one for author in (AUTHOR, "openrouter") for one in RouterModel}


class Named(NamedTuple):
    """One name of a request: a model, or what chooses one, and the shortcuts behind it."""

    name: str
    target: Model | RouterModel
    shortcuts: tuple[Shortcut, ...] = ()


def read_name(name: str, catalogue: Catalogue) -> Named:
    """What a name means.

    Raises:
        AppError: nothing (MODEL_UNKNOWN), or a free variant of a model that has none.
    """
    bare = name
    shortcuts: list[Shortcut] = []
    while len(shortcuts) < _MOST_SHORTCUTS:
        target = catalogue.by_name.get(bare) or _ROUTERS.get(bare)
        if target is not None:
            return Named(name, target, tuple(shortcuts))
        bare, colon, suffix = bare.rpartition(":")
        if not colon or suffix not in _SHORTCUTS:
            break
        shortcuts.append(Shortcut(suffix))
    raise _unknown(name, catalogue)


def _unknown(name: str, catalogue: Catalogue) -> AppError:
    shown = name[:_SHOWN_LENGTH]
    base = name.removesuffix(":free")
    if base != name and base in catalogue.by_name:
        return AppError(
            Kind.MISSING,
            "FREE_VARIANT_ENDED",
            f"{shown} is not offered free of charge (any more); {base} is.",
            {"availability": "free_variant_ended", "requested_models": shown, "fallback_models": base},
        )
    return AppError(
        Kind.INVALID,
        "MODEL_UNKNOWN",
        f"{shown} is not a valid model ID",
        {"availability": "model_not_found", "requested_models": shown},
    )


def shown(name: str) -> str:
    """A name as errors may repeat it."""
    return name[:_SHOWN_LENGTH]


def with_shortcuts(
    features: Features, preferences: Preferences, shortcuts: tuple[Shortcut, ...]
) -> tuple[Features, Preferences]:
    """What the shortcuts add; what the caller wrote in `provider` stands."""
    for one in shortcuts:
        if one is Shortcut.NITRO:
            preferences = _sorted(preferences, Sort.THROUGHPUT)._replace(tiers=preferences.tiers | {"priority"})
        elif one is Shortcut.FLOOR:
            preferences = _sorted(preferences, Sort.PRICE)._replace(tiers=preferences.tiers | {"flex"})
        elif one is Shortcut.EXACTO:
            preferences = _sorted(preferences, Sort.EXACTO)
        else:
            features = features._replace(searches_web=True)
    return features, preferences


def _sorted(preferences: Preferences, sort: Sort) -> Preferences:
    return preferences if preferences.sort is not None else preferences._replace(sort=sort)
