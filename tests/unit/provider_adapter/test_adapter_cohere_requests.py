import base64
from typing import Any

import orjson
import pytest

from libs.errors import AppError
from services.provider_adapter.protocols.cohere.protocol import CohereChat
from services.provider_adapter.protocols.cohere.schemas import answer_schema
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from tests.testkit.provider_conformance import attempt
from tests.unit.provider_adapter.cohere_bodies import (
    CALL,
    PLAIN,
    SCHEMA,
    TOOL,
    WIRE,
    assistant,
    prepared,
    sent,
    tool,
    user,
)

PNG = "data:image/png;base64,aGk="
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


def file(text: str, name: str = "") -> dict[str, Any]:
    data = "data:text/plain;base64," + base64.b64encode(text.encode()).decode()
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def test_the_key_is_a_bearer_and_none_is_no_header() -> None:
    assert CohereChat().headers("co-x") == {"Authorization": "Bearer co-x"}
    assert CohereChat().headers("") == {}


def test_a_plain_request_holds_nothing_more_than_it_must() -> None:
    assert sent("hi") == {
        "model": "command-a-reasoning-08-2025",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }
    assert "stream" not in sent("hi", stream=False)
    assert prepared().path == "/chat"


def test_parameters_go_by_this_formats_names_within_its_bounds() -> None:
    body = sent(
        temperature=1.7,
        top_p=1,
        top_k=900,
        seed=5,
        stop=["a", " ", "b", "c", "d", "e", "f"],
        frequency_penalty=2,
        max_completion_tokens=9,
        logprobs=True,
        n=2,
        logit_bias={"1": 2},
        user="alice",
    )

    assert {name: value for name, value in body.items() if name not in {"model", "messages", "stream"}} == {
        "temperature": 1,
        "p": 0.99,
        "k": 500,
        "seed": 5,
        "stop_sequences": ["a", "b", "c", "d", "e"],
        "frequency_penalty": 1,
        "max_tokens": 9,
        "logprobs": True,
    }


def test_models_take_one_of_the_two_penalties_and_none_below_zero() -> None:
    assert "presence_penalty" not in sent(frequency_penalty=0.5, presence_penalty=0.5)
    assert sent(frequency_penalty=0, presence_penalty=0.5)["presence_penalty"] == 0.5
    assert not {"frequency_penalty", "presence_penalty"} & sent(frequency_penalty=-1, presence_penalty=-1).keys()
    assert "seed" not in sent(seed=-3)


def test_the_gateways_limit_goes_before_the_callers() -> None:
    assert sent(max_tokens=50, limit=9)["max_tokens"] == 9


def test_unsupported_parameters_are_left_out() -> None:
    body = sent(tools=[TOOL], reasoning={"effort": "high"}, unsupported=("tools", "reasoning"))

    assert not {"tools", "thinking"} & body.keys()


def test_system_words_come_first_and_later_ones_are_the_users() -> None:
    messages = [
        {"role": "developer", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "b"}]},
        user("c"),
        {"role": "system", "content": "d"},
    ]

    assert sent(messages)["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
    ]


def test_instructions_alone_are_said_by_the_user() -> None:
    assert sent([{"role": "system", "content": "a"}])["messages"] == [{"role": "user", "content": "a"}]


def test_empty_turns_are_left_out() -> None:
    assert sent([user("a"), assistant(""), user("")])["messages"] == [{"role": "user", "content": "a"}]


