from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.oci.embeddings import OciEmbeddings
from services.provider_adapter.protocols.oci.forms import Form, form_of
from services.provider_adapter.protocols.oci.protocol import OciChat
from services.provider_adapter.protocols.oci.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared, Usage

COMPARTMENT = "ocid1.compartment.oc1..cccc"
PNG = "data:image/png;base64,aGk="
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Looks",
            "parameters": {
                "type": "object",
                "properties": {
                    "where": {"$ref": "#/$defs/Where"},
                    "days": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "tags": {"type": "array", "items": {"type": "string"}, "description": "Some"},
                },
                "required": ["where"],
                "$defs": {"Where": {"type": "string", "enum": ["here", "there"]}},
            },
        },
    }
]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"where":"here"}'}}
LOOP = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Before"},
    {"role": "assistant", "content": "Sure."},
    {"role": "user", "content": "Look!"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
]


def prepared(model: str, *messages: Any, **fields: Any) -> Prepared:
    attempt_fields: dict[str, Any] = {
        name: fields.pop(name) for name in ("stream", "unsupported_parameters") if name in fields
    }
    listed = list(messages) or [{"role": "user", "content": "hi"}]
    body = orjson.dumps({"model": "m", "messages": listed, **fields})
    told: dict[str, Any] = {"stream": False, "account": {"compartmentId": COMPARTMENT}, **attempt_fields}
    return OciChat().prepare(Attempt("gen-1", "Oracle", model, "maker/model", 1_700_000_000, body=body, **told), "")


def sent(model: str, *messages: Any, **fields: Any) -> Any:
    return orjson.loads(prepared(model, *messages, **fields).body)["chatRequest"]


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("google.gemini-2.5-pro", Form.GENERIC),
        ("openai.gpt-5", Form.GENERIC),
        ("cohere.command-a-03-2025", Form.COHERE_V2),
        ("cohere.command-a-vision", Form.COHERE_V2),
        ("cohere.command-r-08-2024", Form.COHERE),
        ("cohere.command-latest", Form.COHERE),
    ],
)
def test_every_model_is_asked_in_the_kind_of_chat_that_it_takes(model: str, form: Form) -> None:
    made = prepared(model, stream=True)

    assert form_of(model) is form
    assert made.path == "/20231130/actions/chat"
    body = orjson.loads(made.body)
    assert body["compartmentId"] == COMPARTMENT
    assert body["servingMode"] == {"servingType": "ON_DEMAND", "modelId": model}
    asked = body["chatRequest"]
    assert (asked["apiFormat"], asked["isStream"], asked["streamOptions"]) == (form, True, {"isIncludeUsage": True})


def test_a_loop_in_the_generic_kind() -> None:
    asked = sent("google.gemini-2.5-pro", *LOOP, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)

    assert asked["messages"] == [
        {"role": "SYSTEM", "content": [{"type": "TEXT", "text": "Be brief."}]},
        {"role": "USER", "content": [{"type": "TEXT", "text": "Before"}]},
        {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "Sure."}]},
        {"role": "USER", "content": [{"type": "TEXT", "text": "Look!"}]},
        {
            "role": "ASSISTANT",
            "toolCalls": [{"id": "c1", "type": "FUNCTION", "name": "look", "arguments": '{"where":"here"}'}],
        },
        {"role": "TOOL", "toolCallId": "c1", "content": [{"type": "TEXT", "text": "nothing"}]},
    ]
    (tool,) = asked["tools"]
    assert (tool["type"], tool["name"], tool["description"]) == ("FUNCTION", "look", "Looks")
    assert tool["parameters"]["properties"] == {
        "where": {"type": "string", "enum": ["here", "there"]},
        "days": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "Some"},
    }
    assert asked["toolChoice"] == {"type": "REQUIRED"}
    assert asked["isParallelToolCalls"] is False


def test_a_loop_in_coheres_second_kind() -> None:
    choice = {"type": "function", "function": {"name": "look"}}
    asked = sent("cohere.command-a-03-2025", *LOOP, tools=TOOLS, tool_choice=choice)

    function = {"name": "look", "arguments": '{"where":"here"}'}
    assert asked["messages"][-2:] == [
        {
            "role": "ASSISTANT",
            "content": [{"type": "TEXT", "text": " "}],
            "toolCalls": [{"id": "c1", "type": "FUNCTION", "function": function}],
        },
        {"role": "TOOL", "toolCallId": "c1", "content": [{"type": "TEXT", "text": "nothing"}]},
    ]
    assert asked["tools"][0]["function"]["name"] == "look"
    assert asked["toolsChoice"] == "REQUIRED"


