"""JSON schemas as Anthropic's structured output takes them.

Owns the subset: objects closed, bounds that the provider refuses told in words instead. Does not validate schemas.
Invariant: the result is bounded in depth; what is not understood is told, not sent.
"""

from collections.abc import Mapping
from typing import Any

import orjson

_MOST_DEEP = 100
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_KEPT = ("$ref", "type", "enum", "const", "description", "title", "default")
_SILENT = frozenset({"$schema", "$id", "$comment", "additionalProperties", "strict"})


def strict_schema(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema within the subset."""
    if depth > _MOST_DEEP:
        return {}
    kept: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    taken = set(_KEPT) | _SILENT
    for name in ("$defs", "definitions", "properties"):
        if isinstance(schema.get(name), dict):
            kept[name] = {key: _inner(value, depth) for key, value in schema[name].items()}
            taken.add(name)
    for name, new_name in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")):
        if isinstance(schema.get(name), list) and new_name not in kept:
            kept[new_name] = [_inner(value, depth) for value in schema[name]]
            taken.add(name)
    if "items" in schema:
        kept["items"] = _inner(schema["items"], depth)
        taken.add("items")
    if _is_object(schema):
        kept["type"] = schema.get("type", "object")
        kept["additionalProperties"] = False
        if isinstance(schema.get("required"), list):
            kept["required"] = schema["required"]
            taken.add("required")
    _keep_bounds(schema, kept, taken)
    left = {name: value for name, value in schema.items() if name not in taken}
    if left and "$ref" not in kept:
        words = ", ".join(f"{name}: {_written(value)}" for name, value in left.items())
        described = kept.get("description")
        kept["description"] = f"{described}\n\n{{{words}}}" if isinstance(described, str) else f"{{{words}}}"
    return kept


def _inner(value: Any, depth: int) -> Any:
    return strict_schema(value, depth + 1) if isinstance(value, dict) else value


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _keep_bounds(schema: Mapping[str, Any], kept: dict[str, Any], taken: set[str]) -> None:
    if schema.get("format") in _FORMATS:
        kept["format"] = schema["format"]
        taken.add("format")
    if schema.get("minItems") in {0, 1}:
        kept["minItems"] = schema["minItems"]
        taken.add("minItems")


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return "…"
