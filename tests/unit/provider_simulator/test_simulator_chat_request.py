from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_simulator.protocols.openai.chat_request import ChatRequest, model_of, parse_body, read_request
from services.provider_simulator.protocols.openai.errors import RefusedError
from services.provider_simulator.text_counter import TextCounter

COUNTER = TextCounter()
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def body(content: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def read(request: dict[str, Any], *, refuse_unknown: bool = False) -> ChatRequest:
    return read_request(request, COUNTER, refuse_unknown=refuse_unknown)


def test_prompt_tokens_follow_the_published_formula() -> None:
    text = "A sentence, with a directive: [[sim tokens=2]]"
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": text}]},
    ]
    # Token counts by tiktoken: "Be brief." 3, the sentence 13, "ada" 1, each role 1.
    by_hand = 3 + (3 + 1 + 3) + (3 + 1 + 13 + (1 + 1))

    assert read({"model": "m", "messages": messages}).ask.prompt_tokens == by_hand


def test_images_and_tools_are_counted() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    plain = read(body()).ask.prompt_tokens

    assert read(body([{"type": "text", "text": "hello"}, image])).ask.prompt_tokens == plain + 85
    tools_text = orjson.dumps([TOOL]).decode()
    assert read(body(tools=[TOOL])).ask.prompt_tokens == plain + COUNTER.count(tools_text)


def test_long_prompt_is_counted_without_limit() -> None:
    assert read(body("hello world " * 300_000)).ask.prompt_tokens > 600_000


def test_directive_is_read_from_the_last_user_message_alone() -> None:
    messages = [
        {"role": "user", "content": "[[sim tokens=1]]"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "and now"},
        {"role": "assistant", "content": "[[sim tokens=3]]"},
    ]

    chat = read({"model": "m", "messages": messages})

    assert chat.directive is None
    assert chat.ask.prompt == "and now"


def test_results_of_tools_after_the_last_user_message_are_noticed() -> None:
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    request = {"model": "m", "messages": messages, "tools": [TOOL]}

    assert read(request).ask.tools_answered
    messages.append({"role": "user", "content": "again?"})
    assert not read(request).ask.tools_answered


def test_named_tool_choice_leaves_that_tool_alone() -> None:
    other = {"type": "function", "function": {"name": "clock"}}
    choice = {"type": "function", "function": {"name": "clock"}}

    ask = read(body(tools=[TOOL, other], tool_choice=choice)).ask

    assert [tool.name for tool in ask.tools] == ["clock"]
    assert ask.call_required


def test_null_fields_are_as_if_absent() -> None:
    names = ("stream", "max_tokens", "temperature", "tools", "stop", "response_format", "tool_choice", "stream_options")

    assert read(body(**dict.fromkeys(names))) == read(body())


def test_unknown_fields_are_ignored_unless_strict() -> None:
    read(body(top_k=4))
    with pytest.raises(RefusedError, match="Unrecognized request argument supplied: top_k"):
        read(body(top_k=4), refuse_unknown=True)


