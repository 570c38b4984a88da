"""What OpenAI's own models take, by their names (wire facts §1), wherever they are served.

Owns the table. Does not know prices, context lengths or the models of others. Invariant: a name that is none of
OpenAI's gets traits that change nothing.
"""

import re
from typing import NamedTuple

_GPT = re.compile(r"(?<![a-z0-9])gpt-?(?P<major>[3-9])(?:[.-](?P<minor>\d)(?![\d]))?")
_O = re.compile(r"(?<![a-z0-9])o(?P<major>[1-9])(?![\da-z])")
_ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_COMMON = ("low", "medium", "high")


class Traits(NamedTuple):
    """One model's abilities.

    Attributes:
        is_known: the name is one of OpenAI's.
        reasons: it thinks before it answers, and can hand its thoughts over encrypted.
        efforts: weakest first; none: it is not told how hard to think, or nobody knows.
        rests: it does not think unless it is told to.
        takes_system: whether system and developer messages are taken.
        takes_parallel: whether `parallel_tool_calls` is.
    """

    is_known: bool = False
    reasons: bool = False
    efforts: tuple[str, ...] = ()
    rests: bool = False
    takes_system: bool = True
    takes_parallel: bool = True

    @property
    def may_reason(self) -> bool:
        return self.reasons or not self.is_known

    def effort(self, asked: str) -> str | None:
        """The level that comes closest to what the caller asked for; None: the model takes none."""
        if not self.is_known:
            return asked
        if not self.efforts:
            return None
        return nearest_effort(asked, self.efforts)

    def thinks_at(self, effort: str | None) -> bool:
        """Whether it thinks at an effort, or without one: then it refuses sampling parameters."""
        if not self.reasons:
            return False
        return not self.rests if effort is None else effort != "none"


_UNKNOWN = Traits()
_PLAIN = Traits(is_known=True)


def nearest_effort(asked: str, levels: tuple[str, ...]) -> str:
    """The level that comes closest to what was asked for, the stronger of two; a word that nobody knows stays."""
    if asked not in _ORDER or asked in levels:
        return asked
    wanted = _ORDER.index(asked)
    return min(levels, key=lambda level: (abs(_ORDER.index(level) - wanted), -_ORDER.index(level)))


def traits_of(model: str) -> Traits:
    """The traits of a provider's model id."""
    name = model.lower().rpartition("/")[2]
    if "gpt-oss" in name:
        return _thinker(*_COMMON)
    if "codex-mini" in name and _GPT.search(name) is None:
        return _thinker(*_COMMON)
    found = _O.search(name)
    if found is not None:
        return _of_o(name)
    found = _GPT.search(name)
    if found is None:
        return _PLAIN if "chatgpt" in name else _UNKNOWN
    version = (int(found["major"]), int(found["minor"] or 0))
    return _of_gpt_5(name, version) if version >= (5, 0) else _PLAIN


def _of_o(name: str) -> Traits:
    early = "o1-mini" in name or "o1-preview" in name
    if early:
        return Traits(is_known=True, reasons=True, takes_system=False, takes_parallel=False)
    takes_parallel = not re.search(r"o1|o3-mini", name)
    return _thinker(*_COMMON)._replace(takes_parallel=takes_parallel)


def _of_gpt_5(name: str, version: tuple[int, int]) -> Traits:
    if "chat" in name:
        return _PLAIN
    if "pro" in name.split("-"):
        return _thinker("high") if version < (5, 2) else _thinker("medium", "high", "xhigh")
    if "codex" in name:
        return _thinker(*_COMMON, "xhigh") if version > (5, 1) or "codex-max" in name else _thinker(*_COMMON)
    if version == (5, 0):
        return _thinker("minimal", *_COMMON)
    levels = _thinker("none", *_COMMON) if version == (5, 1) else _thinker("none", *_COMMON, "xhigh")
    # From 5.5 on they think at medium unless they are told otherwise.
    return levels._replace(rests=version < (5, 5))


def _thinker(*efforts: str) -> Traits:
    return Traits(is_known=True, reasons=True, efforts=efforts)
