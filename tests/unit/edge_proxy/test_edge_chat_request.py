"""Chat requests: every documented field (reference api-facts §3.1), whatever JSON comes."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.errors import AppError, Kind
from libs.tokens import TokenCounter
from services.edge_proxy.core.chat_request import MEDIA_PART_TOKENS, parse_chat_request
from services.edge_proxy.core.preferences import NO_PREFERENCES
from services.edge_proxy.core.request import InferenceRequest
from tests.testkit.edge_proxy import MODEL, chat_body

COUNTER = TokenCounter()
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def parse(**changes: Any) -> InferenceRequest:
    return parse_chat_request(chat_body(**changes), COUNTER)


def refusal(body: bytes) -> AppError:
    with pytest.raises(AppError) as caught:
        parse_chat_request(body, COUNTER)
    assert caught.value.kind is Kind.INVALID
    return caught.value


def refusal_or_none(body: bytes) -> AppError | None:
    """The 400 of a body; None when it is taken. Anything else fails the test."""
    try:
        parse_chat_request(body, COUNTER)
    except AppError:
        return refusal(body)
    return None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 7),
        ("model", "x" * 257),
        ("models", "a/b"),
        ("models", [1]),
        ("models", ["m"] * 33),
        ("messages", {}),
        ("messages", "hi"),
        ("messages", []),
        ("stream", "yes"),
        ("stream", 1),
        ("temperature", "hot"),
        ("temperature", True),
        ("temperature", 2.01),
        ("temperature", -0.01),
        ("top_p", 1.5),
        ("min_p", -1),
        ("top_a", 2),
        ("frequency_penalty", -2.5),
        ("presence_penalty", 3),
        ("repetition_penalty", -1),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_logprobs", 21),
        ("seed", 2**63),
        ("seed", "1"),
        ("max_tokens", 0),
        ("max_tokens", True),
        ("max_tokens", 1.5),
        ("max_tokens", 100_000_001),
        ("max_completion_tokens", -1),
        ("n", 0),
        ("n", 129),
        ("n", "2"),
        ("logprobs", 1),
        ("parallel_tool_calls", "no"),
        ("include_reasoning", "yes"),
        ("structured_outputs", 1),
        ("logit_bias", []),
        ("logit_bias", {"1": "x"}),
        ("logit_bias", {"1": 101}),
        ("stop", 1),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", ["a", 1]),
        ("tools", {}),
        ("tools", [1]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": "function", "function": {"name": 1}}]),
        ("tools", [{"function": {"name": "f"}}]),
        ("tool_choice", 1),
        ("response_format", "json"),
        ("response_format", {}),
        ("reasoning", "high"),
        ("reasoning", {"effort": "huge"}),
        ("reasoning", {"max_tokens": 0}),
        ("reasoning_effort", "huge"),
        ("service_tier", "gold"),
        ("route", "elsewhere"),
        ("prediction", 1),
        ("stream_options", []),
        ("usage", True),
        ("web_search_options", 1),
        ("debug", 1),
        ("metadata", []),
        ("metadata", {str(n): "x" for n in range(17)}),
        ("metadata", {"a": 1}),
        ("metadata", {"a": "x" * 513}),
        ("metadata", {"a" * 65: "x"}),
        ("provider", []),
        ("provider", {"order": "x"}),
        ("user", 1),
        ("session_id", 1),
        ("session_id", "x" * 257),
        ("trace", "x"),
        ("trace", {"x": "y" * 9000}),
        ("verbosity", 5),
        ("verbosity", "loud"),
        ("modalities", "text"),
        ("modalities", ["smell"]),
        ("plugins", {}),
        ("plugins", ["web"]),
        ("transforms", "middle-out"),
        ("prompt_cache_key", 1),
        ("cache_control", "ephemeral"),
        ("image_config", 1),
    ],
)
def test_wrong_type_or_range_in_a_documented_field_is_400_naming_it(field: str, value: Any) -> None:
    error = refusal(chat_body(**{field: value}))
    assert error.message.startswith(field)
    assert error.metadata["field"].startswith(field)


@pytest.mark.parametrize(
    "field",
    [
        "models", "stream", "temperature", "top_p", "min_p", "top_a", "frequency_penalty", "presence_penalty",
        "repetition_penalty", "top_k", "top_logprobs", "seed", "max_tokens", "max_completion_tokens", "n", "logprobs",
        "parallel_tool_calls", "include_reasoning", "structured_outputs", "logit_bias", "stop", "tools", "tool_choice",
        "response_format", "reasoning", "reasoning_effort", "service_tier", "route", "prediction", "stream_options",
        "usage", "web_search_options", "debug", "metadata", "provider", "user", "session_id", "trace", "verbosity",
        "modalities", "plugins", "transforms", "prompt_cache_key", "cache_control", "image_config",
    ],
)  # fmt: skip
def test_null_in_an_optional_field_is_as_if_absent(field: str) -> None:
    plain = {"model": MODEL, "messages": [{"role": "user", "content": "Hello there!"}]}
    with_null = parse_chat_request(orjson.dumps({**plain, field: None}), COUNTER)
    absent = parse_chat_request(orjson.dumps(plain), COUNTER)
    assert with_null.parameters == absent.parameters == ()
    assert (with_null.models, with_null.max_tokens, with_null.choices, with_null.prompt_tokens) == (
        absent.models, absent.max_tokens, absent.choices, absent.prompt_tokens,
    )  # fmt: skip
    assert with_null.preferences is NO_PREFERENCES


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0}, {"temperature": 2}, {"temperature": 0.7}, {"top_p": 1}, {"seed": -5}, {"top_k": 0},
        {"max_tokens": 1}, {"max_tokens": 5.0}, {"stop": "x"}, {"stop": []}, {"stop": ["a", "b", "c", "d"]},
        {"tools": [TOOL], "tool_choice": "auto"}, {"tools": [{"type": "openrouter:web_search"}]},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"response_format": {"type": "text"}},
        {"reasoning": {"effort": "high"}, "reasoning_effort": "high"}, {"logit_bias": {"50256": -100}},
        {"metadata": {"a" * 64: "x" * 512}}, {"verbosity": "low"}, {"modalities": ["text", "image"]},
        {"plugins": [{"id": "web"}]}, {"transforms": ["middle-out"]}, {"transforms": []}, {"preset": "x"}, {"anything": {"else": [1, None]}},
    ],
)  # fmt: skip
def test_documented_values_and_unknown_fields_are_taken(changes: dict[str, Any]) -> None:
    assert parse(**changes).models == (MODEL,)


def test_body_goes_on_as_it_came() -> None:
    body = b' {"model" : "a/b", "messages":[{"role":"user","content":"x"}], "unknown":1}\n'
    assert parse_chat_request(body, COUNTER).body is body


@pytest.mark.parametrize(
    ("model", "models", "tried"),
    [
        ("a/a", None, ("a/a",)),
        (None, ["b/b", "c/c"], ("b/b", "c/c")),
        ("a/a", ["b/b"], ("a/a", "b/b")),
        ("a/a", ["b/b", "a/a"], ("a/a", "b/b")),
        ("", ["b/b", ""], ("b/b",)),
    ],
)
def test_models_are_tried_in_the_callers_order_without_repeats(
    model: str | None, models: list[str] | None, tried: tuple[str, ...]
) -> None:
    assert parse(model=model, models=models).models == tried


@pytest.mark.parametrize("changes", [{"model": None}, {"model": ""}, {"model": None, "models": []}])
def test_no_model_at_all_is_400(changes: dict[str, Any]) -> None:
    assert refusal(chat_body(**changes)).metadata["field"] == "model"


def test_max_completion_tokens_wins_over_max_tokens() -> None:
    assert parse(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert parse(max_tokens=5).max_tokens == 5
    assert parse().max_tokens is None


def test_two_efforts_that_differ_are_400() -> None:
    assert (
        refusal(chat_body(reasoning_effort="low", reasoning={"effort": "high"})).metadata["field"] == "reasoning_effort"
    )


def test_what_routing_needs_is_gathered() -> None:
    request = parse(tools=[TOOL], response_format={"type": "json_object"}, temperature=1, seed=None, n=2, stream=True)
    assert request.uses_tools
    assert request.uses_response_format
    assert request.stream
    assert request.choices == 2
    assert set(request.parameters) == {"tools", "response_format", "temperature"}
    assert request.text_only


def test_prompt_estimate_is_the_chat_formula_and_flat_for_media() -> None:
    text = "Count these five words please"
    expected = 3 + 3 + COUNTER.count("user") + COUNTER.count(text)
    assert parse(messages=[{"role": "user", "content": text}]).prompt_tokens == expected
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    with_image = parse(messages=[{"role": "user", "content": parts}])
    assert with_image.prompt_tokens == expected + MEDIA_PART_TOKENS
    assert with_image.modalities == ("image",)
    assert not with_image.text_only


def test_tools_and_schemas_are_part_of_the_estimate() -> None:
    plain = parse().prompt_tokens
    assert parse(tools=[TOOL]).prompt_tokens > plain
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert parse(response_format=schema).prompt_tokens > plain


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"model":"a/b","messages":' + b"[" * 100_000]
)
def test_body_that_is_no_json_object_is_400(body: bytes) -> None:
    assert refusal(body).reason == "INVALID_JSON"


@pytest.mark.parametrize("depth", [100, 250, 260, 500, 900])
@pytest.mark.parametrize("field", ["tools", "response_format", "trace"])
def test_deeply_nested_objects_are_taken_or_400(field: str, depth: int) -> None:
    deep = b'{"a":' * depth + b"{}" + b"}" * depth
    value = {
        "tools": b'[{"type":"function","function":{"name":"f","parameters":' + deep + b"}}]",
        "response_format": b'{"type":"json_schema","json_schema":{"name":"x","schema":' + deep + b"}}",
        "trace": deep,
    }[field]
    body = chat_body()[:-1] + f',"{field}":'.encode() + value + b"}"
    error = refusal_or_none(body)
    assert (error is None) is (depth <= 250)


def test_request_of_more_fields_than_anybody_has_is_400() -> None:
    many = {f"unknown_{number}": number for number in range(1000)}
    assert "at most 1000 fields" in refusal(chat_body(**many)).message
    many = {f"unknown_{number}": number for number in range(990)}
    assert refusal_or_none(chat_body(**many)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FIELDS = st.sampled_from(
    [
        "model", "models", "messages", "stream", "temperature", "top_k", "seed", "max_tokens", "n", "logit_bias", "stop",
        "tools", "tool_choice", "response_format", "reasoning", "reasoning_effort", "service_tier", "metadata", "provider",
        "user", "session_id", "trace", "prediction", "stream_options", "plugins", "modalities", "verbosity",
    ]
)  # fmt: skip
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "system", "assistant", "tool"]) | json_values,
            "content": json_values | st.lists(st.fixed_dictionaries({}, optional={
                "type": st.sampled_from(["text", "image_url", "input_audio", "file", "video_url"]) | json_values,
                "text": json_values, "image_url": json_values, "input_audio": json_values, "file": json_values,
            }), max_size=3),
            "name": json_values, "tool_calls": json_values, "tool_call_id": json_values,
        },
    ),
    max_size=3,
)  # fmt: skip
preferences = st.dictionaries(
    st.sampled_from(
        ["order", "only", "ignore", "allow_fallbacks", "sort", "require_parameters", "data_collection", "zdr",
         "quantizations", "max_price"]
    ),
    json_values | st.dictionaries(st.sampled_from(["prompt", "request", "by"]), json_values, max_size=2),
    max_size=3,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(FIELDS, json_values, max_size=5), st.one_of(st.just(None), messages), st.none() | preferences)
def test_arbitrary_json_is_taken_or_400(body: dict[str, Any], some_messages: Any, some_preferences: Any) -> None:
    whole = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **body}
    if some_messages is not None:
        whole["messages"] = some_messages
    if some_preferences is not None:
        whole["provider"] = some_preferences
    body_bytes = json.dumps(whole).encode()
    if refusal_or_none(body_bytes) is None:
        request = parse_chat_request(body_bytes, COUNTER)
        assert request.prompt_tokens >= 0
        assert request.models


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64) | st.text(max_size=40).map(str.encode))
def test_arbitrary_bytes_are_400(body: bytes) -> None:
    refusal(body)


def test_lone_surrogate_in_a_text_is_400_or_counted() -> None:
    refusal(b'{"model":"a/b","messages":[{"role":"user","content":"\\ud800"}]}')
