"""JSON schemas as Cohere's structured output takes them.

Owns the subset: objects with something required in each, bounds that the provider does not know told in words instead.
Does not validate schemas. Invariant: what fits the result fits the caller's schema as far as it is enforced at all.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

_MOST_DEEP = 100
_FORMATS = frozenset({"date-time", "uuid", "date", "time"})
_KEPT = ("$ref", "type", "enum", "const", "description", "title", "default")
_SILENT = frozenset({"$schema", "$id", "$comment", "additionalProperties", "strict"})
_ANCHORS = re.compile(r"\(\?[=!<]|(?<![\[\\])\^|(?<!\\)\$|\\$")
_MAPS = ("$defs", "definitions", "properties")


def answer_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema within the subset; None where it names no property, which the provider refuses."""
    narrowed = _narrowed(schema, 0)
    narrowed["type"] = "object"
    return narrowed if narrowed.get("properties") or "$ref" in narrowed else None


def requires_something(schema: Any) -> bool:
    """Whether an object schema names a required property, as strict tools must where they have any."""
    if not isinstance(schema, dict) or not schema.get("properties"):
        return True
    required = schema.get("required")
    return isinstance(required, list) and bool(required)


def _narrowed(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _MOST_DEEP:
        return {}
    kept: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    taken = set(_KEPT) | _SILENT
    _keep_inner(schema, kept, taken, depth)
    if schema.get("format") in _FORMATS:
        kept["format"] = schema["format"]
        taken.add("format")
    pattern = _pattern(schema.get("pattern"))
    if pattern:
        kept["pattern"] = pattern
        taken.add("pattern")
    if kept.get("properties"):
        required = schema.get("required")
        # To leave nothing out is within what the caller allows; to require nothing is refused.
        kept["required"] = required if isinstance(required, list) and required else list(kept["properties"])
        taken.add("required")
    left = {name: value for name, value in schema.items() if name not in taken}
    if left and "$ref" not in kept:
        words = ", ".join(f"{name}: {_written(value)}" for name, value in left.items())
        described = kept.get("description")
        kept["description"] = f"{described}\n\n{{{words}}}" if isinstance(described, str) else f"{{{words}}}"
    return kept


def _keep_inner(schema: Mapping[str, Any], kept: dict[str, Any], taken: set[str], depth: int) -> None:
    for name in ("anyOf", "oneOf"):
        if isinstance(schema.get(name), list) and "anyOf" not in kept:
            kept["anyOf"] = [_inner(value, depth) for value in schema[name]]
            taken.add(name)
    for name in _MAPS:
        if isinstance(schema.get(name), dict):
            kept[name] = {key: _inner(value, depth) for key, value in schema[name].items()}
            taken.add(name)
    if "items" in schema:
        kept["items"] = _inner(schema["items"], depth)
        taken.add("items")


def _pattern(value: Any) -> str:
    """A pattern without anchors, for the whole text has to fit anyway; empty where it cannot do without them."""
    if not isinstance(value, str):
        return ""
    bare = value.removeprefix("^").removesuffix("$")
    return "" if _ANCHORS.search(bare) else bare


def _inner(value: Any, depth: int) -> Any:
    return _narrowed(value, depth + 1) if isinstance(value, dict) else value


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return "…"
