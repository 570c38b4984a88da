from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.gigachat.protocol import GigaChat, GigaChatEmbeddings
from services.provider_adapter.protocols.plain_schemas import function_schema
from services.provider_adapter.protocols.port import EMBEDDINGS, Prepared, Usage
from tests.testkit.provider_conformance import Decoded, attempt, message_of
from tests.testkit.provider_wires import Call, Reply
from tests.testkit.provider_wires_gigachat import STATE, GigaChatWire

WIRE = GigaChatWire()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": CITY}}
NOW = {"type": "function", "function": {"name": "now"}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}}


def prepared(*messages: Any, stream: bool = True, **fields: Any) -> Prepared:
    said = list(messages) or [{"role": "user", "content": "hi"}]
    body = orjson.dumps({"model": "m", "messages": said, **fields})
    return GigaChat().prepare(attempt(WIRE, body=body, stream=stream), "")


def sent(*messages: Any, **fields: Any) -> dict[str, Any]:
    value = orjson.loads(prepared(*messages, **fields).body)
    assert isinstance(value, dict)
    return value


def call(name: str, call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_plain_request_holds_nothing_more_than_it_must() -> None:
    user = {"role": "user", "content": "hi"}

    assert sent() == {"model": "GigaChat-2-Max", "messages": [user], "stream": True}
    assert sent(stream=False) == {"model": "GigaChat-2-Max", "messages": [user]}
    assert prepared().path == "/chat/completions"


def test_parameters_without_a_form_are_left_out_and_the_others_are_in_bounds() -> None:
    body = sent(
        temperature=7, top_p=0.4, max_completion_tokens=9, seed=5, stop=["x"], n=2, frequency_penalty=1, user="ann",
        repetition_penalty=1.1, logprobs=True, parallel_tool_calls=False, reasoning={"effort": "high"},
    )  # fmt: skip

    assert {name: body[name] for name in body if name not in {"messages", "model", "stream"}} == {
        "temperature": 2,
        "top_p": 0.4,
        "max_tokens": 9,
        "repetition_penalty": 1.1,
    }


def test_a_temperature_of_nothing_is_said_as_nothing_to_choose_from() -> None:
    body = sent(temperature=0, top_p=0.9)

    assert body["top_p"] == 0
    assert "temperature" not in body


def test_a_model_that_thinks_is_told_how_hard() -> None:
    body = orjson.dumps({"messages": [], "reasoning": {"effort": "minimal"}})
    made = GigaChat().prepare(attempt(WIRE, body=body, provider_model_id="GigaChat-3-Ultra"), "")

    assert orjson.loads(made.body)["reasoning_effort"] == "low"


def test_the_system_speaks_once_and_first() -> None:
    messages = sent(
        {"role": "developer", "content": "One."},
        {"role": "system", "content": [{"type": "text", "text": "Two."}]},
        {"role": "user", "content": "A"},
        {"role": "system", "content": "Three."},
    )["messages"]

    assert messages == [{"role": "system", "content": "One.\n\nTwo."}, {"role": "user", "content": "A\n\nThree."}]


def test_calls_go_one_by_one_each_answered_at_once() -> None:
    messages = sent(
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [call("weather", f"gigachat_{STATE}", '{"city": "Bern"}'), call("now", "c2")],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        {"role": "tool", "tool_call_id": f"gigachat_{STATE}", "content": '{"t": 7}'},
        tools=[WEATHER, NOW],
    )["messages"]

    assert messages[1:] == [
        {
            "role": "assistant",
            "content": "Looking.",
            "function_call": {"name": "weather", "arguments": {"city": "Bern"}},
            "functions_state_id": STATE,
        },
        {"role": "function", "name": "weather", "content": '{"t": 7}'},
        {"role": "assistant", "content": "", "function_call": {"name": "now", "arguments": {}}},
        {"role": "function", "name": "now", "content": '{"result":"noon"}'},
    ]


def test_the_result_of_a_call_that_nobody_made_is_what_the_user_says() -> None:
    messages = sent(
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call("now", "c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "tool", "tool_call_id": "lost", "content": "rain"},
    )["messages"]

    assert messages[-1] == {"role": "user", "content": "rain"}


def test_a_calls_id_carries_the_state_that_goes_back_with_it() -> None:
    reply = Reply(calls=(Call("now", {}),), end="tool_calls")
    message, _ = message_of(WIRE, reply)

    assert message["tool_calls"][0]["id"] == Decoded(WIRE, WIRE.stream(reply)).calls[0]["id"] == f"gigachat_{STATE}"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ({"type": "function", "function": {"name": "now"}}, {"name": "now"}),
        ("required", "auto"),
    ],
)
def test_choices_of_tools(choice: Any, expected: Any) -> None:
    body = sent(tools=[WEATHER, NOW], tool_choice=choice)

    assert body["function_call"] == expected
    assert [one["name"] for one in body["functions"]] == ["weather", "now"]
    assert (body["messages"][0]["role"] == "system") == (choice == "required")


