"""What the strict validators of the native formats refuse, and what they let pass."""

from typing import Any

import pytest

from services.provider_simulator.protocols.anthropic import validation as anthropic
from services.provider_simulator.protocols.anthropic.signatures import signature_of
from services.provider_simulator.protocols.gemini import validation as gemini
from services.provider_simulator.protocols.gemini.field_names import in_camel_case
from services.provider_simulator.protocols.gemini.signatures import signature_of_call
from services.provider_simulator.protocols.strict import InvalidError

USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signature_of("hm")}
ON = {"type": "enabled", "budget_tokens": 1024}


def message(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    listed = list(messages) or [{"role": "user", "content": "hi"}]
    return {"model": "m", "max_tokens": 2048, "messages": listed, **fields}


LOOP = (message("user", text("q")), message("assistant", THOUGHT, USE), message("user", RESULT, text("and?")))


@pytest.mark.parametrize(
    "body",
    [
        asked(),
        asked(*LOOP, tools=[TOOL], thinking=ON),
        asked(
            *LOOP, tools=[{**TOOL, "cache_control": {"type": "ephemeral", "ttl": "1h"}}], tool_choice={"type": "none"}
        ),
        asked(system=[text("s")], temperature=1, stop_sequences=["x"], metadata={"user_id": "u"}, stream=True),
        asked(
            message("user", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}})
        ),
        asked(message("user", {"type": "document", "source": {"type": "url", "url": "https://x.test"}, "title": "t"})),
    ],
)
def test_a_good_messages_request_passes(body: dict[str, Any]) -> None:
    anthropic.check_request(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "m", "messages": []}, "max_tokens: Field required"),
        (asked(seed=1), "seed: Extra inputs are not permitted"),
        (asked(temperature=1.5), "temperature"),
        (asked(temperature=1, top_p=1), "cannot both"),
        (asked(max_tokens=True), "max_tokens: Input should be a valid integer"),
        (asked({"role": "system", "content": "x"}), "messages.0.role"),
        (asked(message("user", text(" "))), "messages.0.content.0.text"),
        (asked(message("user", {**text("a"), "name": "x"})), "Extra inputs"),
        (asked(message("assistant", text("a"))), "first message must use the user role"),
        (asked(message("user", text("a")), message("assistant", text("b "))), "trailing whitespace"),
        (asked(message("user", text("a")), message("assistant", USE), tools=[TOOL]), "without `tool_result`"),
        (asked(message("user", RESULT), tools=[TOOL]), "unexpected `tool_use_id`"),
        (asked(*LOOP[:2], message("user", text("x"), RESULT), tools=[TOOL]), "must come before"),
        (asked(*LOOP), "must define tools"),
        (asked(message("user", text("a")), message("assistant", USE, THOUGHT), message("user", RESULT), tools=[TOOL]), "must come first"),
        (asked(message("user", text("a")), message("assistant", {**THOUGHT, "thinking": "other"}), message("user", text("b"))), "Invalid `signature`"),
        (asked(LOOP[0], message("assistant", USE), LOOP[2], tools=[TOOL], thinking=ON), "Expected `thinking`"),
        (asked(thinking={"type": "enabled", "budget_tokens": 1023}), "budget_tokens"),
        (asked(thinking=ON, max_tokens=1024), "must be greater"),
        (asked(thinking=ON, temperature=0), "only be set to 1"),
        (asked(thinking=ON, tools=[TOOL], tool_choice={"type": "any"}), "forces tool use"),
        (asked(tool_choice={"type": "auto"}), "while providing tools"),
        (asked(tools=[TOOL], tool_choice={"type": "tool", "name": "g"}), "not found"),
        (asked(tools=[{"name": "f", "input_schema": {}}]), "Input should be 'object'"),
        (asked(tools=[TOOL, TOOL]), "unique"),
        (asked(system=[{**text("s"), "cache_control": {"type": "ephemeral"}}] * 5), "maximum of 4"),
        (asked(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}), "additionalProperties"),
        (asked(message("user", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}})), "base64"),
        (asked(message("user", {"type": "input_audio"})), "Input tag"),
        (asked(stop_sequences=[" "]), "stop_sequences.0"),
    ],
)  # fmt: skip
def test_a_bad_messages_request_is_refused_where_it_is_bad(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        anthropic.check_request(body)

    assert words in anthropic.refusal_words(caught.value)


FUNCTION = {"functionCall": {"name": "f", "args": {"a": 1}}}
ANSWER = {"functionResponse": {"name": "f", "response": {}}}
DECLARED = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]}]  # fmt: skip


