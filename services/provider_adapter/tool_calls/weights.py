"""How much work a JSON schema can make, found before anyone does the work: schemas are callers' and may be bombs.

Owns the bounds on schemas and the estimate of what judging by one costs. Does not judge. Invariant: for no part of the
arguments is the estimate below the number of subschemas that a validator may have to hold against it; it is found in
time that grows with the text of the schema, not with what its references unfold to.

One part of the arguments meets few subschemas as long as a schema only describes: its own one. It meets many where
`anyOf` and its kind, references to them, or patterns of names lead to the same place. A weight is the most that any one
part can meet, at any depth. Recursive references have no such bound and are refused.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

MOST_SUBSCHEMAS: Final = 400
MOST_NESTED: Final = 32
MOST_PATTERN_CHARACTERS: Final = 512
_CHECKED_NAMES: Final = 4
"""Names that are looked up in the time that a subschema takes."""


class UnusableSchemaError(ValueError):
    """Nobody is judged by this schema."""


class Weight(NamedTuple):
    """Attributes:
    subschemas: the most that one part of the arguments can meet; those with long lists count more.
    patterns: the most that one text in the arguments can meet.
    """

    subschemas: int
    patterns: int


def weigh(schema: Mapping[str, Any]) -> Weight:
    """The weight of a schema.

    Raises:
        UnusableSchemaError: it is too large or too deep, recursive, refers to anything but its own parts, or says what
            draft 7 would understand otherwise.
    """
    weighing = _Weighing(schema, _lists_of)
    subschemas = max(weighing.depths(schema))
    # Lists that are searched for equals: all that is below them is looked at again, by each of them.
    again = sum(_Weighing(schema, _searches_of).depths(schema)) if weighing.searches else 0
    patterns = max(_Weighing(schema, _patterns_of).depths(schema)) if weighing.pattern_characters else 0
    return Weight(subschemas + again, patterns)


class _Role(Enum):
    """What a keyword's value is, among those that hold subschemas."""

    ALONGSIDE = auto()
    """A subschema that is held against the same part."""
    ALL_ALONGSIDE = auto()
    DEPENDENCIES = auto()
    REFERENCE = auto()
    INTO = auto()
    """A subschema that is held against parts one deeper."""
    ALL_INTO = auto()
    EACH_INTO = auto()
    """Subschemas of which each is held against a part of its own."""
    ITEMS = auto()
    STOP = auto()


_ROLES: Final[Mapping[str, _Role]] = {
    "allOf": _Role.ALL_ALONGSIDE,
    "anyOf": _Role.ALL_ALONGSIDE,
    "oneOf": _Role.ALL_ALONGSIDE,
    "not": _Role.ALONGSIDE,
    "if": _Role.ALONGSIDE,
    "then": _Role.ALONGSIDE,
    "else": _Role.ALONGSIDE,
    "dependencies": _Role.DEPENDENCIES,
    "$ref": _Role.REFERENCE,
    "additionalProperties": _Role.INTO,
    "additionalItems": _Role.INTO,
    "contains": _Role.INTO,
    "propertyNames": _Role.INTO,
    "patternProperties": _Role.ALL_INTO,
    "properties": _Role.EACH_INTO,
    "items": _Role.ITEMS,
    "$id": _Role.STOP,
    "prefixItems": _Role.STOP,
}
_HOLDING: Final = frozenset(_ROLES)
_COMPARING: Final = frozenset({"enum", "const", "required", "properties", "dependencies"})
_SEARCHING: Final = frozenset({"uniqueItems", "pattern", "patternProperties"})
_Depths = list[int]
"""By how deep below the part that a schema is held against: what a part there can meet."""
_NOTHING: Final[_Depths] = [0]


def _lists_of(schema: Mapping[str, Any]) -> int:
    """A subschema itself, and what it compares with one by one."""
    weight = 1
    if _COMPARING.isdisjoint(schema):
        return weight
    if "enum" in schema:
        weight += _count(schema["enum"])
    if "const" in schema:
        weight += _count(schema["const"])
    for name in ("required", "properties", "dependencies"):
        if name in schema:
            weight += _length(schema[name]) // _CHECKED_NAMES
    return weight


def _patterns_of(schema: Mapping[str, Any]) -> int:
    return ("pattern" in schema) + _length(schema.get("patternProperties"))


