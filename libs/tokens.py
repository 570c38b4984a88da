"""Token counts made here: for holds, and for bills where the provider gave no figures.

Owns the encoding (o200k_base, whose tables ship in the wheel). Invariant: counting takes bounded time whatever the size.

Loads the compiled part of bpe-openai alone: the package's own `__init__` builds tables for a tiktoken-like interface
that cost 0.4 s and 70 MB, and counting needs none of them. tests/unit/libs/test_tokens.py compares both.
"""

from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Protocol

_EXACT_CHARACTERS = 65_536
_EXACT_CHARACTERS_IN_ALL = 262_144


class _Tokenizer(Protocol):
    def count(self, text: str) -> int: ...


class TokenCounter:
    """Counts tokens of text: exactly up to 64 Ki characters, beyond that by the density of those."""

    def __init__(self) -> None:
        self._tokenizer = _load("o200k_base")

    def count(self, text: str) -> int:
        if len(text) <= _EXACT_CHARACTERS:
            return self._tokenizer.count(text)
        sample = self._tokenizer.count(text[:_EXACT_CHARACTERS])
        return -(-sample * len(text) // _EXACT_CHARACTERS)

    def count_each(self, texts: Sequence[str]) -> list[int]:
        """The count of each of many texts: exactly for the first 256 Ki characters, the rest by the density of those."""
        counts: list[int] = []
        tokens = characters = 0
        for text in texts:
            if characters > _EXACT_CHARACTERS_IN_ALL:
                counts.append(-(-tokens * len(text) // characters))
                continue
            counts.append(self.count(text))
            tokens += counts[-1]
            characters += len(text)
        return counts


def _load(encoding: str) -> _Tokenizer:
    package = find_spec("bpe_openai")
    if package is None or not package.submodule_search_locations:
        raise ImportError("bpe-openai is not installed")
    folder = Path(package.submodule_search_locations[0])
    binary = next(folder.glob("_bindings.*.so"), None) or next(folder.glob("_bindings*.pyd"), None)
    spec = spec_from_file_location("_bindings", binary) if binary else None
    if spec is None or spec.loader is None:
        raise ImportError("bpe-openai has no compiled bindings here")
    bindings = module_from_spec(spec)
    spec.loader.exec_module(bindings)
    tokenizer: _Tokenizer = bindings.tokenizer_for_encoding(encoding)
    return tokenizer
