"""What is said of tool calls, and what hostile schemas and replies cannot do."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.tool_calls import schemas as schemas_module
from services.provider_adapter.tool_calls.judge import ReplyJudge, Verdict, judge
from services.provider_adapter.tool_calls.replies import MOST_ARGUMENT_CHARACTERS, MOST_CALLS, Call
from services.provider_adapter.tool_calls.schemas import (
    MOST_KEPT,
    MOST_MADE,
    MOST_SCHEMA_BYTES,
    MOST_WORK,
    Patience,
    Schemas,
)
from services.provider_adapter.tool_calls.weights import UnusableSchemaError, Weight, weigh

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}


def function(name: str = "weather", parameters: Any = WEATHER) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def verdict(arguments: str, parameters: Any = WEATHER, name: str = "weather") -> Verdict:
    return judge([function(parameters=parameters)], [Call(name, arguments)], Schemas())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"city":"Zürich"}', Verdict.VALID),
        (' {"city": "Z", "days": 2.0}\n', Verdict.VALID),
        ('{"city":"Z"', Verdict.INVALID_JSON),
        ("city=Z", Verdict.INVALID_JSON),
        ('{"city":NaN}', Verdict.INVALID_JSON),
        ('{"city":"Z"}{"city":"Z"}', Verdict.INVALID_JSON),
        ('["Z"]', Verdict.INVALID_JSON),
        ('"Z"', Verdict.INVALID_JSON),
        ("null", Verdict.INVALID_JSON),
        ("{}", Verdict.SCHEMA_MISMATCH),
        ("", Verdict.SCHEMA_MISMATCH),
        ('{"city":7}', Verdict.SCHEMA_MISMATCH),
        ('{"city":"Z","days":0}', Verdict.SCHEMA_MISMATCH),
        ('{"city":"Z","days":1.5}', Verdict.SCHEMA_MISMATCH),
        ('{"city":"Z","country":"CH"}', Verdict.SCHEMA_MISMATCH),
    ],
)
def test_arguments_have_to_be_an_object_that_fits(arguments: str, expected: Verdict) -> None:
    assert verdict(arguments) is expected


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
@pytest.mark.parametrize("arguments", ["", " ", "{}", '{"any":[1]}'])
def test_tool_without_a_schema_takes_any_object(parameters: Any, arguments: str) -> None:
    assert verdict(arguments, parameters) is Verdict.VALID
    assert verdict("[]", parameters) is Verdict.INVALID_JSON


@pytest.mark.parametrize(
    ("parameters", "good", "bad"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}}, '{"a":1}', '{"a":"1"}'),
        ({"properties": {"a": {"$ref": "#/definitions/a~1b%25"}}, "definitions": {"a/b%": False}}, "{}", '{"a":1}'),
        ({"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}, '{"a":null}', '{"a":"1"}'),
        ({"properties": {"a": {"enum": ["x", 1]}}}, '{"a":"x"}', '{"a":"y"}'),
        ({"properties": {"a": {"pattern": "^\\d{4}-\\d{2}$"}}}, '{"a":"2026-11"}', '{"a":"soon"}'),
        ({"properties": {"a": {"items": {"type": "string"}, "uniqueItems": True}}}, '{"a":["x"]}', '{"a":["x","x"]}'),
        ({"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}, '{"x1":1}', '{"y":1}'),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, '{"a":1,"b":1}', '{"a":1}'),
        ({"dependencies": {"a": ["b"]}}, "{}", '{"a":1}'),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "required": ["a"]}, '{"a":1}', "{}"),
        ({"$id": "https://example.com/tool", "required": ["a"]}, '{"a":1}', "{}"),
        # `format` is a remark in draft 7.
        ({"properties": {"a": {"format": "date"}}, "required": ["a"]}, '{"a":"soon"}', "{}"),
    ],
)
def test_schemas_mean_what_draft_7_says(parameters: Any, good: str, bad: str) -> None:
    assert verdict(good, parameters) is Verdict.VALID
    assert verdict(bad, parameters) is Verdict.SCHEMA_MISMATCH


def bomb(levels: int) -> dict[str, Any]:
    """Unfolds to two to the power of so many."""
    definitions: dict[str, Any] = {
        f"d{level}": {"anyOf": [{"$ref": f"#/definitions/d{level + 1}"}] * 2} for level in range(levels)
    }
    definitions[f"d{levels}"] = {"type": "string"}
    return {"properties": {"a": {"$ref": "#/definitions/d0"}}, "definitions": definitions}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


UNUSABLE = {
    "no object": ["type", "object"],
    "text": "object",
    "unknown type": {"type": "OBJECT"},
    "draft 4": {"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}},
    "wrong shape": {"properties": {"a": 5}},
    "not an object of properties": {"properties": []},
    "later draft": {"properties": {"a": {"prefixItems": [{}], "items": False}}},
    "another document": {"properties": {"a": {"$ref": "https://127.0.0.1:1/schema.json"}}},
    "a file": {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "an anchor": {"properties": {"a": {"$ref": "#here"}}},
    "nothing": {"properties": {"a": {"$ref": "#/definitions/nothing"}}},
    "no reference": {"properties": {"a": {"$ref": 5}}},
    "an id within": {"properties": {"a": {"$id": "other", "$ref": "#/definitions/x"}}, "definitions": {"x": {}}},
    "itself": {"$ref": "#"},
    "recursive": {"properties": {"children": {"items": {"$ref": "#"}}}},
    "look-around": {"properties": {"a": {"pattern": "^(?=.*x)"}}},
    "broken pattern": {"properties": {"a": {"pattern": "("}}},
    "repetitions of repetitions": {"properties": {"a": {"pattern": "((a{0,100}){0,100}){0,100}"}}},
    "long patterns": {"properties": {str(n): {"pattern": "a" * 100} for n in range(9)}},
    "too long": {"description": "x" * MOST_SCHEMA_BYTES},
    "too many": {"properties": {f"p{n}": {} for n in range(1000)}},
    "too deep": nested(100),
    "deeper than can be written": nested(400),
    "a bomb": bomb(60),
}


@pytest.mark.parametrize("parameters", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("arguments", ['{"a":"x"}', '{"a":', "[]"])
def test_by_a_schema_that_cannot_be_used_nobody_is_judged(parameters: Any, arguments: str) -> None:
    """Not even what is no JSON: else a caller's odd schema would leave failures alone."""
    assert verdict(arguments, parameters) is Verdict.NOT_JUDGED


