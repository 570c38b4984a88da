"""Which schemas OpenAI holds a model to, to the letter.

Owns that question. Changes nothing. Invariant: a schema that would be refused as strict is not called so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_HOLDERS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf", "oneOf")
_MOST_LEVELS = 64


def can_be_strict(schema: Any) -> bool:
    """Whether every object in it is closed and requires all of its properties."""
    return isinstance(schema, dict) and all(_is_closed(one) for one in _objects(schema, _MOST_LEVELS))


def _objects(schema: Mapping[str, Any], levels: int) -> Iterator[Mapping[str, Any]]:
    yield schema
    if levels == 0:
        return
    inner: list[Any] = [schema.get("items")]
    for name in _HOLDERS:
        held = schema.get(name)
        inner += held.values() if isinstance(held, dict) else ()
    for name in _LISTS:
        listed = schema.get(name)
        inner += listed if isinstance(listed, list) else ()
    for one in inner:
        if isinstance(one, dict):
            yield from _objects(one, levels - 1)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties")
    if schema.get("type") != "object" and properties is None:
        return True
    required = schema.get("required")
    names = set(properties) if isinstance(properties, dict) else set()
    told = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    return schema.get("additionalProperties") is False and told == names