def content(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def generate(*contents: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"contents": list(contents) or [content("user", {"text": "hi"})], **fields}


def declared(**parameters: Any) -> dict[str, Any]:
    return generate(tools=[{"functionDeclarations": [{"name": "f", "parameters": parameters}]}])


SIGNED = {**FUNCTION, "thoughtSignature": signature_of_call("f", {"a": 1})}
START = content("user", {"text": "q"})


@pytest.mark.parametrize(
    "body",
    [
        generate(),
        generate(START, content("model", SIGNED, FUNCTION), content("user", ANSWER, ANSWER), tools=DECLARED),
        generate(START, content("model", {**FUNCTION, "thoughtSignature": "skip_thought_signature_validator"}), content("user", ANSWER)),
        generate(systemInstruction={"parts": [{"text": "s"}]}, generationConfig={"thinkingConfig": {"thinkingBudget": -1}}),
        generate(tools=DECLARED, toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}),
    ],
)  # fmt: skip
def test_a_good_generate_request_passes(body: dict[str, Any]) -> None:
    gemini.check_request(body, "gemini-2.5-flash")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "contents: Field required"),
        (generate(model="m"), 'Unknown name "model": Cannot find field.'),
        (generate({"role": "assistant", "parts": [{"text": "x"}]}), "contents[0].role"),
        (generate(content("user", {"text": "a", "x": 1})), "Unknown name \"x\" at 'contents[0].parts[0]'"),
        (generate(content("user", {"text": "a", "inlineData": {"mimeType": "a/b", "data": "QQ=="}})), "oneof"),
        (generate(content("user")), "parts"),
        (generate(START, content("model", FUNCTION)), "no function response turn"),
        (generate(START, content("model", FUNCTION, FUNCTION), content("user", ANSWER)), "number of function response parts"),
        (generate(content("user", ANSWER)), "number of function response parts"),
        (generate(START, content("model", {**FUNCTION, "thoughtSignature": "c2ln"}), content("user", ANSWER)), "signature is not valid"),
        (generate(START, content("user", FUNCTION)), "the model's"),
        (declared(type="OBJECT", properties={}), "non-empty"),
        (declared(type="object"), "type"),
        (declared(type="OBJECT", additionalProperties=False), "Cannot find field"),
        (declared(type="OBJECT", properties={"a": {"type": "INTEGER", "enum": ["1"]}}), "only allowed for STRING"),
        (declared(type="OBJECT", properties={"a": {"type": "STRING"}}, required=["b"]), "not defined"),
        (declared(type="OBJECT", properties={"a": {"type": "ARRAY"}}), "missing field"),
        (declared(type="OBJECT", properties={"a": {"type": "STRING", "format": "email"}}), "format"),
        (generate(generationConfig={"temperature": 3}), "temperature"),
        (generate(generationConfig={"stopSequences": ["a"] * 6}), "stopSequences"),
        (generate(generationConfig={"thinkingConfig": {"thinkingLevel": "low"}}), "not supported"),
        (generate(generationConfig={"thinkingConfig": {"thinkingBudget": 30_000}}), "is invalid"),
        (generate(generationConfig={"responseMimeType": "application/json"}, tools=DECLARED), "unsupported"),
        (generate(generationConfig={"responseSchema": {"type": "STRING"}}), "responseMimeType"),
        (generate(generationConfig={"logprobs": 1}), "responseLogprobs"),
        (generate(toolConfig={"functionCallingConfig": {"mode": "ANY"}}), "without function_declarations"),
        (generate(tools=DECLARED, toolConfig={"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}}), "only when"),
    ],
)  # fmt: skip
def test_a_bad_generate_request_is_refused_where_it_is_bad(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        gemini.check_request(body, "gemini-2.5-flash")

    assert words in gemini.refusal_words(caught.value)


def test_the_newest_gemini_wants_the_signature_of_its_calls() -> None:
    loop = [START, content("model", FUNCTION), content("user", ANSWER)]

    with pytest.raises(InvalidError, match="thought_signature"):
        gemini.check_request(generate(*loop), "gemini-3-pro-preview")
    gemini.check_request(generate(START, content("model", SIGNED), loop[2]), "gemini-3-pro-preview")


def test_both_spellings_of_a_field_are_one_and_callers_names_stay() -> None:
    given = {
        "generation_config": {"top_p": 1},
        "tools": [{"function_declarations": [{"parameters": {"properties": {"my_name": {"min_items": 1}}}}]}],
        "contents": [{"parts": [{"function_call": {"name": "f", "args": {"my_name": 1}}}]}],
    }

    assert in_camel_case(given) == {
        "generationConfig": {"topP": 1},
        "tools": [{"functionDeclarations": [{"parameters": {"properties": {"my_name": {"minItems": 1}}}}]}],
        "contents": [{"parts": [{"functionCall": {"name": "f", "args": {"my_name": 1}}}]}],
    }