def test_images_go_as_they_came_with_their_detail() -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": "https://x.test/a.png"},
        {"type": "image_url", "image_url": {"url": "https://x.test/b.png", "detail": "of the future"}},
    ]

    assert sent([user(parts)])["messages"][0]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/b.png"}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/v.mp4"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
        {"type": "file", "file": {"filename": "a.txt", "file_data": "https://x.test/a.txt"}},
    ],
)
def test_what_has_no_form_here_is_refused_and_may_be_tried_elsewhere(part: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        prepared([user([{"type": "text", "text": "x"}, part])])

    assert caught.value.failure.failure_class is FailureClass.INVALID_REQUEST
    assert caught.value.failure.elsewhere is True


def test_files_of_text_are_documents_to_cite_from() -> None:
    body = sent([user([{"type": "text", "text": "q"}, file("facts", "a.txt")])], safety_mode="STRICT")

    assert body["messages"] == [{"role": "user", "content": "q"}]
    assert body["documents"] == [{"data": {"text": "facts", "title": "a.txt"}}]
    assert "safety_mode" not in body


def test_files_of_text_stand_in_the_message_where_documents_may_not_be() -> None:
    body = sent([user([{"type": "text", "text": "q"}, file("facts", "a.txt")])], response_format=FORMAT)

    beside_tools = sent([user([{"type": "text", "text": "q"}, file("facts", "a.txt")])], tools=[TOOL])

    for one in (body, beside_tools):
        assert "documents" not in one
        assert one["messages"][0]["content"][1] == {"type": "text", "text": "a.txt:\nfacts"}
    assert sent([user([file("facts")])])["messages"] == [{"role": "user", "content": "facts"}]


def test_the_formats_own_fields_pass_if_they_are_well_formed() -> None:
    body = sent(safety_mode="STRICT", citation_options={"mode": "fast"})
    documents = ["a", {"id": "d", "data": {"text": "b"}, "x": 1}, {"data": "c"}, 7, ""]

    assert body["safety_mode"] == "STRICT"
    assert body["citation_options"] == {"mode": "FAST"}
    assert not {"safety_mode", "citation_options"} & sent(safety_mode="odd", citation_options={"mode": 1}).keys()
    assert sent(documents=documents)["documents"] == ["a", {"id": "d", "data": {"text": "b"}}]


def test_tools_keep_their_nesting_and_always_have_parameters() -> None:
    bare = {"type": "function", "function": {"name": "g", "description": "d", "strict": False}}

    assert sent(tools=[TOOL, bare, {"type": "web_search"}], parallel_tool_calls=False)["tools"] == [
        TOOL,
        {
            "type": "function",
            "function": {"name": "g", "description": "d", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        ("auto", None, ["f", "g"]),
        ("required", "REQUIRED", ["f", "g"]),
        ("none", "NONE", ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, "REQUIRED", ["g"]),
        ({"type": "function", "function": {"name": "unknown"}}, "REQUIRED", ["f", "g"]),
    ],
)
def test_tool_choice_has_two_words_and_a_named_one_is_the_only_tool(choice: Any, expected: Any, names: Any) -> None:
    body = sent(tools=[TOOL, {"type": "function", "function": {"name": "g"}}], tool_choice=choice)

    assert body.get("tool_choice") == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == names


def test_strict_tools_are_asked_for_where_models_know_them_and_schemas_allow() -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}  # type: ignore[dict-item]
    loose = {"type": "function", "function": {"name": "g", "strict": True, "parameters": {"properties": {"a": {}}}}}

    assert sent(model="command-r7b-12-2024", tools=[strict])["strict_tools"] is True
    assert "strict_tools" not in sent(model="command-r7b-12-2024", tools=[strict, TOOL])
    assert "strict_tools" not in sent(model="command-r7b-12-2024", tools=[loose])
    assert "strict_tools" not in sent(model=PLAIN, tools=[strict])


def test_a_tool_loop_goes_back_with_its_plan_and_every_result() -> None:
    other = {"id": "f_2", "type": "function", "function": {"name": "f", "arguments": ""}}
    plan = {"type": "reasoning.text", "text": "I will look.", "id": "tool_plan", "format": "cohere-chat-v2", "index": 0}
    messages = [
        user("q"),
        assistant(None, tool_calls=[CALL, other], reasoning_details=[plan]),
        tool("sunny"),
        tool([{"type": "text", "text": "a"}, file("b", "b.txt")], "f_2"),
        user("so?"),
    ]

    assert sent(messages, tools=[TOOL])["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                CALL,
                {"id": "f_2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
            "tool_plan": "I will look.",
        },
        {"role": "tool", "tool_call_id": "f_1", "content": "sunny"},
        {
            "role": "tool",
            "tool_call_id": "f_2",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "document", "document": {"data": {"text": "b", "title": "b.txt"}}},
            ],
        },
        {"role": "user", "content": "so?"},
    ]


def test_words_beside_calls_are_their_plan_and_open_calls_get_a_result() -> None:
    messages = [user("q"), assistant("Let me see.", tool_calls=[CALL])]

    assistant_message, result = sent(messages, tools=[TOOL])["messages"][1:]
    assert assistant_message["tool_plan"] == "Let me see."
    assert "content" not in assistant_message
    assert result["tool_call_id"] == "f_1"
    assert result["content"]


def test_an_empty_result_is_an_empty_object_and_images_in_results_are_refused() -> None:
    loop = [user("q"), assistant(None, tool_calls=[CALL])]

    assert sent([*loop, tool("")], tools=[TOOL])["messages"][-1]["content"] == "{}"
    with pytest.raises(ProviderFailedError):
        prepared([*loop, tool([{"type": "image_url", "image_url": {"url": PNG}}])], tools=[TOOL])