def with_messages(*messages: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


@pytest.mark.parametrize(
    ("request_body", "param"),
    [
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": "hi"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        (with_messages("hi"), "messages[0]"),
        (with_messages({"content": "hi"}), "messages[0].role"),
        (with_messages({"role": "robot", "content": "hi"}), "messages[0].role"),
        (with_messages({"role": ["user"], "content": "hi"}), "messages[0].role"),
        (with_messages({"role": "user"}), "messages[0].content"),
        (body(5), "messages[0].content"),
        (body([]), "messages[0].content"),
        (body(["hi"]), "messages[0].content[0]"),
        (body([{"type": "video", "video": {}}]), "messages[0].content[0].type"),
        (body([{"type": {}, "text": "hi"}]), "messages[0].content[0].type"),
        (body([{"type": "text"}]), "messages[0].content[0].text"),
        (body([{"type": "text", "text": 5}]), "messages[0].content[0].text"),
        (body([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].image_url.url"),
        (with_messages({"role": "assistant"}), "messages[0].content"),
        (with_messages({"role": "assistant", "tool_calls": [{"id": 5}]}), "messages[0].tool_calls[0]"),
        (with_messages({"role": "assistant", "tool_calls": [CALL]}), "messages[1].role"),
        (
            with_messages({"role": "assistant", "tool_calls": [CALL]}, {"role": "user", "content": ""}),
            "messages[1].role",
        ),
        (with_messages({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
        (with_messages({"role": "tool", "content": "x", "tool_call_id": "call_1"}), "messages[0].role"),
        (body(stream="yes"), "stream"),
        (body(stream_options={"include_usage": True}), "stream_options"),
        (body(stream=True, stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (body(max_tokens=0), "max_tokens"),
        (body(max_tokens="5"), "max_tokens"),
        (body(max_tokens=True), "max_tokens"),
        (body(max_tokens=5, max_completion_tokens=5), "max_tokens"),
        (body(temperature=2.1), "temperature"),
        (body(top_p=-0.1), "top_p"),
        (body(n=2), "n"),
        (body(stop=["a", "b", "c", "d", "e"]), "stop"),
        (body(stop=5), "stop"),
        (body(tools=[]), "tools"),
        (body(tools=[{"type": "function"}]), "tools[0].function"),
        (body(tools=[{"type": "function", "function": {"name": "no spaces"}}]), "tools[0].function.name"),
        (body(tool_choice="auto"), "tool_choice"),
        (body(tools=[TOOL], tool_choice="maybe"), "tool_choice"),
        (body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "x"}}), "tool_choice"),
        (body(top_logprobs=3), "top_logprobs"),
        (body(response_format={"type": ["text"]}), "response_format.type"),
        (body(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (body("[[sim speed=1]]"), "messages"),
    ],
)
def test_request_that_openai_refuses_is_refused_naming_the_field(request_body: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read(request_body)

    assert (refused.value.status, refused.value.param) == (400, param)
    assert refused.value.message


def test_refusals_carry_openais_codes() -> None:
    with pytest.raises(RefusedError) as refused:
        read(body(max_tokens=0))
    assert refused.value.code == "integer_below_min_value"
    assert "Expected a value >= 1, but got 0 instead." in refused.value.message


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"5", b"\xff", b'{"a": "\\ud800"}'])
def test_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusedError, match="could not parse the JSON body"):
        parse_body(raw)


@pytest.mark.parametrize("fields", [{}, {"model": None}, {"model": ""}, {"model": 5}, {"model": "m" * 257}])
def test_request_without_usable_model_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        model_of(fields)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text("aé [", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aé [", max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["messages", "tools", "tool_choice", "stop", "response_format", "stream_options", "max_tokens", "logit_bias", "n"]
)


@given(st.dictionaries(FIELDS, JSON_VALUES, max_size=4))
def test_any_fields_are_read_or_refused(fields: dict[str, Any]) -> None:
    refusals: list[RefusedError] = []
    attempts: list[Callable[[], ChatRequest]] = [lambda: read(fields), lambda: read({**body(), **fields})]
    for attempt in attempts:
        try:
            attempt()
        except RefusedError as refused:
            refusals.append(refused)

    assert all(refused.status == 400 for refused in refusals)


MESSAGE_FIELDS = st.sampled_from(["role", "content", "name", "tool_calls", "tool_call_id", "refusal"])
ROLES = st.sampled_from(["user", "assistant", "tool", "system"])


@given(st.lists(st.dictionaries(MESSAGE_FIELDS, ROLES | JSON_VALUES, max_size=5), max_size=3))
def test_any_messages_are_read_or_refused(messages: list[dict[str, Any]]) -> None:
    statuses: list[int] = []
    try:
        read({"model": "m", "messages": messages})
    except RefusedError as refused:
        statuses.append(refused.status)

    assert statuses in ([], [400])
