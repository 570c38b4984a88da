from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.bedrock_converse.models import Thinking, traits_of
from tests.unit.provider_adapter.bedrock_bodies import (
    GPT,
    LLAMA,
    MISTRAL,
    NOVA,
    NOVA_2,
    OLDER,
    OPUS,
    OSS,
    OTHER_TOOL,
    QWEN,
    SCHEMA,
    SONNET,
    TOOL,
    calling,
    extra,
    prepared,
    result,
    sent,
    user,
)


def test_the_model_is_in_the_path_and_nothing_of_it_in_the_body() -> None:
    assert prepared().path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert prepared(stream=True).path.endswith("v1%3A0/converse-stream")
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert prepared(arn).path == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile"
        "%2Fus.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    )
    assert sent(NOVA) == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def test_tools_and_their_choice() -> None:
    config = sent(tools=[TOOL, OTHER_TOOL])["toolConfig"]

    assert config == {
        "tools": [
            {
                "toolSpec": {
                    "name": "look",
                    "description": "Looks",
                    "inputSchema": {"json": {"properties": {}, "type": "object"}},
                }
            },
            {"toolSpec": {"name": "tell", "inputSchema": {"json": {"type": "object"}}}},
        ]
    }
    assert sent(tools=[TOOL], tool_choice="auto")["toolConfig"]["toolChoice"] == {"auto": {}}
    assert sent(tools=[TOOL], tool_choice="required")["toolConfig"]["toolChoice"] == {"any": {}}
    named = {"type": "function", "function": {"name": "tell"}}
    assert sent(tools=[TOOL, OTHER_TOOL], tool_choice=named)["toolConfig"]["toolChoice"] == {"tool": {"name": "tell"}}
    assert "toolConfig" not in sent(tools=[TOOL], tool_choice="none")


