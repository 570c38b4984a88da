"""The independent count that the books of a gateway are checked against.

Owns the counters. Does not decide outcomes. Invariant: at rest, asked = answered + failed + cut for every model.
"""

from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import Any

_MAX_TALLIES = 20_000
_OVERFLOW = "(others)"


class Outcome(Enum):
    ANSWERED = auto()  # the whole reply was written while the caller was there
    FAILED = auto()  # an error, or a broken body
    CUT = auto()  # cut or silent by directive, or the caller went away


@dataclass(slots=True)
class Tally:
    """Counters of one provider's model; the tokens are those of answered requests alone."""

    asked: int = 0
    answered: int = 0
    failed: int = 0
    cut: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    search_units: int = 0

    def count_answered(self, prompt_tokens: int, completion_tokens: int, search_units: int = 0) -> None:
        self.answered += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.search_units += search_units

    def as_document(self) -> dict[str, int]:
        """Searches are there only where there were any."""
        counted = asdict(self)
        if not self.search_units:
            del counted["search_units"]
        return counted


class Statistics:
    """Tallies by provider and public model slug; beyond 20,000 models the rest share one tally per provider."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}

    def tally(self, provider: str, model: str) -> Tally:
        found = self._tallies.get((provider, model))
        if found is None:
            key = (provider, model if len(self._tallies) < _MAX_TALLIES else _OVERFLOW)
            found = self._tallies.setdefault(key, Tally())
        return found

    def as_document(self) -> dict[str, Any]:
        """`{"providers": {provider: {model: {"asked": n, …}}}}`."""
        providers: dict[str, dict[str, dict[str, int]]] = {}
        for (provider, model), tally in self._tallies.items():
            providers.setdefault(provider, {})[model] = tally.as_document()
        return {"providers": providers}
