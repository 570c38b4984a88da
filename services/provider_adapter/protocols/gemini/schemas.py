"""JSON schemas as the OpenAPI subset that Gemini takes (wire facts §4, §9.4).

Owns the conversion: references put in place, unknown words left out, types in capitals. Does not validate schemas.
Invariant: work and result are bounded; a schema that the subset cannot hold gives None.
"""

from collections.abc import Mapping
from typing import Any

_MOST_DEEP = 64
_MOST_NODES = 5_000
_KEPT = (
    "title",
    "description",
    "default",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "pattern",
    "example",
    "nullable",
)
_FORMATS: Mapping[str, frozenset[str]] = {
    "STRING": frozenset({"date-time", "enum"}),
    "INTEGER": frozenset({"int32", "int64"}),
    "NUMBER": frozenset({"float", "double"}),
}
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})


class _UnfitError(Exception):
    """The schema refers to itself, or is too large, or refers to nothing."""


def openapi_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema within the subset; None if it does not fit and has to go as plain JSON schema."""
    try:
        return _Converter(schema).convert(schema, (), 0)
    except _UnfitError:
        return None


class _Converter:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def convert(self, schema: Any, inside: tuple[str, ...], depth: int) -> dict[str, Any]:
        self._nodes += 1
        if depth > _MOST_DEEP or self._nodes > _MOST_NODES:
            raise _UnfitError
        if not isinstance(schema, dict):
            return {}
        pointer = schema.get("$ref")
        if isinstance(pointer, str):
            if pointer in inside:
                raise _UnfitError
            inside = (*inside, pointer)
            schema = {**self._referred(pointer), **{name: v for name, v in schema.items() if name != "$ref"}}
        if isinstance(schema.get("allOf"), list):
            schema = self._merged(schema, inside)
        made = {name: schema[name] for name in _KEPT if name in schema}
        self._set_type(made, schema, inside, depth)
        _set_values(made, schema)
        self._set_members(made, schema, inside, depth)
        return made

    def _referred(self, pointer: str) -> Mapping[str, Any]:
        target: Any = self._root
        for part in pointer.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise _UnfitError
            target = target[name]
        if not isinstance(target, dict) or target is self._root:
            raise _UnfitError
        return target

    def _merged(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        required: list[Any] = []
        own = {name: value for name, value in schema.items() if name != "allOf"}
        for part in [*schema["allOf"], own]:
            pointer = part.get("$ref") if isinstance(part, dict) else None
            if pointer in inside:
                raise _UnfitError
            told = self._referred(pointer) if isinstance(pointer, str) else part
            if not isinstance(told, dict):
                continue
            merged |= told
            properties |= told["properties"] if isinstance(told.get("properties"), dict) else {}
            required += told["required"] if isinstance(told.get("required"), list) else []
        merged.pop("allOf", None)
        merged.pop("$ref", None)
        if properties:
            merged |= {"properties": properties, "required": required}
        return merged

    def _set_type(self, made: dict[str, Any], schema: Mapping[str, Any], inside: tuple[str, ...], depth: int) -> None:
        kind = schema.get("type")
        kinds = [name for name in (kind if isinstance(kind, list) else [kind]) if isinstance(name, str)]
        if "null" in kinds:
            made["nullable"] = True
        named = [name for name in kinds if name in _TYPES]
        options = next((schema[n] for n in ("anyOf", "oneOf") if isinstance(schema.get(n), list) and schema[n]), None)
        if options is not None:
            self._set_options(made, options, inside, depth)
        elif len(named) > 1:
            made["anyOf"] = [self.convert({**schema, "type": name}, inside, depth + 1) for name in named]
        elif named:
            made["type"] = named[0].upper()
        elif "properties" in schema:
            made["type"] = "OBJECT"
        elif "items" in schema:
            made["type"] = "ARRAY"
        elif isinstance(schema.get("enum"), list) or isinstance(schema.get("const"), str):
            made["type"] = "STRING"

    def _set_options(self, made: dict[str, Any], options: list[Any], inside: tuple[str, ...], depth: int) -> None:
        real = [option for option in options if not _is_null(option)]
        if len(real) < len(options):
            made["nullable"] = True
        converted = [self.convert(option, inside, depth + 1) for option in real]
        if len(converted) == 1:
            made.update({name: value for name, value in converted[0].items() if name not in made})
        elif converted:
            made["anyOf"] = converted

    def _set_members(
        self, made: dict[str, Any], schema: Mapping[str, Any], inside: tuple[str, ...], depth: int
    ) -> None:
        properties = schema.get("properties")
        if made.get("type") == "OBJECT" and isinstance(properties, dict) and properties and "properties" not in made:
            made["properties"] = {name: self.convert(v, inside, depth + 1) for name, v in properties.items()}
            required = schema.get("required")
            needed = [name for name in required if name in properties] if isinstance(required, list) else []
            if needed:
                made["required"] = needed
        if made.get("type") == "ARRAY" and "items" not in made:
            items = schema.get("items", {})
            # An array must say of what; strings are the least surprise.
            made["items"] = self.convert(items, inside, depth + 1) or {"type": "STRING"}


def _set_values(made: dict[str, Any], schema: Mapping[str, Any]) -> None:
    kind = made.get("type")
    values = schema.get("enum") if isinstance(schema.get("enum"), list) else None
    if values is None and "const" in schema:
        values = [schema["const"]]
    if kind == "STRING" and values:
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            made["enum"] = texts
    if schema.get("format") in _FORMATS.get(kind or "", ()):
        made["format"] = schema["format"]


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"