def test_a_choice_that_a_model_does_not_have_becomes_the_nearest() -> None:
    named = {"type": "function", "function": {"name": "tell"}}

    config = sent(MISTRAL, tools=[TOOL, OTHER_TOOL], tool_choice=named)["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["tell"]
    assert config["toolChoice"] == {"any": {}}
    assert "toolChoice" not in sent(LLAMA, tools=[TOOL], tool_choice="required")["toolConfig"]


@pytest.mark.parametrize("fields", [{}, {"tools": [TOOL], "tool_choice": "none"}])
def test_a_history_with_calls_names_its_tools(fields: dict[str, Any]) -> None:
    body = sent(messages=[user("go"), calling("c1"), result("c1")], **fields)

    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["look"]


def test_one_call_at_a_time_is_said_where_the_maker_has_a_word_for_it() -> None:
    told = {"type": "auto", "disable_parallel_tool_use": True}

    assert extra(tools=[TOOL], parallel_tool_calls=False) == {"tool_choice": told}
    assert extra(tools=[TOOL], parallel_tool_calls=False, tool_choice="required") == {}
    assert extra(OLDER, tools=[TOOL], parallel_tool_calls=False) == {}
    assert extra(NOVA, tools=[TOOL], parallel_tool_calls=False) == {}


def test_structured_output_is_native_where_the_model_has_it() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    asked = prepared(QWEN, response_format=wanted)
    told = orjson.loads(asked.body)["outputConfig"]["textFormat"]

    assert asked.answer_tool == ""
    assert told["type"] == "json_schema"
    assert told["structure"]["jsonSchema"]["name"] == "answer"
    schema = orjson.loads(told["structure"]["jsonSchema"]["schema"])
    assert schema["additionalProperties"] is False
    assert "minimum" not in schema["properties"]["n"]


@pytest.mark.parametrize(
    ("model", "choice"),
    [(OLDER, {"tool": {"name": "json"}}), (NOVA, {"tool": {"name": "json"}}), (MISTRAL, {"any": {}}), (LLAMA, None)],
)
def test_structured_output_is_elsewhere_a_tool_that_has_to_be_called(model: str, choice: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    asked = prepared(model, response_format=wanted)
    config = orjson.loads(asked.body)["toolConfig"]

    assert asked.answer_tool == "json"
    assert config["tools"][0]["toolSpec"]["inputSchema"]["json"] == SCHEMA
    assert config.get("toolChoice") == choice


def test_any_json_is_a_tool_everywhere_and_goes_with_other_tools() -> None:
    asked = prepared(response_format={"type": "json_object"}, tools=[TOOL])
    config = orjson.loads(asked.body)["toolConfig"]

    assert asked.answer_tool == "json"
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["look", "json"]
    assert config["toolChoice"] == {"any": {}}


def test_strict_tools_are_closed_where_the_model_knows_them() -> None:
    strict = {"type": "function", "function": {"name": "look", "strict": True, "parameters": SCHEMA}}

    spec = sent(tools=[strict])["toolConfig"]["tools"][0]["toolSpec"]
    assert spec["strict"] is True
    assert spec["inputSchema"]["json"]["additionalProperties"] is False
    assert "strict" not in sent(NOVA, tools=[strict])["toolConfig"]["tools"][0]["toolSpec"]


def test_claude_gets_a_limit_and_one_of_the_samplings() -> None:
    assert sent()["inferenceConfig"] == {"maxTokens": 64_000}
    assert sent(attempt={"max_tokens": 5}, max_tokens=9)["inferenceConfig"] == {"maxTokens": 5}
    assert sent(max_tokens=999_999)["inferenceConfig"] == {"maxTokens": 64_000}
    assert sent(max_tokens=9, temperature=0.5, top_p=0.5)["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5}
    assert "temperature" not in sent(OPUS, temperature=0.5)["inferenceConfig"]
    assert extra(OLDER, top_k=5) == {"top_k": 5}


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (SONNET, {"reasoning": {"max_tokens": 2000}}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (SONNET, {"reasoning": {"effort": "low"}, "max_tokens": 10_000}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (SONNET, {"reasoning": {"effort": "high"}, "max_tokens": 900}, {}),
        (SONNET, {"reasoning": {"enabled": False}}, {}),
        (OPUS, {"reasoning": {"effort": "high"}}, {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}),
        (OPUS, {"reasoning": {"effort": "none"}}, {"thinking": {"type": "disabled"}}),
        (OPUS, {"verbosity": "low"}, {"output_config": {"effort": "low"}}),
        (OLDER, {"reasoning": {"effort": "high"}}, {}),
        (NOVA, {"reasoning": {"effort": "high"}}, {}),
        (NOVA_2, {"reasoning": {"effort": "high"}}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        (NOVA_2, {"reasoning": {"effort": "high"}, "max_tokens": 50}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
        (OSS, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        (OSS, {"reasoning": {"effort": "xhigh"}}, {"reasoning_effort": "high"}),
        (QWEN, {"reasoning": {"effort": "medium"}}, {"reasoning_config": "high"}),
        (QWEN, {"reasoning": {"effort": "minimal"}}, {"reasoning_config": "low"}),
        (QWEN, {"reasoning": {"enabled": False}}, {}),
        (GPT, {"reasoning": {"effort": "high"}}, {}),
        ("anthropic.claude-opus-4-5-20251101-v1:0", {"verbosity": "low"}, {}),
    ],
)  # fmt: skip
def test_reasoning_is_asked_for_in_the_makers_words(model: str, fields: dict[str, Any], expected: Any) -> None:
    assert extra(model, **fields) == expected


def test_thinking_leaves_room_for_neither_sampling_nor_a_forced_call() -> None:
    thinking: dict[str, Any] = {"reasoning": {"max_tokens": 2000}}

    body = sent(**thinking, temperature=0.5, top_p=0.9, top_k=3)
    assert body["inferenceConfig"].keys() == {"maxTokens"}
    assert body["additionalModelRequestFields"].keys() == {"thinking"}
    assert extra(**thinking, tools=[TOOL], tool_choice="required") == {}


def test_a_loop_that_lost_its_thinking_goes_on_without() -> None:
    listed = [user("go"), calling("c1"), result("c1")]
    thinking: dict[str, Any] = {"reasoning": {"max_tokens": 2000}, "tools": [TOOL]}

    assert extra(messages=listed, **thinking) == {}
    assert "thinking" in extra(OPUS, messages=listed, **thinking)


def test_the_tier_is_the_endpoints_or_else_the_callers() -> None:
    assert sent(service_tier="flex")["serviceTier"] == {"type": "flex"}
    assert sent(service_tier="default", attempt={"service_tier": "priority"})["serviceTier"] == {"type": "priority"}
    assert "serviceTier" not in sent(service_tier="auto")


def test_unsupported_parameters_are_left_out() -> None:
    body = sent(
        NOVA, attempt={"unsupported_parameters": ("temperature", "tools", "tool_choice")}, temperature=1, tools=[TOOL]
    )

    assert body.keys() == {"messages"}


@pytest.mark.parametrize(
    ("model", "thinking", "schemas", "system"),
    [
        ("anthropic.claude-v2:1", Thinking.CLAUDE, False, True),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-2-lite-v1:0",
            Thinking.NOVA,
            False,
            True,
        ),
        ("us-gov.openai.gpt-oss-20b-1:0", Thinking.EFFORT, True, True),
        ("mistral.mistral-7b-instruct-v0:2", Thinking.NONE, False, False),
        ("mistral.mistral-large-3-675b-instruct", Thinking.NONE, True, True),
        ("of.the-future-v1:0", Thinking.NONE, False, True),
    ],
)
def test_traits_are_found_by_name(model: str, thinking: Thinking, schemas: bool, system: bool) -> None:
    traits = traits_of(model)

    assert (traits.thinking, traits.schemas, traits.system) == (thinking, schemas, system)


def test_novas_schemas_are_bare_outermost() -> None:
    parameters = {**SCHEMA, "$schema": "https://json-schema.org/draft/2020-12/schema", "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "look", "parameters": parameters}}

    assert sent(NOVA, tools=[tool])["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"] == SCHEMA
    assert sent(QWEN, tools=[tool])["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"] == parameters


def test_a_model_that_refuses_sampling_gets_none() -> None:
    assert sent(GPT, temperature=0.2, top_p=0.5, max_tokens=64)["inferenceConfig"] == {"maxTokens": 64}


def test_the_newest_claudes_answer_in_json_by_a_tool() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}

    assert prepared(OPUS, response_format=wanted).answer_tool == "json"
    assert prepared("us.anthropic.claude-opus-4-6-v1", response_format=wanted).answer_tool == ""


@pytest.mark.parametrize(("model", "expected"), [(SONNET, ["a-1", "b-2"]), (NOVA, None)])
def test_flags_of_betas_are_a_field_of_claudes_own(model: str, expected: list[str] | None) -> None:
    body = orjson.loads(prepared(model, attempt={"anthropic_beta": "a-1"}, anthropic_beta=["b-2"]).body)

    assert body.get("additionalModelRequestFields", {}).get("anthropic_beta") == expected
