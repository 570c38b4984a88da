"""JSON schemas in the subset that the strictest formats take: references put in place, one type each.

Owns the subset. Does not validate schemas. Invariant: work and result are bounded; every object has `properties`; what
the subset has no word for is left open rather than refused.

Sources: GigaChat's SDK (`LegacyFunctionParameters`: type, description, items, enum, properties, required) and what
langchain-gigachat's `function_calling.py` makes of schemas before it sends them; for Oracle's hosts LiteLLM's
`oci/chat/generic.py`, which puts `$ref` in place and resolves `anyOf` for the same reason.
"""

from collections.abc import Mapping
from typing import Any

from libs.errors import AppError, Kind

_MOST_DEEP = 64
_MOST_NODES = 5_000
_KEPT = ("description", "enum", "title", "default", "format", "minimum", "maximum", "minItems", "maxItems", "pattern")
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})


def function_schema(schema: Any) -> dict[str, Any]:
    """The schema of a function's parameters; an object in any case.

    Raises:
        AppError: it nests too deeply.
    """
    root = schema if isinstance(schema, dict) else {}
    made = _Narrowing(root).narrow(root, (), 0)
    return {**made, "type": "object", "properties": made.get("properties", {})}


class _Narrowing:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def narrow(self, schema: Any, inside: tuple[str, ...], depth: int) -> dict[str, Any]:
        self._nodes += 1
        if depth > _MOST_DEEP:
            raise AppError(Kind.INVALID, "INVALID_BODY", "The request body nests too deeply.")
        if not isinstance(schema, dict) or self._nodes > _MOST_NODES:
            return {}
        schema, inside = self._resolved(schema, inside)
        made = {name: schema[name] for name in _KEPT if name in schema}
        if "const" in schema:
            made["enum"] = [schema["const"]]
        kind = _type_of(schema)
        if kind:
            made["type"] = kind
        properties = schema.get("properties")
        if kind == "object":
            listed = properties if isinstance(properties, dict) else {}
            made["properties"] = {name: self.narrow(value, inside, depth + 1) for name, value in listed.items()}
            required = schema.get("required")
            if isinstance(required, list) and required:
                made["required"] = [name for name in required if name in listed]
        if kind == "array":
            made["items"] = self.narrow(schema.get("items"), inside, depth + 1) or {"type": "string"}
        return made

    def _resolved(self, schema: dict[str, Any], inside: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The schema with what it refers to, or the first of what it may be; what refers to itself is left open."""
        for _ in range(_MOST_DEEP):
            own = {name: value for name, value in schema.items() if name not in {"$ref", "anyOf", "oneOf", "allOf"}}
            pointer = schema.get("$ref")
            if isinstance(pointer, str):
                if pointer in inside:
                    return own, inside
                inside = (*inside, pointer)
                schema = {**self._referred(pointer), **own}
                continue
            options = next((schema[n] for n in ("anyOf", "oneOf", "allOf") if isinstance(schema.get(n), list)), None)
            if options is None:
                return schema, inside
            real = [one for one in options if isinstance(one, dict) and one.get("type") != "null"]
            schema = {**(real[0] if real else {}), **own}
        return {}, inside

    def _referred(self, pointer: str) -> Mapping[str, Any]:
        target: Any = self._root
        for part in pointer.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        return target if isinstance(target, dict) and target is not self._root else {}


def _type_of(schema: Mapping[str, Any]) -> str:
    told = schema.get("type")
    named = [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, str) and one in _TYPES]
    if named:
        return named[0]
    if isinstance(schema.get("properties"), dict):
        return "object"
    return "array" if "items" in schema else ""