def test_a_loop_in_coheres_first_kind() -> None:
    asked = sent("cohere.command-r-08-2024", *LOOP, tools=TOOLS)
    again = sent("cohere.command-r-08-2024", *LOOP, {"role": "user", "content": "And?"}, tools=TOOLS)

    made = {"name": "look", "parameters": {"where": "here"}}
    assert asked["message"] == ""
    assert asked["preambleOverride"] == "Be brief."
    assert asked["chatHistory"] == [
        {"role": "USER", "message": "Before"},
        {"role": "CHATBOT", "message": "Sure."},
        {"role": "USER", "message": "Look!"},
        {"role": "CHATBOT", "message": " ", "toolCalls": [made]},
    ]
    assert asked["toolResults"] == [{"call": made, "outputs": [{"output": "nothing"}]}]
    assert asked["tools"] == [
        {
            "name": "look",
            "description": "Looks",
            "parameterDefinitions": {
                "where": {"type": "str", "description": 'One of ["here","there"].', "isRequired": True},
                "days": {"type": "int", "description": "", "isRequired": False},
                "tags": {
                    "type": "list",
                    "description": "Some As this JSON schema says: "
                    '{"description":"Some","type":"array","items":{"type":"string"}}',
                    "isRequired": False,
                },
            },
        }
    ]
    assert (again["message"], again["isForceSingleStep"]) == ("And?", True)


def test_results_further_back_stand_among_the_turns_of_the_first_kind() -> None:
    later = [*LOOP, {"role": "assistant", "content": "There."}, {"role": "user", "content": "Thanks"}]
    asked = sent("cohere.command-r-08-2024", *later)

    assert [turn["role"] for turn in asked["chatHistory"]] == ["USER", "CHATBOT", "USER", "CHATBOT", "TOOL", "CHATBOT"]
    assert asked["message"] == "Thanks"
    assert "toolResults" not in asked


@pytest.mark.parametrize("model", ["openai.gpt-5", "cohere.command-a-03-2025", "cohere.command-r-08-2024"])
def test_instructions_alone_are_what_the_user_says(model: str) -> None:
    asked = sent(model, {"role": "system", "content": "Sing."})

    if form_of(model) is Form.COHERE:
        assert asked["message"] == "Sing."
    else:
        assert asked["messages"] == [{"role": "USER", "content": [{"type": "TEXT", "text": "Sing."}]}]


