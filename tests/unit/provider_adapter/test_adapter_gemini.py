from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.gemini.models import Thinking, traits_of
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.gemini.schemas import openapi_schema
from services.provider_adapter.protocols.gemini.usage import usage_of
from services.provider_adapter.protocols.port import Prepared, Usage
from tests.testkit.provider_conformance import Decoded, attempt
from tests.testkit.provider_wires import GeminiWire, data

WIRE = GeminiWire()
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"properties": {"a": {"type": "string"}}}}}  # fmt: skip
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}


def prepared(
    messages: Any = "hi", *, model: str = "gemini-2.5-flash", limit: int | None = None, **fields: Any
) -> Prepared:
    listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    stream = fields.pop("stream", True)
    body = orjson.dumps({"model": "m", "messages": listed, **fields})
    return Gemini().prepare(attempt(WIRE, body=body, provider_model_id=model, max_tokens=limit, stream=stream), "")


def sent(messages: Any = "hi", **fields: Any) -> dict[str, Any]:
    body = orjson.loads(prepared(messages, **fields).body)
    assert isinstance(body, dict)
    return body


def config(**fields: Any) -> dict[str, Any]:
    made = sent(**fields).get("generationConfig", {})
    assert isinstance(made, dict)
    return made


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def tool(content: Any, call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def candidate(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **fields}]}


def decode(*events: dict[str, Any], **prepared: Any) -> Decoded:
    return Decoded(WIRE, b"".join(map(data, events)), **prepared)


def whole(reply: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made, _ = Gemini().whole(attempt(WIRE), Prepared("", b"", **fields), orjson.dumps(reply))
    choice = orjson.loads(made)["choices"][0]
    assert isinstance(choice, dict)
    return choice


END = candidate(finishReason="STOP")


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


def test_ids_that_google_gives_are_kept_and_others_made_up_alike_in_both_ways() -> None:
    reply = candidate(
        {"functionCall": {"id": "own", "name": "f", "args": {}}}, {"functionCall": {"name": "g"}}, finishReason="STOP"
    )

    ids = [call["id"] for call in decode(reply).calls]
    assert ids == ["own", "call_gm_700000000-abcdefghij_1"]
    assert len(ids[1]) <= 40
    assert [call["id"] for call in whole(reply)["message"]["tool_calls"]] == ids
    assert decode(reply).calls[1]["arguments"] == "{}"


def test_the_pieces_of_one_thought_share_their_index() -> None:
    decoded = decode(
        candidate({"text": "a", "thought": True}),
        candidate({"text": "b", "thought": True}),
        candidate({"text": "c", "thoughtSignature": "c2ln"}),
        END,
    )

    details = [detail for delta in decoded.deltas for detail in delta.get("reasoning_details", ())]
    assert [(d["type"], d["index"]) for d in details] == [
        ("reasoning.text", 0),
        ("reasoning.text", 0),
        ("reasoning.encrypted", 1),
    ]
    assert {d["format"] for d in details} == {"google-gemini-v1"}


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("OTHER", "error"),
        ("SOMETHING_NEW", "stop"),
        ("FINISH_REASON_UNSPECIFIED", None),
    ],
)
def test_every_end_has_its_word(native: str, expected: str | None) -> None:
    decoded = decode(candidate({"text": "a"}, finishReason=native))

    assert decoded.failure is None
    assert (decoded.facts.finish_reason or None, decoded.facts.native_finish_reason) == (expected, native)
    assert whole(candidate({"text": "a"}, finishReason=native))["finish_reason"] == expected


def test_text_and_end_in_one_event_are_two_chunks() -> None:
    decoded = decode(candidate({"text": "a"}, finishReason="STOP"))

    assert decoded.deltas == [{"role": "assistant", "content": "a"}, {}]


def test_a_blocked_prompt_is_a_content_filter() -> None:
    blocked = {"promptFeedback": {"blockReason": "MODEL_ARMOR"}, "usageMetadata": {"promptTokenCount": 4}}
    decoded = decode(blocked)

    assert decoded.failure is None
    assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == ("content_filter", "MODEL_ARMOR")
    assert decoded.facts.usage == Usage(4, 0)
    choice = whole(blocked)
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("content_filter", "MODEL_ARMOR")
    assert choice["message"]["content"] == ""


def test_pictures_and_sound_come_as_chat_has_them() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}
    sound = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "REVG"}}
    expected = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}, "index": 0}]

    assert decode(candidate(picture), END).deltas[0]["images"] == expected
    assert whole(candidate(picture, sound))["message"]["images"] == expected
    assert whole(candidate(sound))["message"]["audio"] == {"data": "REVG"}


def test_grounding_becomes_annotations() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x.test", "title": "T"}}, {}],
        "groundingSupports": [{"segment": {"endIndex": 3, "text": "abc"}, "groundingChunkIndices": [0, 1, 9]}],
    }
    told = {"url": "https://x.test", "title": "T", "content": "abc", "start_index": 0, "end_index": 3}
    reply = candidate({"text": "abc"}, groundingMetadata=grounding, finishReason="STOP")

    assert decode(reply).deltas[0]["annotations"] == [{"type": "url_citation", "url_citation": told}]
    assert whole(reply)["message"]["annotations"] == [{"type": "url_citation", "url_citation": told}]