def _searches_of(schema: Mapping[str, Any]) -> int:
    return int("uniqueItems" in schema)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _count(value: Any) -> int:
    """How many parts a value has, itself included."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return count


class _Weighing:
    """One way through a schema.

    Args:
        root: the whole of it.
        own: what a subschema weighs by itself.

    Attributes:
        searches: whether lists are searched for equals.
        pattern_characters: of all patterns.
    """

    def __init__(self, root: Mapping[str, Any], own: Callable[[Mapping[str, Any]], int]) -> None:
        self._root = root
        self._own = own
        self._known: dict[int, _Depths] = {}
        self._open: set[int] = set()
        self.pattern_characters = 0
        self.searches = False

    def depths(self, schema: Any, nested: int = 0) -> _Depths:
        """Each subschema is looked at once, however many references lead to it."""
        if not isinstance(schema, dict):
            if isinstance(schema, bool):
                return _NOTHING
            raise UnusableSchemaError("a subschema is no object")
        key = id(schema)
        if key in self._known:
            return self._known[key]
        if key in self._open:
            raise UnusableSchemaError("recursive")
        if nested > MOST_NESTED or len(self._known) + len(self._open) >= MOST_SUBSCHEMAS:
            raise UnusableSchemaError("too large or too deep")
        if not _SEARCHING.isdisjoint(schema):
            self._note(schema)
        if _HOLDING.isdisjoint(schema):
            found = [self._own(schema)]
        else:
            self._open.add(key)
            found = self._unfolded(schema, nested + 1)
            self._open.remove(key)
        if len(found) > MOST_NESTED:
            raise UnusableSchemaError("too deep")
        self._known[key] = found
        return found

    def _note(self, schema: Mapping[str, Any]) -> None:
        if "uniqueItems" in schema:
            self.searches = True
        texts: list[Any] = [schema["pattern"]] if "pattern" in schema else []
        if "patternProperties" in schema:
            texts += _listed(schema["patternProperties"])
        self.pattern_characters += sum(len(text) for text in texts if isinstance(text, str))
        if self.pattern_characters > MOST_PATTERN_CHARACTERS:
            raise UnusableSchemaError("too many patterns")

    def _unfolded(self, schema: Mapping[str, Any], nested: int) -> _Depths:
        here, below = [self._own(schema)], [0]
        for name, value in schema.items():
            match _ROLES.get(name):
                case None:
                    continue
                case _Role.ALONGSIDE:
                    _add(here, self.depths(value, nested))
                case _Role.ALL_ALONGSIDE:
                    self._add_all(here, _listed(value), nested)
                case _Role.DEPENDENCIES:
                    self._add_all(here, (sub for sub in _values(value) if not isinstance(sub, list)), nested)
                case _Role.REFERENCE:
                    _add(here, self.depths(self._referred(value), nested))
                case _Role.INTO:
                    _add(below, self.depths(value, nested))
                case _Role.ALL_INTO:
                    self._add_all(below, _values(value), nested)
                case _Role.EACH_INTO:
                    self._add_largest(below, _values(value), nested)
                case _Role.ITEMS if isinstance(value, list):
                    self._add_largest(below, value, nested)
                case _Role.ITEMS:
                    _add(below, self.depths(value, nested))
                case _Role.STOP:
                    self._stop(name, value, schema)
        if len(below) > 1 or below[0]:
            _add(here, [0, *below])
        return here

    def _stop(self, name: str, value: Any, schema: Mapping[str, Any]) -> None:
        if name == "prefixItems" and isinstance(value, list):
            raise UnusableSchemaError("a later draft, in which `items` means something else")
        if name == "$id" and schema is not self._root:
            raise UnusableSchemaError("references from here may mean something else")

    def _add_all(self, total: _Depths, subs: Iterable[Any], nested: int) -> None:
        for sub in subs:
            _add(total, self.depths(sub, nested))

    def _add_largest(self, total: _Depths, subs: Iterable[Any], nested: int) -> None:
        largest = [0]
        for sub in subs:
            for depth, met in enumerate(self.depths(sub, nested)):
                if depth == len(largest):
                    largest.append(met)
                elif met > largest[depth]:
                    largest[depth] = met
        _add(total, largest)

    def _referred(self, reference: Any) -> Any:
        """Raises UnusableSchemaError for anything but a pointer into this schema."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise UnusableSchemaError("refers to another document")
        target: Any = self._root
        for part in unquote(reference).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isdecimal() and len(name) < 5 and int(name) < len(target):
                target = target[int(name)]
            else:
                raise UnusableSchemaError("refers to nothing")
            if isinstance(target, dict) and "$id" in target:
                raise UnusableSchemaError("references through here may mean something else")
        return target


def _add(total: _Depths, more: _Depths) -> None:
    for depth, met in enumerate(more):
        if depth == len(total):
            total.append(met)
        else:
            total[depth] += met


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | dict) else ()


def _values(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else ()
