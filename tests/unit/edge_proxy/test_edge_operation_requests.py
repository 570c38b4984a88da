"""Requests for embeddings, rerank and text completions: what is taken, what is refused by name, what is estimated."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import AppError, Kind
from libs.tokens import TokenCounter
from services.edge_proxy.core.chat_request import MEDIA_PART_TOKENS, parse_chat_request
from services.edge_proxy.core.completions_request import parse_completions_request
from services.edge_proxy.core.embeddings_request import parse_embeddings_request
from services.edge_proxy.core.request import InferenceRequest
from services.edge_proxy.core.rerank_request import parse_rerank_request, searches
from tests.testkit.edge_proxy import MODEL

COUNTER = TokenCounter()
PARSERS: dict[str, tuple[Callable[[bytes, TokenCounter], InferenceRequest], dict[str, Any]]] = {
    "embeddings": (parse_embeddings_request, {"input": "hello"}),
    "rerank": (parse_rerank_request, {"query": "which?", "documents": ["one", "two"]}),
    "completions": (parse_completions_request, {"prompt": "Once upon"}),
}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}


def parse(operation: str, **changes: Any) -> InferenceRequest:
    parser, body = PARSERS[operation]
    values = {"model": MODEL, **body, **changes}
    return parser(orjson.dumps({name: value for name, value in values.items() if value is not ...}), COUNTER)


@pytest.mark.parametrize("operation", PARSERS)
def test_request_takes_the_common_fields(operation: str) -> None:
    request = parse(operation, provider={"only": ["alpha"]}, user="me", session_id="s", trace={"a": 1}, unknown=[1])
    assert (request.session_id, request.trace_json) == ("s", b'{"a":1}')
    assert (request.operation, request.models, request.user) == (operation, (MODEL,), "me")
    assert request.preferences.only == ("alpha",)
    assert request.completes is (operation == "completions")
    assert request.text_only


@pytest.mark.parametrize("operation", PARSERS)
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": ...}, "model"), ({"model": 5}, "model"), ({"model": ""}, "model"), ({"model": "x" * 257}, "model"),
        ({"provider": 5}, "provider"), ({"provider": {"only": "a"}}, "provider.only"), ({"user": {}}, "user"), ({"session_id": 5}, "session_id"),
        ({"trace": 5}, "trace"),
    ],
)  # fmt: skip
def test_wrong_common_field_is_refused_by_name(operation: str, changes: dict[str, Any], field: str) -> None:
    refused(operation, changes, field)


def refused(operation: str, changes: dict[str, Any], field: str) -> str:
    with pytest.raises(AppError) as caught:
        parse(operation, **changes)
    assert (caught.value.kind, caught.value.metadata["field"]) == (Kind.INVALID, field)
    return caught.value.message


@pytest.mark.parametrize("operation", PARSERS)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff"])
def test_body_that_is_no_object_is_refused(operation: str, body: bytes) -> None:
    with pytest.raises(AppError) as caught:
        PARSERS[operation][0](body, COUNTER)
    assert caught.value.reason == "INVALID_JSON"


@pytest.mark.parametrize(
    ("value", "tokens", "longest"),
    [
        ("hello world", 2, 2),
        (["hello world", "hello"], 3, 2),
        ([5, 6, 7], 3, 3),
        ([[5, 6, 7], [8]], 4, 3),
        ([{"content": [{"type": "text", "text": "hello world"}]}], 2, 2),
        ([{"content": [IMAGE]}, {"content": [{"type": "text", "text": "hello"}]}], MEDIA_PART_TOKENS + 1, MEDIA_PART_TOKENS),
    ],
)  # fmt: skip
def test_every_form_of_input_is_counted_and_the_longest_one_has_to_fit(value: Any, tokens: int, longest: int) -> None:
    request = parse("embeddings", input=value)
    assert (request.prompt_tokens, request.context_tokens) == (tokens, longest)
    assert (request.max_tokens, request.stream, request.search_units) == (0, False, 0)


def test_modalities_of_inputs_are_those_of_their_parts() -> None:
    assert parse("embeddings", input=[{"content": [IMAGE]}]).modalities == ("image",)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"input": ...}, "input"), ({"input": None}, "input"), ({"input": ""}, "input"), ({"input": []}, "input"),
        ({"input": 5}, "input"), ({"input": {}}, "input"), ({"input": [""]}, "input"), ({"input": ["a", ""]}, "input.1"),
        ({"input": ["a", 5]}, "input.1"), ({"input": [1, "a"]}, "input"), ({"input": [1.5]}, "input"),
        ({"input": [True]}, "input"), ({"input": [-1]}, "input"), ({"input": [2**31]}, "input"),
        ({"input": [[1], []]}, "input.1"), ({"input": [[1], "a"]}, "input.1"), ({"input": [None]}, "input"),
        ({"input": [{}]}, "input.0.content"), ({"input": [{"content": []}]}, "input.0.content"),
        ({"input": [{"content": [5]}]}, "input.0.content.0"), ({"input": [{"content": [IMAGE]}, "a"]}, "input.1.content"),
        ({"input": [{"content": [{"type": "text"}]}]}, "input.0.content.0.text"),
        ({"dimensions": 0}, "dimensions"), ({"dimensions": "8"}, "dimensions"), ({"dimensions": 1.5}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"), ({"encoding_format": 5}, "encoding_format"),
        ({"input_type": 5}, "input_type"),
    ],
)  # fmt: skip
def test_wrong_field_of_embeddings_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    refused("embeddings", changes, field)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
        st.lists,
        max_leaves=8,
    )
)
def test_input_of_any_shape_is_taken_or_refused(value: Any) -> None:
    problem = None
    try:
        request = parse("embeddings", input=value)
    except AppError as error:
        problem = error
    else:
        assert request.prompt_tokens >= request.context_tokens > 0
    assert problem is None or (problem.kind is Kind.INVALID and problem.metadata["field"].startswith("input"))


def test_query_is_counted_with_each_document_and_alone_has_to_fit() -> None:
    request = parse("rerank", query="hello world", documents=["hello", {"text": "hello world"}, {"image": "data:x"}])
    assert request.prompt_tokens == 3 * 2 + 1 + 2 + MEDIA_PART_TOKENS
    assert request.context_tokens == 2
    assert request.modalities == ("image",)
    assert (request.max_tokens, request.stream) == (0, False)


@pytest.mark.parametrize(
    ("query", "documents", "expected"),
    [(10, [1] * 100, 1), (10, [1] * 101, 2), (10, [490], 1), (10, [491] * 50, 1), (10, [491] * 51, 2), (0, [0], 1)],
)
def test_a_search_ranks_a_hundred_documents_and_a_long_one_counts_as_several(
    query: int, documents: list[int], expected: int
) -> None:
    assert searches(query, documents) == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"query": ...}, "query"), ({"query": ""}, "query"), ({"query": ["a"]}, "query"),
        ({"documents": ...}, "documents"), ({"documents": []}, "documents"), ({"documents": "a"}, "documents"),
        ({"documents": ["a", 5]}, "documents.1"), ({"documents": [{}]}, "documents.0"),
        ({"documents": [{"text": 5}]}, "documents.0.text"), ({"documents": [{"image": 5}]}, "documents.0.image"),
        ({"top_n": 0}, "top_n"), ({"top_n": "1"}, "top_n"),
    ],
)  # fmt: skip
def test_wrong_field_of_rerank_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    refused("rerank", changes, field)


def test_prompt_is_put_as_a_chat_for_models_that_chat_and_as_it_came_for_those_that_complete() -> None:
    request = parse("completions", max_tokens=9, n=2, best_of=2, stop="x", logprobs=3, suffix="")
    operation, body = request.put_to(())
    assert operation == "chat"
    assert orjson.loads(body) == {
        "model": MODEL, "messages": [{"role": "user", "content": "Once upon"}], "max_tokens": 9, "n": 2, "stop": "x",
        "logprobs": True, "top_logprobs": 3,
    }  # fmt: skip
    operation, body = request.put_to(["completions"])
    assert operation == "completions"
    assert orjson.loads(body) == {
        "model": MODEL, "prompt": "Once upon", "max_tokens": 9, "n": 2, "stop": "x", "logprobs": 3,
    }  # fmt: skip
    assert request.parameters == ("max_tokens", "stop", "logprobs", "top_logprobs")


def test_estimate_and_limits_are_those_of_the_chat() -> None:
    chat = orjson.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Once upon"}], "max_tokens": 7})
    request, same = parse("completions", max_tokens=7), parse_chat_request(chat, COUNTER)
    assert (request.prompt_tokens, request.max_tokens) == (same.prompt_tokens, same.max_tokens)


def test_one_prompt_in_a_list_is_that_prompt() -> None:
    assert orjson.loads(parse("completions", prompt=["Once"]).put_to(["completions"])[1])["prompt"] == "Once"


def test_echo_is_what_every_answer_begins_with() -> None:
    request = parse("completions", echo=True)
    assert request.echo == "Once upon"
    assert "echo" not in orjson.loads(request.put_to(["completions"])[1])
    assert parse("completions", echo=False).echo == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": ...}, "prompt"), ({"prompt": None}, "prompt"), ({"prompt": 5}, "prompt"), ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt"), ({"prompt": [[1], [2]]}, "prompt"),
        ({"suffix": "end"}, "suffix"), ({"suffix": 5}, "suffix"), ({"best_of": 3}, "best_of"), ({"best_of": 0}, "best_of"),
        ({"n": 3, "best_of": 2}, "best_of"), ({"n": 0}, "n"), ({"logprobs": 6}, "logprobs"), ({"logprobs": True}, "logprobs"),
        ({"echo": "yes"}, "echo"), ({"echo": True, "logprobs": 1}, "echo"), ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"), ({"stop": [1]}, "stop"), ({"stream": "yes"}, "stream"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ],
)  # fmt: skip
def test_wrong_or_unsupported_field_of_completions_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    assert field in refused("completions", changes, field)


def test_tools_cannot_be_called_in_a_text_completion_and_are_left_out() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    request = parse("completions", tools=[tool], tool_choice="required", modalities=["image"])
    assert not request.uses_tools
    assert not {"tools", "tool_choice", "modalities"} & set(orjson.loads(request.put_to(())[1]))


OPTIONAL: dict[str, list[str]] = {
    "embeddings": ["dimensions", "encoding_format", "input_type", "provider", "user", "session_id", "trace"],
    "rerank": ["top_n", "provider", "user", "session_id", "trace"],
    "completions": [
        "best_of", "echo", "logprobs", "n", "max_tokens", "suffix", "stop", "stream", "stream_options", "seed", "temperature",
        "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "user", "metadata", "response_format", "trace",
        "session_id", "provider", "plugins", "models",
    ],
}  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "image", "content", "type", "a"]), inner),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize("operation", PARSERS)
def test_null_in_an_optional_field_is_as_if_absent(operation: str) -> None:
    request, plain = parse(operation, **dict.fromkeys(OPTIONAL[operation])), parse(operation)
    assert (request.models, request.prompt_tokens, request.stream) == (plain.models, plain.prompt_tokens, plain.stream)
    assert request.preferences is plain.preferences


@pytest.mark.parametrize("operation", PARSERS)
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused_by_name(operation: str, data: st.DataObject) -> None:
    names = [*OPTIONAL[operation], "model", *PARSERS[operation][1]]
    changes = data.draw(st.dictionaries(st.sampled_from(names), anything, max_size=3))
    problem = None
    try:
        parse(operation, **changes)
    except AppError as error:
        problem = error
    assert problem is None or problem.kind is Kind.INVALID
    if problem is not None:
        assert problem.metadata["field"].partition(".")[0] in names
