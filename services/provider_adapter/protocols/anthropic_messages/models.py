"""What models behind the Messages format can do, by their names (wire facts §3).

Owns the table. Does not know prices or context lengths. Invariant: a name that nobody has listed gets the newest
Claude's traits if it says Claude, and the format's plain core if it does not.
"""

import re
from enum import Enum
from typing import NamedTuple


class Thinking(Enum):
    """How a model is told to think."""

    NONE = "it cannot"
    BUDGET = "enabled, with a budget"
    ADAPTIVE = "adaptive, with an effort"


class Sampling(Enum):
    """Which of temperature, top_p and top_k a model takes."""

    ALL = "all"
    ONE = "temperature or top_p"
    NONE = "none"


class Traits(NamedTuple):
    """One model's abilities.

    Attributes:
        output_limit: tokens; asked for when nobody set a limit.
        clamps: a limit beyond `output_limit` is refused.
        efforts: levels of `output_config.effort`, weakest first; empty: the field is unknown.
        schemas: whether `output_config.format` and strict tools are known.
        display: whether thinking has to be asked for to be seen.
        tiers: whether `service_tier` is known.
    """

    output_limit: int
    clamps: bool = True
    thinking: Thinking = Thinking.NONE
    sampling: Sampling = Sampling.ALL
    efforts: tuple[str, ...] = ()
    schemas: bool = False
    display: bool = False
    tiers: bool = True


_FAMILY_FIRST = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?(?!\d)")
_VERSION_FIRST = re.compile(r"claude-(?:v|instant-)?(?P<major>\d)(?:[-.](?P<minor>\d))?(?!\d)(?:-(?P<family>[a-z]+))?")
_OTHERS = Traits(32_000, clamps=False, thinking=Thinking.BUDGET, tiers=False)
_NEWEST_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_EFFORT_ORDER = ("minimal", *_NEWEST_EFFORTS)


def traits_of(model: str) -> Traits:
    """The traits of a provider's model id."""
    name = model.lower()
    if "claude" not in name:
        return _OTHERS
    found = _FAMILY_FIRST.search(name) or _VERSION_FIRST.search(name)
    if found is None:
        return _of_version("", (99, 0))
    return _of_version(found["family"] or "", (int(found["major"]), int(found["minor"] or 0)))


def nearest_effort(effort: str, efforts: tuple[str, ...]) -> str:
    """The level that comes closest to what the caller asked for, the stronger of two."""
    wanted = _EFFORT_ORDER.index(effort) if effort in _EFFORT_ORDER else 2
    return min(efforts, key=lambda known: (abs(_EFFORT_ORDER.index(known) - wanted), -_EFFORT_ORDER.index(known)))


def _of_version(family: str, version: tuple[int, int]) -> Traits:
    if version >= (4, 7):
        return Traits(
            128_000,
            thinking=Thinking.ADAPTIVE,
            sampling=Sampling.NONE,
            efforts=_NEWEST_EFFORTS,
            schemas=True,
            display=True,
        )
    if version >= (4, 6):
        limit = 128_000 if family == "opus" else 64_000
        efforts = ("low", "medium", "high", "max")
        return Traits(limit, thinking=Thinking.ADAPTIVE, sampling=Sampling.ONE, efforts=efforts, schemas=True)
    if version >= (4, 5):
        traits = Traits(64_000, thinking=Thinking.BUDGET, sampling=Sampling.ONE, schemas=True)
        return traits._replace(efforts=("low", "medium", "high")) if family == "opus" else traits
    if version >= (3, 7):
        sampling = Sampling.ONE if version >= (4, 1) else Sampling.ALL
        return Traits(32_000 if family == "opus" else 64_000, thinking=Thinking.BUDGET, sampling=sampling)
    return Traits(8_192 if version >= (3, 5) else 4_096)
