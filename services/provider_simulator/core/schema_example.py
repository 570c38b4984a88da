"""Makes up JSON that fits a JSON schema, roughly: required properties, by type and the simpler bounds.

Owns the making-up. Does not validate schemas: what it does not understand it passes over. Invariant: the work and the
result are bounded whatever the schema, recursive ones included.
"""

import math
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 24
_MAX_NODES = 2_000
_MAX_ITEMS = 64
_MAX_CHARACTERS = 1_000
_FORMATS: Mapping[str, str] = {
    "date": "2025-06-01",
    "date-time": "2025-06-01T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example_of(schema: Mapping[str, Any]) -> Any:
    """A value that fits the schema as far as it is understood; None where the bounds on depth and size end it."""
    return _Maker(schema).make(schema, 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes_left = _MAX_NODES

    def make(self, schema: Any, depth: int) -> Any:
        self._nodes_left -= 1
        if depth > _MAX_DEPTH or self._nodes_left < 0:
            return None
        if not isinstance(schema, Mapping):
            return "example"
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        for key in ("enum", "examples"):
            if isinstance(schema.get(key), list) and schema[key]:
                return schema[key][0]
        composed = self._composed(schema)
        if composed is not None:
            return self.make(composed, depth + 1)
        return self._by_type(schema, depth)

    def _composed(self, schema: Mapping[str, Any]) -> Any:
        """What a reference or a composition comes down to; None if it is neither."""
        if isinstance(schema.get("$ref"), str):
            return self._referred(schema["$ref"])
        for key in ("anyOf", "oneOf"):
            options = schema.get(key)
            if isinstance(options, list) and options:
                return next((option for option in options if not _is_null(option)), options[0])
        if isinstance(schema.get("allOf"), list) and schema["allOf"]:
            return self._merged(schema)
        return None

    def _referred(self, pointer: str) -> Any:
        target: Any = self._root
        for part in pointer.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                return True
            target = target[name]
        return target

    def _merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        properties: dict[str, Any] = {}
        required: list[Any] = []
        for raw in (schema, *schema["allOf"][:_MAX_ITEMS]):
            part = self._referred(raw["$ref"]) if isinstance(raw, Mapping) and isinstance(raw.get("$ref"), str) else raw
            if not isinstance(part, Mapping):
                continue
            merged |= {key: value for key, value in part.items() if key != "allOf"}
            properties |= _properties(part)
            required += _required(part)
        if properties:
            merged |= {"properties": properties, "required": required}
        return merged

    def _by_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        match _type_of(schema):
            case "object":
                properties = _properties(schema)
                names = [name for name in _required(schema) if isinstance(name, str)]
                return {name: self.make(properties.get(name), depth + 1) for name in names[:_MAX_NODES]}
            case "array":
                return self._array(schema, depth)
            case kind:
                return _scalar(kind, schema)

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        prefix = schema.get("prefixItems")
        if isinstance(prefix, list):
            return [self.make(item, depth + 1) for item in prefix[:_MAX_ITEMS]]
        count = min(max(1, _size(schema, "minItems", 1)), _size(schema, "maxItems", _MAX_ITEMS), _MAX_ITEMS)
        return [self.make(schema.get("items"), depth + 1) for _ in range(count)]


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _required(schema: Mapping[str, Any]) -> list[Any]:
    required = schema.get("required")
    return required if isinstance(required, list) else []


def _type_of(schema: Mapping[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = next((name for name in declared if name != "null"), "null")
    if isinstance(declared, str):
        return declared
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _bound(schema: Mapping[str, Any], key: str) -> float | None:
    value = schema.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
    return value if usable else None


def _size(schema: Mapping[str, Any], key: str, otherwise: int) -> int:
    value = _bound(schema, key)
    return otherwise if value is None else max(0, int(value))


def _scalar(kind: str, schema: Mapping[str, Any]) -> Any:
    match kind:
        case "integer":
            return math.ceil(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema)


def _number(schema: Mapping[str, Any]) -> float:
    least, above = _bound(schema, "minimum"), _bound(schema, "exclusiveMinimum")
    most, below = _bound(schema, "maximum"), _bound(schema, "exclusiveMaximum")
    value: float = 1
    if above is not None:
        value = max(value, math.floor(above) + 1)
    if least is not None:
        value = max(value, least)
    if most is not None:
        value = min(value, most)
    if below is not None and value >= below:
        value = math.ceil(below) - 1
    return value


def _string(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "example")
    least = min(_size(schema, "minLength", 0), _MAX_CHARACTERS)
    return text.ljust(least, "x")[: _size(schema, "maxLength", _MAX_CHARACTERS)]
