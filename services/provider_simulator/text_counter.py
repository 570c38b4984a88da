"""Counts tokens of text as OpenAI's newer models do (o200k_base), with a bounded memory of recent texts.

Owns the memory and the slicing of long texts, which a real upstream counts in full. Does not know messages. Invariant:
the count of one text never depends on what was counted before.
"""

from functools import lru_cache

from libs.tokens import TokenCounter

_REMEMBERED_TEXTS = 4_096
_REMEMBERED_CHARACTERS = 4_096
_SLICE_CHARACTERS = 65_536


class TextCounter:
    """Counts texts; those beyond 64 Ki characters in slices, which may add a token at each seam."""

    def __init__(self) -> None:
        self._counter = TokenCounter()
        self._remembered = lru_cache(maxsize=_REMEMBERED_TEXTS)(self._counter.count)

    def count(self, text: str) -> int:
        if len(text) <= _REMEMBERED_CHARACTERS:
            return self._remembered(text)
        starts = range(0, len(text), _SLICE_CHARACTERS)
        return sum(self._counter.count(text[start : start + _SLICE_CHARACTERS]) for start in starts)
