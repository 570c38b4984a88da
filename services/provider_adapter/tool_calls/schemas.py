"""Tools' schemas made ready to judge by, kept while they are in use: an agent sends the same ones with every turn.

Owns which schemas can be used, and the one place that knows the library. Invariants: nothing is ever fetched; judging is
bounded in time, by refusing beforehand what could take long; a schema that cannot be used is nobody's fault.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson
from jsonschema_rs import Draft7Validator, ReferencingError, RegexOptions

from services.provider_adapter.tool_calls.weights import UnusableSchemaError, Weight, weigh

MOST_SCHEMA_BYTES: Final = 16 * 1024
MOST_KEPT: Final = 256
MOST_WORK: Final = 4000
"""Pairs of a subschema and a part of the arguments. The dearest kind takes 0.4 µs, the usual ones a tenth of that."""
MOST_SEARCHED: Final = 2048
"""Characters of arguments times patterns. The engine is linear; the worst patterns that it takes need 1 µs for each."""
MOST_MADE: Final = 3
"""Schemas made ready for one reply; 0.2 ms each as they are written, some 4 ms for the worst. The next reply finds them."""
_CHARACTERS_PER_PART: Final = 256
"""Of a long text, that are counted in the time that a part takes."""
_PATTERNS: Final = RegexOptions(size_limit=8192, dfa_size_limit=8192)
_ANYTHING: Final[Mapping[str, Any]] = {}
_PANIC: Final = "PanicException"


class Patience:
    """What is left of the time that one reply may take."""

    __slots__ = ("made", "searched", "work")

    def __init__(self) -> None:
        self.work = MOST_WORK
        self.searched = MOST_SEARCHED
        self.made = MOST_MADE


class Schema(NamedTuple):
    """A schema that can be used."""

    validator: Draft7Validator
    weight: Weight

    def fits(self, arguments: dict[str, Any], length: int, patience: Patience) -> bool | None:
        """Whether arguments fit; None: to find out could take too long.

        Args:
            arguments: as parsed.
            length: of their text.
            patience: some of it is used up.
        """
        weight = self.weight
        parts = length // _CHARACTERS_PER_PART + _parts_of(arguments, patience.work // weight.subschemas)
        patience.work -= parts * weight.subschemas
        patience.searched -= length * weight.patterns
        if patience.work < 0 or patience.searched < 0:
            return None
        try:
            return self.validator.is_valid(arguments)
        except ValueError:
            return None
        except BaseException as error:
            if not _is_panic(error):
                raise
            return None


class Schemas:
    """Those in use, by their text; the ones that were used last stay."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Schema | None] = {}

    def find(self, parameters: Any, patience: Patience) -> Schema | None:
        """What a tool's `parameters` say, None of them being a tool that takes anything; None: it cannot be used now."""
        try:
            text = orjson.dumps(_ANYTHING if parameters is None else parameters)
        except orjson.JSONEncodeError:  # nests too deeply
            return None
        if len(text) > MOST_SCHEMA_BYTES:
            return None
        key = blake2b(text, digest_size=16).digest()
        if key in self._kept:
            found = self._kept.pop(key)
        else:
            patience.made -= 1
            if patience.made < 0:
                return None
            found = _make(_ANYTHING if parameters is None else parameters)
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = found
        return found


def _make(parameters: Any) -> Schema | None:
    if not isinstance(parameters, dict):
        return None
    try:
        weight = weigh(parameters)
        if weight.subschemas > MOST_WORK:
            return None
        validator = Draft7Validator(parameters, pattern_options=_PATTERNS, validate_formats=False, offline=True)
    except (UnusableSchemaError, ValueError, ReferencingError):
        return None
    except BaseException as error:
        if not _is_panic(error):
            raise
        return None
    return Schema(validator, weight)


def _is_panic(error: BaseException) -> bool:
    """A fault of the library comes as an exception that is no `Exception`, and must not end the process."""
    return type(error).__name__ == _PANIC


def _parts_of(value: Any, enough: int) -> int:
    """How many parts arguments have, names included; of more than enough no exact number."""
    count, waiting = 1, [value]
    while waiting and count <= enough:
        one = waiting.pop()
        if isinstance(one, dict):
            count += 2 * len(one)
            waiting += one.values()
        elif isinstance(one, list):
            count += len(one)
            waiting += one
    return count