@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ({"items": {"type": "integer"}}, {"a": list(range(MOST_WORK))}),
        ({"properties": {"a": {"items": {"anyOf": [{"const": n} for n in range(90)]}}}}, {"a": [-1] * 500}),
        ({"properties": {"a": {"items": {"oneOf": [{"minLength": n} for n in range(90)]}}}}, {"a": ["x" * 60_000]}),
        (bomb(9), {"a": [0] * 10}),
        ({"properties": {"a": {"pattern": "1[01]{60}2"}}}, {"a": "01" * 5000}),
        ({"patternProperties": {f"1[01]{{20}}{n}": {} for n in range(20)}}, {"a": "x" * 200}),
        ({"uniqueItems": True}, {f"a{n}": [n] for n in range(MOST_WORK)}),
    ],
)
def test_what_could_take_long_is_not_judged(parameters: Any, arguments: Any) -> None:
    assert verdict(orjson.dumps(arguments).decode(), parameters) is Verdict.NOT_JUDGED
    assert verdict("{}", parameters) is Verdict.VALID


def test_panic_of_the_library_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panics(*_: Any, **__: Any) -> Any:
        raise PanicException

    monkeypatch.setattr(schemas_module, "Draft7Validator", panics)
    assert verdict("{}") is Verdict.NOT_JUDGED


