"""How much work a JSON schema can make, found before anyone does the work: schemas are callers' and may be bombs.

Owns the bounds on schemas and the estimate of what judging by one costs. Does not judge. Invariant: for no part of the
arguments is the estimate below the number of subschemas that a validator may have to hold against it; it is found in
time that grows with the text of the schema, not with what its references unfold to.

One part of the arguments meets few subschemas as long as a schema only describes: its own one. It meets many where
`anyOf` and its kind, references to them, or patterns of names lead to the same place. A weight is the most that any one
part can meet, at any depth. Recursive references have no such bound and are refused.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

MOST_SUBSCHEMAS: Final = 300
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


def _one(value: Any) -> Iterable[Any]:
    return (value,)


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _named(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else ()


def _conditional(value: Any) -> Iterable[Any]:
    """Of dependencies, those that are no lists of names."""
    return [sub for sub in _named(value) if not isinstance(sub, list)]


class _Role(NamedTuple):
    """How a keyword holds subschemas.

    Attributes:
        subs: of the keyword's value.
        goes_into: they are held against parts one deeper.
        is_each: of which every one has a part of its own.
    """

    subs: Callable[[Any], Iterable[Any]]
    goes_into: bool = False
    is_each: bool = False


_ITEM: Final = _Role(_one, goes_into=True)
_ITEMS: Final = _Role(_listed, goes_into=True, is_each=True)
_ROLES: Final[Mapping[str, _Role]] = {
    "allOf": _Role(_listed),
    "anyOf": _Role(_listed),
    "oneOf": _Role(_listed),
    "not": _Role(_one),
    "if": _Role(_one),
    "then": _Role(_one),
    "else": _Role(_one),
    "dependencies": _Role(_conditional),
    "$ref": _Role(_one),
    "additionalProperties": _Role(_one, goes_into=True),
    "additionalItems": _Role(_one, goes_into=True),
    "contains": _Role(_one, goes_into=True),
    "propertyNames": _Role(_one, goes_into=True),
    "patternProperties": _Role(_named, goes_into=True),
    "properties": _Role(_named, goes_into=True, is_each=True),
    "items": _ITEM,
}
_HOLDING: Final = frozenset(_ROLES)
_REFUSED: Final = frozenset({"$id", "prefixItems"})
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
        if not _REFUSED.isdisjoint(schema):
            self._refuse(schema)
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
        texts = [schema.get("pattern")]
        if isinstance(schema.get("patternProperties"), dict):
            texts += schema["patternProperties"]
        self.pattern_characters += sum(len(text) for text in texts if isinstance(text, str))
        if self.pattern_characters > MOST_PATTERN_CHARACTERS:
            raise UnusableSchemaError("too many patterns")

    def _refuse(self, schema: Mapping[str, Any]) -> None:
        if isinstance(schema.get("prefixItems"), list):
            raise UnusableSchemaError("a later draft, in which `items` means something else")
        if "$id" in schema and schema is not self._root:
            raise UnusableSchemaError("references from here may mean something else")

    def _unfolded(self, schema: Mapping[str, Any], nested: int) -> _Depths:
        here, below = [self._own(schema)], [0]
        for name, value in schema.items():
            role = _ROLES.get(name)
            if role is None:
                continue
            if role is _ITEM and isinstance(value, list):
                role = _ITEMS
            subs = role.subs(self._referred(value) if name == "$ref" else value)
            found = [self.depths(sub, nested) for sub in subs]
            if role.is_each:
                found = [_largest(found)]
            for one in found:
                _add(below if role.goes_into else here, one)
        if len(below) > 1 or below[0]:
            _add(here, [0, *below])
        return here

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


def _largest(several: Iterable[_Depths]) -> _Depths:
    largest = [0]
    for one in several:
        for depth, met in enumerate(one):
            if depth == len(largest):
                largest.append(met)
            elif met > largest[depth]:
                largest[depth] = met
    return largest


def _add(total: _Depths, more: _Depths) -> None:
    for depth, met in enumerate(more):
        if depth == len(total):
            total.append(met)
        else:
            total[depth] += met
