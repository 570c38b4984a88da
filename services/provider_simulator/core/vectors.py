"""Makes up vectors and relevance: the same text gives the same numbers, texts that share words lie nearer one another.

Owns the making-up. Does not own wire formats. Invariant: numbers depend on nothing but the text and the dimensions.
"""

import hashlib
import math
import re
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_PRECISION = 6


def vector_of(text: str, dimensions: int) -> list[float]:
    """A vector of length 1: the sum of its words' directions."""
    sums = [0.0] * dimensions
    for word in _words(text) or {text}:
        seed = hashlib.sha256(word.encode("utf-8", "replace")).digest()
        for step in range(4):
            place = int.from_bytes(seed[8 * step : 8 * step + 7], "big") % dimensions
            sums[place] += 1.0 if seed[8 * step + 7] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in sums)) or 1.0
    if not any(sums):
        sums[0] = 1.0
    return [round(value / length, _PRECISION) for value in sums]


def relevance_of(query: str, documents: Iterable[str]) -> list[float]:
    """The share of the query's words that each document has, never quite 0 or 1."""
    wanted = _words(query)
    return [round(0.01 + 0.98 * len(wanted & _words(text)) / (len(wanted) or 1), _PRECISION) for text in documents]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