def test_images_go_as_data() -> None:
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]
    message = {"role": "user", "content": parts}

    generic = sent("google.gemini-2.5-flash", message)["messages"][0]["content"][1]
    cohere = sent("cohere.command-a-vision", message)["messages"][0]["content"][1]

    assert generic == {"type": "IMAGE", "imageUrl": {"url": PNG, "detail": "LOW"}}
    assert cohere == {"type": "IMAGE_URL", "imageUrl": {"url": PNG, "detail": "LOW"}}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("cohere.command-r-08-2024", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}]}),
        ("cohere.command-r-08-2024", {"messages": [*LOOP, {"role": "assistant", "content": "And so"}]}),
        ("cohere.command-r-08-2024", {"tools": TOOLS, "tool_choice": "required"}),
        ("cohere.command-r-08-2024", {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "look"}}}),
        ("cohere.command-r-08-2024", {"tools": TOOLS, "response_format": {"type": "json_object"}}),
        ("openai.gpt-5", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "http://x/a"}]}]}),
        (
            "openai.gpt-5",
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "aGk="}}]}]},
        ),
    ],
)  # fmt: skip
def test_what_has_no_form_is_left_to_another_provider(model: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        sent(model, *fields.pop("messages", ()), **fields)

    assert caught.value.failure.failure_class is FailureClass.INVALID_REQUEST
    assert caught.value.failure.elsewhere is True


def test_parameters_of_a_thinker_of_openais() -> None:
    asked = sent(
        "openai.gpt-5-mini",
        max_tokens=99,
        temperature=0.5,
        stop=["x"],
        seed=7,
        verbosity="low",
        reasoning={"effort": "high"},
    )

    told = {name: value for name, value in asked.items() if name not in {"apiFormat", "messages"}}
    assert told == {"maxCompletionTokens": 99, "reasoningEffort": "HIGH", "seed": 7, "verbosity": "LOW"}


def test_parameters_of_gemini_and_of_coheres_kinds() -> None:
    fields: dict[str, Any] = {
        "max_tokens": 9,
        "temperature": 1.5,
        "top_p": 1,
        "top_k": 3,
        "frequency_penalty": 2,
        "presence_penalty": 1,
        "stop": "x",
        "reasoning": {"effort": "low"},
        "n": 2,
    }
    gemini, second, first = (
        {
            name: value
            for name, value in sent(model, **fields).items()
            if name not in {"apiFormat", "message", "messages"}
        }
        for model in ("google.gemini-2.5-pro", "cohere.command-a-reasoning", "cohere.command-r-08-2024")
    )

    common = {"maxTokens": 9, "topK": 3}
    assert gemini == {
        **common,
        "temperature": 1.5,
        "topP": 1,
        "frequencyPenalty": 2,
        "presencePenalty": 1,
        "stop": ["x"],
    }
    coheres = {**common, "temperature": 1, "topP": 0.99, "frequencyPenalty": 1, "stopSequences": ["x"]}
    assert second == {**coheres, "thinking": {"type": "ENABLED", "tokenBudget": 1}}
    assert first == coheres


def test_an_answer_as_json_has_a_field_of_its_own_in_each_kind() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    described = {"name": "answer", "strict": True, "schema": schema}
    form = {"type": "json_schema", "json_schema": described}

    assert sent("openai.gpt-5", response_format=form)["responseFormat"] == {
        "type": "JSON_SCHEMA",
        "jsonSchema": {"name": "answer", "schema": schema, "isStrict": True},
    }
    assert sent("openai.gpt-5", response_format={"type": "json_object"})["responseFormat"] == {"type": "JSON_OBJECT"}
    for model in ("cohere.command-a-03-2025", "cohere.command-r-08-2024"):
        assert sent(model, response_format=form)["responseFormat"] == {"type": "JSON_OBJECT", "schema": schema}
    beside = prepared("cohere.command-a-03-2025", tools=TOOLS, response_format=form)
    asked = orjson.loads(beside.body)["chatRequest"]
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["look", beside.answer_tool]
    assert asked["toolsChoice"] == "REQUIRED"


# --- replies


def decoded(form: Form, *events: Any) -> tuple[list[Any], Any]:
    attempt = Attempt("gen-1", "Oracle", "x", "maker/model", 1_700_000_000, stream=True, body=b"{}")
    decoder = OciChat().decoder(attempt, Prepared("", b"", asked=form))
    raw = b"".join(b"data: %b\n\n" % orjson.dumps(event) for event in events)
    given = (decoder.feed(raw) + decoder.finish()).split(b"\n\n")[:-1]
    return [orjson.loads(one[6:])["choices"][0]["delta"] for one in given], decoder


def test_pieces_of_calls_find_theirs_by_place_or_by_id() -> None:
    def calls(*listed: Any) -> Any:
        return {"message": {"role": "ASSISTANT", "toolCalls": list(listed)}}

    deltas, decoder = decoded(
        Form.GENERIC,
        calls({"index": 0, "id": "a", "name": "f"}, {"index": 1, "id": "b", "name": "g"}),
        calls({"index": 1, "arguments": '{"x":'}, {"index": 0, "arguments": "{}"}),
        calls({"id": "b", "name": "g", "arguments": "1}"}),
        calls({"name": "h", "arguments": ""}),
        {"finishReason": "stop"},
        {"usage": {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}},
    )

    said: dict[int, str] = {}
    names = []
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls", ())):
        names += [piece["function"]["name"]] if "id" in piece else []
        said[piece["index"]] = said.get(piece["index"], "") + piece["function"]["arguments"]
    assert names == ["f", "g", "h"]
    assert said == {0: "{}", 1: '{"x":1}', 2: "{}"}
    assert decoder.facts.finish_reason == "tool_calls"
    assert decoder.facts.usage == Usage(1, 2)
    assert decoder.ended


def test_a_last_event_adds_what_it_says_more_and_nothing_else() -> None:
    for last, expected in (("Hello you", "Hello you"), ("Hello", "Hello"), ("hello ", "Hello")):
        deltas, _ = decoded(Form.COHERE, {"text": "Hel"}, {"text": "lo"}, {"text": last, "finishReason": "COMPLETE"})
        assert "".join(delta.get("content", "") for delta in deltas) == expected
    alone, _ = decoded(Form.COHERE, {"text": "All at once", "finishReason": "COMPLETE"})
    assert "".join(delta.get("content", "") for delta in alone) == "All at once"


def test_a_reply_that_ended_in_an_error_before_it_began_is_a_failure() -> None:
    _, decoder = decoded(Form.COHERE, {"text": "", "finishReason": "ERROR", "errorMessage": "out of order"})
    assert (decoder.failure.failure_class, decoder.failure.message) == (FailureClass.UPSTREAM, "out of order")

    body = orjson.dumps({"chatResponse": {"apiFormat": "COHERE", "text": "", "finishReason": "ERROR"}})
    attempt = Attempt("gen-1", "Oracle", "x", "maker/model", 1, stream=False, body=b"{}")
    with pytest.raises(ProviderFailedError):
        OciChat().whole(attempt, Prepared("", b""), body)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"promptTokens": 3, "completionTokens": 4, "totalTokens": 7}, Usage(3, 4)),
        (
            {
                "promptTokens": 13,
                "completionTokens": 8,
                "totalTokens": 607,
                "completionTokensDetails": {"reasoningTokens": 586},
            },
            Usage(13, 594, reasoning_tokens=586),
        ),
        ({"promptTokens": 3, "totalTokens": 5}, Usage(3, 2)),
        ({"promptTokens": 3}, None),
        ({"promptTokens": -3, "completionTokens": 4}, None),
        ({"totalTokens": 9}, None),
        (None, None),
    ],
)
def test_counts_are_whole_or_absent(told: Any, expected: Usage | None) -> None:
    assert usage_of(told) == expected


