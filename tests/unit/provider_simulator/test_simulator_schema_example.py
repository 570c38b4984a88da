import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_simulator.core.schema_example import example_of

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aé [", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aé [", max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.sampled_from(
    ["type", "properties", "required", "items", "anyOf", "allOf", "$ref", "enum", "minItems", "minLength", "minimum"]
)
SCHEMAS = st.recursive(
    st.dictionaries(KEYWORDS, JSON_VALUES, max_size=4),
    lambda inner: st.dictionaries(KEYWORDS, inner | st.lists(inner, max_size=2) | st.just("#"), max_size=4),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "example"),
        ({"type": "string", "minLength": 9}, "examplexx"),
        ({"type": "string", "maxLength": 2}, "ex"),
        ({"type": "string", "format": "date"}, "2025-06-01"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "exclusiveMaximum": 0.5}, 0),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, [1, "example"]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"$ref": "#/$defs/b"},
                ],
                "$defs": {"b": {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}},
            },
            {"a": 1, "b": True},
        ),
        ({"$ref": "#/$defs/name", "$defs": {"name": {"const": "x"}}}, "x"),
        ({}, "example"),
    ],
)
def test_example_fits_the_schema(schema: dict[str, Any], value: object) -> None:
    assert example_of(schema) == value


def test_recursive_schema_ends() -> None:
    schema = {
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
        "required": ["left", "right"],
    }

    assert len(json.dumps(example_of(schema))) < 200_000


def test_greedy_schema_is_bounded() -> None:
    schema: dict[str, Any] = {"type": "string", "minLength": 10**9}
    for _ in range(4):
        schema = {"type": "array", "items": schema, "minItems": 10**9}

    assert len(json.dumps(example_of(schema))) < 10_000_000


@given(SCHEMAS)
def test_any_schema_gives_some_json(schema: dict[str, Any]) -> None:
    json.dumps(example_of(schema))