def test_thoughts_go_back_as_they_came_in_whole_blocks() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm", "format": "cohere-chat-v2", "index": 0},
        {"type": "reasoning.text", "text": "…", "format": "cohere-chat-v2", "index": 0},
        {"type": "reasoning.text", "text": "other's", "format": "anthropic-claude-v1", "signature": "s", "index": 0},
        {"type": "reasoning.text", "text": "second", "format": "cohere-chat-v2", "index": 1},
    ]
    messages = [user("q"), assistant("a", reasoning_details=details), user("r")]

    assert sent(messages)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm…"},
        {"type": "thinking", "thinking": "second"},
        {"type": "text", "text": "a"},
    ]
    assert sent(messages, model=PLAIN)["messages"][1]["content"] == "a"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"reasoning": {"max_tokens": 300}}, {"type": "enabled", "token_budget": 300}),
        ({"reasoning": {"effort": "low"}, "max_tokens": 1000}, {"type": "enabled", "token_budget": 200}),
        ({"reasoning": {"max_tokens": 9000}, "max_tokens": 100}, {"type": "enabled", "token_budget": 99}),
        ({"reasoning_effort": "high", "max_tokens": 1}, {"type": "enabled", "token_budget": 1}),
        ({"reasoning": {"enabled": False}}, {"type": "disabled"}),
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({}, None),
    ],
)
def test_reasoning_is_thinking_with_a_budget(asked: dict[str, Any], expected: Any) -> None:
    assert sent(**asked).get("thinking") == expected
    assert "thinking" not in sent(model=PLAIN, **asked)


def test_structured_output_has_the_schema_beside_the_type() -> None:
    assert sent(response_format=FORMAT)["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    assert sent(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}
    assert "response_format" not in sent(response_format={"type": "text"})


def test_an_answer_in_json_beside_tools_is_the_call_of_a_tool() -> None:
    made = prepared(tools=[TOOL], response_format=FORMAT)
    body = orjson.loads(made.body)

    assert "response_format" not in body
    assert body["tool_choice"] == "REQUIRED"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f", made.answer_tool]
    assert body["tools"][1]["function"]["parameters"] == SCHEMA


def test_a_call_that_is_due_leaves_no_room_for_an_answer_and_no_call_none_for_tools() -> None:
    due = prepared(tools=[TOOL], response_format=FORMAT, tool_choice="required")
    barred = prepared(tools=[TOOL], response_format=FORMAT, tool_choice="none")

    assert due.answer_tool == barred.answer_tool == ""
    assert "response_format" not in orjson.loads(due.body)
    assert "tools" not in orjson.loads(barred.body)
    assert "response_format" in orjson.loads(barred.body)


def test_schemas_require_something_in_each_object_and_tell_what_is_not_known() -> None:
    schema = {
        "$schema": "x",
        "properties": {
            "inner": {"type": "object", "properties": {"b": {"type": "integer", "minimum": 3, "description": "B"}}},
            "list": {"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 2},
            "code": {"type": "string", "pattern": "^[^a]{3}$"},
            "ahead": {"type": "string", "pattern": "a(?=b)"},
            "one": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "when": {"type": "string", "format": "date"},
        },
        "additionalProperties": False,
    }

    assert answer_schema(schema) == {
        "type": "object",
        "properties": {
            "inner": {
                "type": "object",
                "properties": {"b": {"type": "integer", "description": "B\n\n{minimum: 3}"}},
                "required": ["b"],
            },
            "list": {
                "type": "array",
                "items": {"type": "string", "description": '{format: "email"}'},
                "description": "{minItems: 2}",
            },
            "code": {"type": "string", "pattern": "[^a]{3}"},
            "ahead": {"type": "string", "description": '{pattern: "a(?=b)"}'},
            "one": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "when": {"type": "string", "format": "date"},
        },
        "required": ["inner", "list", "code", "ahead", "one", "when"],
    }


def test_a_schema_without_properties_asks_for_any_object() -> None:
    empty = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}

    assert sent(response_format=empty)["response_format"] == {"type": "json_object"}


def test_bodies_that_are_no_request_are_the_callers_fault() -> None:
    for body in (b"[]", b"{"):
        with pytest.raises(AppError):
            CohereChat().prepare(attempt(WIRE, body=body), "")
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    body = b'{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":%b}}]}' % deep
    with pytest.raises(AppError):
        CohereChat().prepare(attempt(WIRE, body=body), "")