def test_interrupt_is_no_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupts(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(schemas_module, "Draft7Validator", interrupts)
    with pytest.raises(KeyboardInterrupt):
        verdict("{}")


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([function("another")], Verdict.UNKNOWN_NAME),
        ([function("Weather")], Verdict.UNKNOWN_NAME),
        ([], Verdict.UNKNOWN_NAME),
        ([function("another"), {"type": "web_search"}], Verdict.NOT_JUDGED),
        ([function("another"), {"type": "custom", "custom": {"name": "weather"}}], Verdict.NOT_JUDGED),
        ([{"type": "web_search"}, function()], Verdict.VALID),
        ([function(), function(parameters={"required": ["x"]})], Verdict.VALID),
        (["weather", None, {"function": 1}, {"function": {"name": 5}}], Verdict.NOT_JUDGED),
        ("weather", Verdict.UNKNOWN_NAME),
    ],
)
def test_names_have_to_be_those_that_were_sent(tools: Any, expected: Verdict) -> None:
    assert judge(tools, [Call("weather", '{"city":"Z"}')], Schemas()) is expected


FITS, BROKEN, ODD = Call("weather", '{"city":"Z"}'), Call("weather", "{"), Call("odd", "{}")


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], Verdict.NONE),
        ([FITS, FITS], Verdict.VALID),
        ([FITS, BROKEN, Call("none", "{}")], Verdict.INVALID_JSON),
        ([FITS, Call("none", "{}"), BROKEN], Verdict.UNKNOWN_NAME),
        ([ODD, FITS], Verdict.NOT_JUDGED),
        ([FITS, ODD], Verdict.NOT_JUDGED),
        ([ODD, BROKEN], Verdict.INVALID_JSON),
    ],
)
def test_of_several_calls_the_first_trouble_counts(calls: Sequence[Call], expected: Verdict) -> None:
    tools = [function(), function("odd", {"type": "ODD"})]
    assert judge(tools, calls, Schemas()) is expected


def test_schemas_in_use_stay_ready_and_others_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def noted(schema: dict[str, Any]) -> Weight:
        made.append(schema)
        return weigh(schema)

    monkeypatch.setattr(schemas_module, "weigh", noted)
    schemas = Schemas()
    for number in range(MOST_KEPT + 10):
        assert schemas.find({"required": [str(number)]}, Patience()) is not None
        assert schemas.find(WEATHER, Patience()) is not None
        assert schemas.find({"type": "ODD"}, Patience()) is None
    assert len(made) == MOST_KEPT + 12
    schemas.find({"required": ["0"]}, Patience())
    assert len(made) == MOST_KEPT + 13


def test_one_reply_makes_few_schemas_ready_and_later_ones_find_them() -> None:
    tools = [function(f"f{number}", {"required": [str(number)]}) for number in range(3 * MOST_MADE)]
    calls = [Call(f"f{number}", orjson.dumps({str(number): 1}).decode()) for number in range(3 * MOST_MADE)]
    schemas = Schemas()
    said = [judge(tools, calls, schemas) for _ in range(3)]
    assert said == [Verdict.NOT_JUDGED, Verdict.NOT_JUDGED, Verdict.VALID]