def test_log_probabilities_come_as_chat_has_them() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "ü", "logProbability": -2}]}
        ],
    }
    logprobs = whole(candidate({"text": "a"}, logprobsResult=result))["logprobs"]

    (first,) = logprobs["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("a", -0.5, [97])
    assert first["top_logprobs"][1] == {"token": "ü", "logprob": -2, "bytes": [195, 188]}


def test_candidates_keep_their_places() -> None:
    def both(first: str, second: str, **fields: Any) -> dict[str, Any]:
        listed = [{"content": {"parts": [{"text": t}]}, "index": i, **fields} for i, t in enumerate((first, second))]
        return {"candidates": listed}

    decoded = decode(both("a", "b"), both("A", "B", finishReason="STOP"))

    texts = ["", ""]
    for chunk in decoded.chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == ["aA", "bB"]
    assert sum(delta.get("role") == "assistant" for delta in decoded.deltas) == 2


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 3}, Usage(5, 3)),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 3}, Usage(5, 3, reasoning_tokens=3)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 2}, Usage(7, 0, 4)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 6}, Usage(5, 0)),
        ({"candidatesTokenCount": 3}, None),
        ({"promptTokenCount": -1}, None),
        ({"promptTokenCount": 5, "candidatesTokenCount": "3"}, None),
        (
            {
                "promptTokenCount": 20,
                "cachedContentTokenCount": 8,
                "candidatesTokenCount": 9,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}, {"modality": "AUDIO", "tokenCount": 6}, {"modality": "IMAGE", "tokenCount": 4}],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}, {"modality": "TEXT", "tokenCount": 3}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 7}, 5, {"modality": "AUDIO"}],
            },
            Usage(20, 9, 8, prompt_audio_tokens=1, prompt_image_tokens=4, completion_image_tokens=7),
        ),
        (None, None),
        ([], None),
    ],
)  # fmt: skip
def test_counts_are_disjoint_classes(counts: Any, expected: Usage | None) -> None:
    assert usage_of(counts) == expected


def test_the_last_running_count_holds() -> None:
    first, last = {"promptTokenCount": 5}, {"promptTokenCount": 6, "candidatesTokenCount": 2}
    events = [{**candidate({"text": "a"}), "usageMetadata": first}, {**END, "usageMetadata": last}]

    assert decode(*events).facts.usage == Usage(6, 2)
    assert decode(*events, {"usageMetadata": {"promptTokenCount": "x"}}).facts.usage == Usage(6, 2)


def google_error(status: int, name: str, message: str = "m", **detail: Any) -> bytes:
    return orjson.dumps({"error": {"code": status, "message": message, "status": name, "details": [{}, detail]}})


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (400, google_error(400, "INVALID_ARGUMENT", "Bad request.", reason="API_KEY_INVALID"), FailureClass.AUTHENTICATION, "API_KEY_INVALID"),
        (403, google_error(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), FailureClass.AUTHENTICATION, "PERMISSION_DENIED"),
        (400, google_error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), FailureClass.PERMISSION, "FAILED_PRECONDITION"),
        (400, google_error(400, "FAILED_PRECONDITION", "Please enable billing on the project."), FailureClass.INSUFFICIENT_CREDITS, "FAILED_PRECONDITION"),
        (429, google_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota (content policy)."), FailureClass.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (499, google_error(499, "CANCELLED"), FailureClass.UPSTREAM, "CANCELLED"),
        (503, b"[" + google_error(503, "UNAVAILABLE") + b"]", FailureClass.OVERLOADED, "UNAVAILABLE"),
        (200, b"[" + google_error(503, "UNAVAILABLE") + b"]", FailureClass.OVERLOADED, "UNAVAILABLE"),
        (404, google_error(404, "NOT_FOUND", "models/x is not found"), FailureClass.NOT_FOUND, "NOT_FOUND"),
    ],
)  # fmt: skip
def test_googles_errors_have_their_class(status: int, body: bytes, expected: FailureClass, code: str) -> None:
    failure = Gemini().failure(status, {}, body, 0)

    assert (failure.failure_class, failure.code, failure.status) == (expected, code, status)
    assert failure.to_error().metadata["retryable_elsewhere"] == "true"


@pytest.mark.parametrize(("delay", "expected"), [("34.4s", 34.4), ("1s", 1.0), ("9999999s", 86_400.0), ("-1s", None), ("x", None), (7, None)])  # fmt: skip
def test_the_delay_among_the_details_is_a_retry_hint(delay: Any, expected: float | None) -> None:
    body = google_error(429, "RESOURCE_EXHAUSTED", retryDelay=delay)

    assert Gemini().failure(429, {}, body, 0).retry_after_s == expected
    assert Gemini().failure(400, {}, google_error(400, "INVALID_ARGUMENT", retryDelay=delay), 0).retry_after_s is None


def test_an_error_object_in_the_stream_fails_with_its_class() -> None:
    error = orjson.loads(google_error(503, "UNAVAILABLE", "busy"))
    decoded = decode(candidate({"text": "a"}), error)

    assert decoded.joined("content") == "a"
    assert decoded.failure is not None
    assert (decoded.failure.failure_class, decoded.failure.message) == (FailureClass.OVERLOADED, "busy")


def test_a_stream_without_an_end_was_cut() -> None:
    assert decode(candidate({"text": "a"})).failure is not None
    assert decode().failure is not None
