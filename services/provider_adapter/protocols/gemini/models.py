"""What Gemini's models can do, by their names (wire facts §4).

Owns the table. Does not know prices or context lengths. Invariant: a name that nobody has listed gets the newest
Gemini's traits.
"""

import re
from enum import Enum
from typing import NamedTuple


class Thinking(Enum):
    """How a model is told to think."""

    NONE = "it cannot"
    BUDGET = "thinkingBudget"
    LEVEL = "thinkingLevel"


class Traits(NamedTuple):
    """One model's abilities.

    Attributes:
        output_limit: tokens; more is refused.
        least_budget: tokens; 0: thinking can be switched off.
        levels: weakest first.
        system: whether `systemInstruction` is known.
        json_with_tools: whether structured output and tools go together.
        signs_calls: calls without their thought signature are refused.
    """

    output_limit: int = 65_536
    thinking: Thinking = Thinking.NONE
    least_budget: int = 0
    most_budget: int = 24_576
    off: bool = True
    levels: tuple[str, ...] = ()
    system: bool = True
    json_with_tools: bool = False
    signs_calls: bool = False


_VERSION = re.compile(r"gemini-(?P<major>\d{1,2})(?:\.(?P<minor>\d{1,2}))?")
_ALL_LEVELS = ("minimal", "low", "medium", "high")
_ORDER = (*_ALL_LEVELS, "xhigh", "max")


def traits_of(model: str) -> Traits:
    """The traits of a provider's model id."""
    name = model.lower().rpartition("/")[2]
    if name.startswith("gemma"):
        return Traits(32_768 if name.startswith("gemma-4") else 8_192, system=False)
    found = _VERSION.match(name)
    version = (int(found["major"]), int(found["minor"] or 0)) if found else _version_of_alias(name)
    if version < (2, 5):
        return Traits(8_192)
    if version < (3, 0):
        return _of_2_5(name)
    return Traits(
        32_768 if "pro-image" in name else 65_536 if version < (4, 0) else 1_048_576,
        thinking=Thinking.LEVEL,
        levels=_levels(name, version),
        json_with_tools=True,
        signs_calls=True,
    )


def nearest_level(effort: str, levels: tuple[str, ...]) -> str:
    """The level that comes closest to what the caller asked for, the stronger of two."""
    wanted = _ORDER.index(effort)
    return min(levels, key=lambda known: (abs(_ORDER.index(known) - wanted), -_ORDER.index(known)))


def _version_of_alias(name: str) -> tuple[int, int]:
    return (2, 5) if name.endswith("-latest") and "flash" in name else (3, 99)


def _of_2_5(name: str) -> Traits:
    if "image" in name:
        return Traits(32_768)
    if "lite" in name:
        return Traits(thinking=Thinking.BUDGET, least_budget=512)
    if "pro" in name:
        return Traits(thinking=Thinking.BUDGET, least_budget=128, most_budget=32_768, off=False)
    return Traits(thinking=Thinking.BUDGET)


def _levels(name: str, version: tuple[int, int]) -> tuple[str, ...]:
    if "image" in name:
        return ("minimal", "high") if "flash" in name else ("low", "high")
    if "pro" in name:
        return ("low", "high") if version == (3, 0) else ("low", "medium", "high")
    return _ALL_LEVELS