def test_many_calls_have_no_more_time_than_one() -> None:
    call = Call("f", orjson.dumps({"a": list(range(MOST_WORK // 20))}).decode())
    tools = [function("f", {"properties": {"a": {"items": {"type": "integer"}}}})]
    assert judge(tools, [call] * 10, Schemas()) is Verdict.VALID
    assert judge(tools, [call] * 25, Schemas()) is Verdict.NOT_JUDGED


# Replies


def chunk(index: int = 0, **delta: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": None}
    return b"data: " + orjson.dumps({"id": "gen-1", "choices": [choice]}) + b"\n\n"


def piece(place: int, arguments: str, name: str = "") -> dict[str, Any]:
    told = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": place, "function": told}


def judged(*sent: bytes, finish_reason: str = "tool_calls", tools: Any = None) -> Verdict:
    reply = ReplyJudge([function()] if tools is None else tools, Schemas())
    for one in sent:
        reply.feed(one)
    return reply.verdict(finish_reason)


def streamed(arguments: str, cuts: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(cuts), len(arguments)]
    pieces = [arguments[start:end] for start, end in pairwise(ends)]
    first = chunk(role="assistant", tool_calls=[piece(0, pieces[0], "weather")])
    return [chunk(content='"tool_calls":['), first, *(chunk(tool_calls=[piece(0, one)]) for one in pieces[1:])]


@given(st.lists(st.integers(0, 27), max_size=6), st.booleans(), st.booleans())
def test_calls_are_the_same_however_they_are_cut(cuts: list[int], together: bool, fits: bool) -> None:
    arguments = orjson.dumps({"city": "Zürich ✓", "days": 1 if fits else 0}).decode()
    sent = streamed(arguments, cuts)
    expected = Verdict.VALID if fits else Verdict.SCHEMA_MISMATCH
    assert judged(*([b"".join(sent)] if together else sent)) is expected


def test_parallel_calls_are_put_together_by_their_place() -> None:
    sent = [
        chunk(tool_calls=[piece(0, "", "weather"), piece(1, "", "weather")]),
        chunk(tool_calls=[piece(1, '{"city":')]),
        chunk(tool_calls=[piece(0, '{"city":"A"}'), piece(1, '"B"}')]),
    ]
    assert judged(*sent) is Verdict.VALID
    assert judged(*sent[:2]) is Verdict.SCHEMA_MISMATCH  # the first one's arguments are empty


def test_only_the_first_choice_is_judged() -> None:
    good, bad = piece(0, '{"city":"A"}', "weather"), piece(0, "{", "weather")
    assert judged(chunk(1, tool_calls=[bad])) is Verdict.NONE
    assert judged(chunk(1, tool_calls=[bad]), chunk(0, tool_calls=[good])) is Verdict.VALID


@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "error"])
def test_reply_that_was_cut_short_is_not_judged(finish_reason: str) -> None:
    assert judged(chunk(tool_calls=[piece(0, '{"ci', "weather")]), finish_reason=finish_reason) is Verdict.NOT_JUDGED
    assert judged(chunk(content="Hello"), finish_reason=finish_reason) is Verdict.NONE


@pytest.mark.parametrize(
    "sent",
    [
        [chunk(tool_calls=[piece(place, "{}", "weather")]) for place in range(MOST_CALLS + 1)],
        [chunk(tool_calls=[piece(0, "x" * 1000, "weather")])] * (MOST_ARGUMENT_CHARACTERS // 1000 + 1),
        [chunk(tool_calls=[piece(0, "x" * 1_000_000, "weather")])],
    ],
    ids=["calls", "characters", "a single chunk"],
)
def test_more_than_is_looked_at_is_not_judged(sent: list[bytes]) -> None:
    assert judged(*sent) is Verdict.NOT_JUDGED


def test_calls_of_tools_that_are_no_functions_are_nobodys_to_judge() -> None:
    custom = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    assert judged(chunk(tool_calls=[custom])) is Verdict.NONE


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (None, Verdict.NONE),
        ([], Verdict.NONE),
        (
            [{"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"A"}'}}],
            Verdict.VALID,
        ),
        ([{"function": {"name": "weather", "arguments": "{"}}], Verdict.INVALID_JSON),
        ([{"function": {"name": "weather", "arguments": None}}], Verdict.SCHEMA_MISMATCH),
        ([{"function": {"arguments": "{}"}}], Verdict.UNKNOWN_NAME),
        ([None, 5, {"function": "weather"}], Verdict.NONE),
        ("weather", Verdict.NONE),
    ],
)
def test_whole_replies_are_judged_alike(calls: Any, expected: Verdict) -> None:
    reply = ReplyJudge([function()], Schemas())
    reply.read(orjson.dumps({"choices": [{"index": 0, "message": {"content": None, "tool_calls": calls}}]}))
    assert reply.verdict("tool_calls") is expected


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab", max_size=3),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from("abc"), some, max_size=3),
    max_leaves=12,
)
KEYWORDS = [
    "type", "enum", "const", "properties", "patternProperties", "additionalProperties", "items", "anyOf", "allOf", "oneOf",
    "not", "if", "then", "$ref", "$id", "required", "minimum", "multipleOf", "pattern", "format", "uniqueItems",
    "dependencies", "definitions", "contains", "propertyNames", "maxLength", "$schema", "contentMediaType",
]  # fmt: skip


def anything_like_a_schema(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words = st.sampled_from(["object", "#", "#/definitions/a", "a*b", "(", "http://127.0.0.1:1/x", "application/json"])
    return st.dictionaries(
        st.sampled_from(KEYWORDS), some | st.lists(some, max_size=3) | words | json_values, max_size=4
    )


@given(st.recursive(json_values, anything_like_a_schema, max_leaves=20), json_values)
def test_no_schema_and_no_arguments_break_anything(parameters: Any, arguments: Any) -> None:
    assert verdict(orjson.dumps(arguments).decode(), parameters) in Verdict


# The estimate of work

DESCRIPTIONS = st.recursive(
    st.sampled_from([{}, {"type": "string"}, True, {"$ref": "#/definitions/d"}, {"$ref": "#/definitions/e"}]),
    lambda some: st.fixed_dictionaries(
        {},
        optional={
            "anyOf": st.lists(some, min_size=1, max_size=3),
            "allOf": st.lists(some, min_size=1, max_size=2),
            "not": some,
            "if": some,
            "properties": st.dictionaries(st.sampled_from("abc"), some, max_size=3),
            "patternProperties": st.dictionaries(st.sampled_from(["a", "b"]), some, max_size=2),
            "additionalProperties": some,
            "items": some | st.lists(some, min_size=1, max_size=2),
            "additionalItems": some,
            "contains": some,
            "dependencies": st.dictionaries(st.sampled_from("abc"), some, max_size=2),
        },
    ),
    max_leaves=12,
)


def meetings(root: dict[str, Any], schema: Any, value: Any, path: str = "") -> Iterator[str]:
    """The paths of the parts that subschemas are held against, as a validator that skips nothing would."""
    if isinstance(schema, bool):
        return
    yield path
    if "$ref" in schema:
        yield from meetings(root, root["definitions"][schema["$ref"][-1]], value, path)
    subs = [
        *schema.get("anyOf", ()),
        *schema.get("allOf", ()),
        *(schema[key] for key in ("not", "if") if key in schema),
    ]
    if isinstance(value, dict):
        subs += [sub for name, sub in schema.get("dependencies", {}).items() if name in value]
        for name, part in value.items():
            below = [schema.get("properties", {}).get(name, True), schema.get("additionalProperties", True)]
            below += [sub for key, sub in schema.get("patternProperties", {}).items() if key in name]
            for sub in below:
                yield from meetings(root, sub, part, f"{path}/{name}")
    if isinstance(value, list):
        items = schema.get("items", True)
        for place, part in enumerate(value):
            own = items[place] if isinstance(items, list) and place < len(items) else True
            for sub in (
                own if isinstance(items, list) else items,
                schema.get("additionalItems", True),
                schema.get("contains", True),
            ):
                yield from meetings(root, sub, part, f"{path}/{place}")
    for sub in subs:
        yield from meetings(root, sub, value, path)


@given(DESCRIPTIONS, DESCRIPTIONS, DESCRIPTIONS, json_values)
def test_no_part_of_the_arguments_meets_more_than_a_schema_weighs(top: Any, d: Any, e: Any, value: Any) -> None:
    root = {"allOf": [top], "definitions": {"d": d, "e": e}}
    try:
        weight = weigh(root).subschemas
    except UnusableSchemaError:  # recursive
        return
    paths = list(meetings(root, root, value))
    assert max(map(paths.count, paths)) <= weight


def test_what_only_describes_weighs_little_and_what_unfolds_weighs_all_of_it() -> None:
    described = {"properties": {f"p{n}": {"anyOf": [{"type": "string"}, {"type": "null"}]} for n in range(20)}}
    assert weigh(described).subschemas < 10
    assert weigh(bomb(10)).subschemas > 2**10