def embedded(**fields: Any) -> tuple[Attempt, Prepared]:
    attempt = Attempt(
        "gen-1",
        "Oracle",
        "cohere.embed-v4.0",
        "cohere/embed-v4.0",
        1,
        stream=False,
        body=orjson.dumps({"model": "m", **fields}),
        operation="embeddings",
        account={"compartmentId": COMPARTMENT},
    )
    return attempt, OciEmbeddings().prepare(attempt, "")


def test_embeddings_are_asked_for_texts_or_one_picture() -> None:
    _, texts = embedded(input=["a", "b"], input_type="search_query", dimensions=256)
    picture = {"content": [{"type": "image_url", "image_url": {"url": PNG}}]}
    _, shown = embedded(input=[picture])

    assert texts.path == "/20231130/actions/embedText"
    assert orjson.loads(texts.body) == {
        "compartmentId": COMPARTMENT,
        "servingMode": {"servingType": "ON_DEMAND", "modelId": "cohere.embed-v4.0"},
        "inputs": ["a", "b"],
        "inputType": "SEARCH_QUERY",
        "outputDimensions": 256,
    }
    assert orjson.loads(shown.body)["inputs"] == [PNG]
    assert orjson.loads(shown.body)["inputType"] == "IMAGE"
    for inputs in ([picture, picture], [picture, "a"]):
        with pytest.raises(ProviderFailedError):
            embedded(input=inputs)


@pytest.mark.parametrize(
    ("more", "usage"),
    [
        ({"inputTextTokenCounts": [2, 3]}, Usage(5, 0)),
        ({"usage": {"promptTokens": 7, "totalTokens": 7}}, Usage(7, 0)),
        ({"inputTextTokenCounts": [2, "3"]}, None),
        ({}, None),
    ],
)
def test_vectors_are_read_with_what_was_counted(more: dict[str, Any], usage: Usage | None) -> None:
    attempt, asked = embedded(input=["a", "b"])
    reply = {"id": "e-1", "embeddings": [[0.5, 1.0], [0.25, 0.0]], "modelVersion": "3.0", **more}

    made, facts = OciEmbeddings().whole(attempt, asked, orjson.dumps(reply))

    assert [one["embedding"] for one in orjson.loads(made)["data"]] == [[0.5, 1.0], [0.25, 0.0]]
    assert facts.usage == usage
    for broken in ({"code": "X", "message": "boom"}, {"id": "e-1"}):
        with pytest.raises(ProviderFailedError):
            OciEmbeddings().whole(attempt, asked, orjson.dumps(broken))
