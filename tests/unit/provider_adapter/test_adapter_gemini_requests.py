from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.gemini.models import Thinking, traits_of
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.gemini.schemas import openapi_schema
from tests.testkit.provider_conformance import attempt
from tests.testkit.provider_wires import data
from tests.unit.provider_adapter.gemini_bodies import (
    CALL,
    TOOL,
    WIRE,
    assistant,
    candidate,
    config,
    prepared,
    sent,
    tool,
    user,
    whole,
)


def test_the_path_says_the_model_and_how() -> None:
    assert prepared().path == "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert prepared(stream=False, model="models/gemini-x").path == "/models/gemini-x:generateContent"
    assert prepared(model="../a b?c", stream=False).path == "/models/..%2Fa%20b%3Fc:generateContent"
    assert Gemini().headers("k") == {"x-goog-api-key": "k"}


def test_a_plain_request_holds_nothing_more_than_it_must() -> None:
    assert sent("hi") == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_roles_are_user_and_model_and_system_words_apart() -> None:
    body = sent([{"role": "system", "content": "S"}, user("a"), assistant("b"), {"role": "developer", "content": "D"}])

    assert body["systemInstruction"] == {"parts": [{"text": "S"}]}
    assert [(c["role"], c["parts"][0]["text"]) for c in body["contents"]] == [
        ("user", "a"),
        ("model", "b"),
        ("user", "D"),
    ]


def test_models_without_system_words_hear_them_from_the_user() -> None:
    body = sent([{"role": "system", "content": "S"}, user("a")], model="gemma-3-27b-it")

    assert body == {"contents": [{"role": "user", "parts": [{"text": "S"}, {"text": "a"}]}]}
    assert sent([{"role": "system", "content": "S"}])["contents"] == [{"role": "user", "parts": [{"text": "S"}]}]


def test_results_are_found_by_name_and_come_together() -> None:
    minted = {**CALL, "id": "call_gm_x_0"}
    body = sent([user("q"), assistant(None, tool_calls=[CALL, minted]), tool("one"), tool([{"type": "text", "text": "2"}], "call_gm_x_0"), user("ok")])  # fmt: skip

    assert body["contents"][1]["parts"] == [
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": "b"}}},
        {"functionCall": {"name": "f", "args": {"a": "b"}}},
    ]
    assert body["contents"][2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "one"}}},
            {"functionResponse": {"name": "f", "response": {"output": "2"}}},
            {"text": "ok"},
        ],
    }


def test_a_call_that_nobody_answered_gets_an_answer() -> None:
    parts = sent([user("q"), assistant(None, tool_calls=[CALL])])["contents"][2]["parts"]

    assert parts == [{"functionResponse": {"id": "c1", "name": "f", "response": {"error": "No result was given."}}}]


def test_signatures_go_back_on_the_part_they_came_with() -> None:
    reply = candidate(
        {"text": "Hm", "thought": True},
        {"text": "I look", "thoughtSignature": "dGV4dA=="},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"name": "f", "args": {"a": 2}}},
        finishReason="STOP",
    )
    message = whole(reply)["message"]

    parts = sent([user("q"), message])["contents"][1]["parts"]

    assert parts == [
        {"text": "I look", "thoughtSignature": "dGV4dA=="},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"name": "f", "args": {"a": 2}}},
    ]


def test_calls_without_signature_get_googles_substitute_where_it_is_needed() -> None:
    history = [user("q"), assistant(None, tool_calls=[CALL, {**CALL, "id": "c2"}])]

    newest = sent(history, model="gemini-3-pro-preview")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in newest] == ["skip_thought_signature_validator", None]
    assert all("thoughtSignature" not in part for part in sent(history)["contents"][1]["parts"])