def test_a_required_call_of_the_only_tool_is_a_call_of_it() -> None:
    assert sent(tools=[WEATHER], tool_choice="required")["function_call"] == {"name": "weather"}


def test_an_answer_by_a_schema_is_the_call_of_a_function_and_comes_back_as_text() -> None:
    made = prepared(response_format=FORMAT)
    body = orjson.loads(made.body)
    reply = Reply(calls=(Call(made.answer_tool, {"city": "Bern"}),), end="tool_calls")

    assert body["function_call"] == {"name": made.answer_tool}
    assert body["functions"][0]["parameters"] == CITY
    whole = message_of(WIRE, reply, answer_tool=made.answer_tool)
    assert (whole[0]["content"], whole[1].finish_reason) == ('{"city":"Bern"}', "stop")
    decoder = WIRE.protocol.decoder(attempt(WIRE), made)
    given = decoder.feed(WIRE.stream(reply)) + decoder.finish()
    assert b"tool_calls" not in given
    assert decoder.facts.finish_reason == "stop"


def test_json_without_a_schema_is_asked_for_in_words() -> None:
    assert "JSON" in sent(response_format={"type": "json_object"})["messages"][0]["content"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://x.test/cat.png"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ],
)
def test_what_is_not_text_may_be_tried_elsewhere(part: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        sent({"role": "user", "content": [part]})

    assert caught.value.failure.failure_class is FailureClass.INVALID_REQUEST
    assert caught.value.failure.elsewhere is True


def test_schemas_are_brought_to_the_words_that_functions_have() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {"anyOf": [{"type": "null"}, {"type": "integer"}], "description": "n"},
            "c": {"type": ["string", "null"], "const": "k"},
            "d": {"type": "array"},
            "e": {"type": "object"},
            "self": {"$ref": "#/$defs/Loop"},
        },
        "required": ["a", "zzz"],
        "additionalProperties": False,
        "$defs": {
            "A": {"type": "string", "enum": ["x"]},
            "Loop": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Loop"}}},
        },
    }

    assert function_schema(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "enum": ["x"]},
            "b": {"type": "integer", "description": "n"},
            "c": {"type": "string", "enum": ["k"]},
            "d": {"type": "array", "items": {"type": "string"}},
            "e": {"type": "object", "properties": {}},
            "self": {"type": "object", "properties": {"next": {}}},
        },
        "required": ["a"],
    }
    assert function_schema(None) == {"type": "object", "properties": {}}


def test_each_vector_has_a_count_of_its_own_and_they_add_up() -> None:
    protocol = GigaChatEmbeddings()
    body = orjson.dumps({"model": "m", "input": ["a", "b"], "dimensions": 8, "user": "ann", "input_type": "query"})
    asked = attempt(WIRE, body=body, operation=EMBEDDINGS, provider_model_id="EmbeddingsGigaR", stream=False)
    made = protocol.prepare(asked, "")
    vectors = [
        {"object": "embedding", "index": place, "embedding": [place, 0.5], "usage": {"prompt_tokens": 3 + place}}
        for place in (1, 0)
    ]

    reply, facts = protocol.whole(asked, made, orjson.dumps({"object": "list", "data": vectors, "model": "x"}))

    assert orjson.loads(made.body) == {"model": "EmbeddingsGigaR", "input": ["a", "b"]}
    assert [one["embedding"] for one in orjson.loads(reply)["data"]] == [[0, 0.5], [1, 0.5]]
    assert facts.usage == Usage(7, 0)
    del vectors[0]["usage"]
    assert protocol.whole(asked, made, orjson.dumps({"data": vectors}))[1].usage is None
