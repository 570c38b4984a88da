"""What the strict validator of Bedrock's Converse refuses, and what it lets pass."""

import re
from typing import Any

import pytest

from services.provider_simulator.protocols.anthropic.signatures import signature_of
from services.provider_simulator.protocols.bedrock.validation import check_request, refusal_words
from services.provider_simulator.protocols.strict import InvalidError

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"

USE = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"a": 1}}, {"text": "x"}], "status": "success"}}
TOOL = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
TOOLS: dict[str, Any] = {"toolConfig": {"tools": [TOOL]}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": signature_of("hm")}}}
THINKING = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
POINT = {"cachePoint": {"type": "default"}}
PDF = {"document": {"format": "pdf", "name": "a", "source": {"bytes": "QUJD"}}}


def message(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages) or [message("user", {"text": "hi"})], **fields}


def text_format(schema: str) -> dict[str, Any]:
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}}}


LOOP = (message("user", {"text": "q"}), message("assistant", THOUGHT, USE), message("user", RESULT, {"text": "and?"}))


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (SONNET, asked()),
        (SONNET, asked(*LOOP, **TOOLS, **THINKING)),
        (SONNET, asked(*LOOP, toolConfig={"tools": [TOOL, POINT], "toolChoice": {"tool": {"name": "f"}}})),
        (SONNET, asked(system=[{"text": "s"}, POINT], inferenceConfig={"temperature": 1, "stopSequences": ["x"]})),
        (SONNET, asked(message("user", PDF, {"text": "look"}), serviceTier={"type": "flex"})),
        (SONNET, asked(**text_format('{"type": "object", "additionalProperties": false}'))),
        (
            NOVA,
            asked(additionalModelRequestFields={"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        ),
        (LLAMA, asked(inferenceConfig={"temperature": 0.5, "topP": 0.5, "maxTokens": 1})),
    ],
)
def test_a_good_request_passes(model: str, body: dict[str, Any]) -> None:
    check_request(body, model)


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (SONNET, {}, "messages"),
        (SONNET, asked(modelId="m"), "Extra inputs"),
        (SONNET, asked(stream=True), "Extra inputs"),
        (SONNET, asked(message("assistant", {"text": "hi"})), "start with a user message"),
        (SONNET, asked(message("user", {"text": "a"}), message("user", {"text": "b"})), "alternate"),
        (SONNET, asked(message("user", {"text": " "})), "empty or blank"),
        (SONNET, asked(message("user", {"text": "a", **POINT})), "Exactly one of"),
        (SONNET, asked(message("user", {"input_text": "a"})), "Extra inputs"),
        (SONNET, asked(message("user", PDF)), "text block is required"),
        (SONNET, asked(message("user", PDF, PDF, {"text": "a"})), "unique"),
        (SONNET, asked(message("user", {"document": {**PDF["document"], "name": "a.pdf"}}, {"text": "a"})), "pattern"),
        (SONNET, asked(message("user", {"image": {"format": "bmp", "source": {"bytes": "QUJD"}}})), "one of"),
        (SONNET, asked(message("user", {"image": {"format": "png", "source": {"bytes": "?"}}})), "base64"),
        (SONNET, asked(message("user", USE)), "cannot hold toolUse"),
        (SONNET, asked(*LOOP[:2], **TOOLS), "Expected toolResult"),
        (SONNET, asked(*LOOP[:2], message("user", {"text": "no"}), **TOOLS), "Expected toolResult"),
        (SONNET, asked(message("user", RESULT), **TOOLS), "Expected toolResult"),
        (SONNET, asked(*LOOP), "toolConfig field must be defined"),
        (SONNET, asked(toolConfig={"tools": []}), "from 1"),
        (SONNET, asked(toolConfig={"tools": [TOOL, TOOL]}), "unique"),
        (SONNET, asked(toolConfig={"tools": [TOOL], "toolChoice": {"none": {}}}), "Extra inputs"),
        (SONNET, asked(toolConfig={"tools": [TOOL], "toolChoice": {"tool": {"name": "g"}}}), "not among the tools"),
        (SONNET, asked(LOOP[0], message("assistant", USE), LOOP[2], **TOOLS, **THINKING), "Expected `thinking`"),
        (SONNET, asked(LOOP[0], message("assistant", USE, THOUGHT), LOOP[2], **TOOLS), "must come first"),
        (LLAMA, asked(LOOP[0], message("assistant", USE), LOOP[2], **TOOLS), "one message"),
        (SONNET, asked(*LOOP[:2], message("user", RESULT, PDF, {"text": "a"}), **TOOLS), "one message"),
        (SONNET, asked(message("user", {"text": "a"}, PDF, POINT)), "cannot follow"),
        ("openai.gpt-5.6-sol", asked(inferenceConfig={"temperature": 0.2}), "temperature"),
        (SONNET, asked(inferenceConfig={"temperature": 1.5}), "from 0 to 1"),
        (SONNET, asked(inferenceConfig={"temperature": 1, "topP": 1}), "cannot both"),
        (SONNET, asked(inferenceConfig={"maxTokens": 1024}, **THINKING), "greater than"),
        (SONNET, asked(additionalModelRequestFields={"seed": 1}), r"extraneous key \[seed\]"),
        (LLAMA, asked(additionalModelRequestFields={"top_k": 1}), "extraneous key"),
        (LLAMA, asked(**text_format("{}")), "doesn't support"),
        (SONNET, asked(**text_format('{"type": "object"}')), "additionalProperties"),
        (SONNET, asked(**text_format("{")), "not valid JSON"),
        (SONNET, asked(system=[{"text": "a"}, POINT, POINT, POINT, POINT, POINT]), "maximum of 4"),
        (
            NOVA,
            asked(
                additionalModelRequestFields={"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
                inferenceConfig={"maxTokens": 5},
            ),
            "highest reasoning",
        ),
    ],
)
def test_a_bad_request_is_refused_with_words(model: str, body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_request(body, model)

    assert re.search(words, refusal_words(caught.value))


def test_a_thought_that_was_changed_is_found_out() -> None:
    spoilt = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": signature_of("hm")}}}

    with pytest.raises(InvalidError, match="signature"):
        check_request(asked(LOOP[0], message("assistant", spoilt, USE), LOOP[2], **TOOLS), SONNET)