def test_media_goes_as_bytes_or_as_an_address() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.webp?s=1"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "file", "file": {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
        {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=1"}},
    ]

    assert sent([user(parts)])["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://x.test/a.webp?s=1"}},
        {"inlineData": {"mimeType": "audio/mpeg", "data": "QUJD"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
    ]
    with pytest.raises(ProviderFailedError):
        sent([user([{"type": "file", "file": {"file_id": "file-openai"}}])])


def test_sampling_has_its_names_and_bounds() -> None:
    given = {
        "temperature": 1.5,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 2**40,
        "presence_penalty": 2,
        "frequency_penalty": -2,
    }
    other = {
        "stop": ["a", "b", " ", "c", "d", "e", "f"],
        "max_tokens": 100_000,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
    }

    assert config(**given, **other, user="u", logit_bias={}, min_p=0.1, service_tier="flex") == {
        "maxOutputTokens": 65_536,
        "temperature": 1.5,
        "topP": 0.5,
        "topK": 3,
        "seed": 2**31 - 1,
        "presencePenalty": 1.99,
        "frequencyPenalty": -2,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert "maxOutputTokens" not in config()


@pytest.mark.parametrize(
    ("model", "reasoning", "limit", "expected"),
    [
        ("gemini-2.5-flash", {"effort": "high"}, 10_000, {"includeThoughts": True, "thinkingBudget": 8_000}),
        ("gemini-2.5-flash", {"effort": "high"}, None, {"includeThoughts": True, "thinkingBudget": 24_576}),
        (
            "gemini-2.5-flash",
            {"max_tokens": 777, "exclude": True},
            999,
            {"includeThoughts": False, "thinkingBudget": 777},
        ),
        ("gemini-2.5-flash", {"effort": "none"}, 999, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"enabled": False}, 999, {"includeThoughts": True, "thinkingBudget": 128}),
        ("gemini-2.5-flash-lite", {"effort": "minimal"}, 999, {"includeThoughts": True, "thinkingBudget": 512}),
        ("gemini-2.5-flash", {}, 999, {"includeThoughts": True}),
        ("gemini-2.0-flash", {"effort": "high"}, 999, None),
        ("gemini-3-flash-preview", {"effort": "xhigh"}, 999, {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3-pro-preview", {"effort": "medium"}, 999, {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3.1-pro-preview", {"effort": "medium"}, 999, {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-3-pro-preview", {"effort": "none"}, 999, {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3-flash-preview", {"max_tokens": 100}, 1000, {"includeThoughts": True, "thinkingLevel": "minimal"}),
    ],
)
def test_reasoning_is_asked_for_in_the_models_way(
    model: str, reasoning: dict[str, Any], limit: int | None, expected: Any
) -> None:
    assert config(model=model, reasoning=reasoning, limit=limit).get("thinkingConfig") == expected
    assert "thinkingConfig" not in config(model=model, limit=limit)


@pytest.mark.parametrize("name", ["gemini-4-argon", "gemini-pro-latest", "gemini-of-tomorrow"])
def test_new_names_think_in_levels(name: str) -> None:
    assert traits_of(name).thinking is Thinking.LEVEL


def test_pictures_are_asked_for_by_modality() -> None:
    made = config(modalities=["text", "image"], image_config={"aspect_ratio": "16:9", "other": 1})

    assert (made["responseModalities"], made["imageConfig"]) == (["TEXT", "IMAGE"], {"aspectRatio": "16:9"})
    assert "responseModalities" not in config(modalities=["text"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (None, None),
    ],
)
def test_tool_choice_in_all_forms(choice: Any, expected: Any) -> None:
    body = sent(tools=[TOOL, {"type": "openrouter:web_search"}], tool_choice=choice)

    assert body.get("toolConfig", {}).get("functionCallingConfig") == expected
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
                }
            ]
        }
    ]
    assert "toolConfig" not in sent(tool_choice=choice)


def test_a_function_without_parameters_leaves_them_out() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]

    assert sent(tools=tools)["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"nullable": True, "type": "STRING"}),
        ({"const": "x"}, {"type": "STRING", "enum": ["x"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER"}),
        ({"type": "string", "format": "email", "minLength": 1}, {"minLength": 1, "type": "STRING"}),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"nullable": True, "type": "STRING"}),
        ({"oneOf": [{"type": "string"}, {"type": "number"}]}, {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
        ({"type": ["string", "number"]}, {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
        ({"type": "array"}, {"type": "ARRAY", "items": {"type": "STRING"}}),
        ({"type": "object", "required": ["a"], "additionalProperties": True}, {"type": "OBJECT"}),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 3}, {"maximum": 3, "type": "NUMBER"}),
        (
            {"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"$ref": "#/$defs/B"}], "$defs": {"B": {"properties": {"b": {"type": "number"}}}}},
            {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER"}}, "required": ["a"]},
        ),
        ({"type": "object", "properties": {"c": {"$ref": "#/$defs/C"}}, "$defs": {"C": {"type": "string"}}}, {"type": "OBJECT", "properties": {"c": {"type": "STRING"}}}),
        ({"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"properties": {"n": {"$ref": "#/$defs/N"}}}}}, None),
        ({"type": "object", "properties": {"n": {"$ref": "#"}}}, None),
        ({"$ref": "#/nowhere"}, None),
    ],
)  # fmt: skip
def test_schemas_become_the_openapi_subset_or_none(schema: dict[str, Any], expected: Any) -> None:
    assert openapi_schema(schema) == expected


def test_a_schema_beyond_the_subset_goes_as_json_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"$ref": "#"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]

    assert sent(tools=tools)["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == schema
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert config(response_format=wanted)["responseJsonSchema"] == schema


def test_schemas_of_any_size_cost_little() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(120):
        deep = {"type": "object", "properties": {"a": deep}}
    bomb: dict[str, Any] = {
        f"D{n}": {"properties": {k: {"$ref": f"#/$defs/D{n + 1}"} for k in "abcdefgh"}} for n in range(9)
    }

    assert openapi_schema(deep) is None
    assert openapi_schema({"$defs": {**bomb, "D9": {"type": "string"}}, "$ref": "#/$defs/D0"}) is None


FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}}  # fmt: skip


def test_structured_output_has_a_schema_of_its_own() -> None:
    assert config(response_format=FORMAT) == {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}},
    }
    assert config(response_format={"type": "json_object"}) == {"responseMimeType": "application/json"}
    assert config(response_format={"type": "text"}) == {}
    assert "responseSchema" in config(response_format=FORMAT, tools=[TOOL], model="gemini-3-flash-preview")


def test_structured_output_beside_tools_is_a_call_where_both_are_refused() -> None:
    made = prepared(response_format=FORMAT, tools=[TOOL])
    body = orjson.loads(made.body)
    answer = candidate({"functionCall": {"name": "json", "args": {"a": 1}}}, finishReason="STOP")
    decoder = Gemini().decoder(attempt(WIRE), made)
    chunks = decoder.feed(data(answer)) + decoder.finish()

    assert [d["name"] for d in body["tools"][0]["functionDeclarations"]] == ["f", "json"]
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY"}
    assert "generationConfig" not in body
    assert rb'"content":"{\"a\":1}"' in chunks
    assert decoder.facts.finish_reason == "stop"
    assert whole(answer, answer_tool="json")["message"]["content"] == '{"a":1}'
