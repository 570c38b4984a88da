from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.bedrock_converse.models import Thinking, traits_of
from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.port import Attempt, Prepared, media_needs_of

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "us.anthropic.claude-opus-4-7"
OLDER = "anthropic.claude-3-5-sonnet-20241022-v2:0"
NOVA = "amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
TITAN = "amazon.titan-text-express-v1"
OSS = "openai.gpt-oss-120b-1:0"
QWEN = "qwen.qwen3-32b-v1:0"
WRITER = "us.writer.palmyra-x5-v1:0"
GPT = "us.openai.gpt-5.6-sol"

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "description": "Looks", "parameters": {"properties": {}}},
}
OTHER_TOOL = {"type": "function", "function": {"name": "tell"}}
MARK = {"type": "ephemeral"}
POINT = {"cachePoint": {"type": "default"}}


def prepared(
    model: str = SONNET, *, stream: bool = False, attempt: dict[str, Any] | None = None, **fields: Any
) -> Prepared:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return BedrockConverse().prepare(
        Attempt("gen-1", "Amazon Bedrock", model, "maker/model", 1, stream, orjson.dumps(body), **(attempt or {})), ""
    )


def sent(model: str = SONNET, **fields: Any) -> Any:
    return orjson.loads(prepared(model, **fields).body)


def extra(model: str = SONNET, **fields: Any) -> Any:
    return sent(model, **fields).get("additionalModelRequestFields", {})


def messages(*listed: dict[str, Any], model: str = SONNET, **fields: Any) -> Any:
    return sent(model, messages=list(listed), **fields)["messages"]


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts) if len(parts) > 1 or not isinstance(parts[0], str) else parts[0]}


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(name: str, data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def calling(*ids: str, **fields: Any) -> dict[str, Any]:
    calls = [{"id": one, "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **fields}


def result(call_id: str, content: Any = "seen") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_the_model_is_in_the_path_and_nothing_of_it_in_the_body() -> None:
    assert prepared().path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert prepared(stream=True).path.endswith("v1%3A0/converse-stream")
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert prepared(arn).path == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile"
        "%2Fus.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    )
    assert sent(NOVA) == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def test_system_words_stand_apart_and_later_ones_are_the_users() -> None:
    body = sent(
        messages=[
            {"role": "system", "content": "One."},
            {"role": "developer", "content": [text("Two.")]},
            user("A"),
            {"role": "system", "content": "Three."},
        ]
    )

    assert body["system"] == [{"text": "One."}, {"text": "Two."}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "A"}, {"text": "Three."}]}]


def test_a_model_without_a_system_hears_it_from_the_user() -> None:
    body = sent(TITAN, messages=[{"role": "system", "content": "One."}, user("A")])

    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"text": "One."}, {"text": "A"}]}]


def test_turns_alternate_begin_with_the_user_and_hold_nothing_blank() -> None:
    assert messages({"role": "assistant", "content": "I "}, user("A"), user(" "), user("B")) == [
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [{"text": "I "}]},
        {"role": "user", "content": [{"text": "A"}, {"text": "B"}]},
    ]
    assert messages(user("A"), {"role": "assistant", "content": "It is \n"})[-1]["content"] == [{"text": "It is"}]
    assert messages({"role": "system", "content": "Alone."}) == [{"role": "user", "content": [{"text": "Alone."}]}]


def test_all_results_of_a_turn_are_in_one_message_before_other_words() -> None:
    turns = messages(user("go"), calling("c1", "c.2:x"), user("and?"), result("c.2:x"), result("c1"), tools=[TOOL])

    assert [next(iter(block)) for block in turns[1]["content"]] == ["toolUse", "toolUse"]
    first, second = (block["toolUse"] for block in turns[1]["content"])
    assert first == {"toolUseId": "c1", "name": "look", "input": {"a": 1}}
    assert [block.get("toolResult", {}).get("toolUseId") for block in turns[2]["content"]] == [
        second["toolUseId"],
        "c1",
        None,
    ]
    assert turns[2]["content"][2] == {"text": "and?"}


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    turns = messages(user("go"), calling("c1"), user("well?"), tools=[TOOL])

    assert turns[2]["content"][0]["toolResult"]["status"] == "error"
    assert "status" not in messages(user("go"), calling("c1"), model=WRITER)[2]["content"][0]["toolResult"]


def test_an_empty_result_says_something() -> None:
    [block] = messages(user("go"), calling("c1"), result("c1", ""))[2]["content"]

    assert block["toolResult"]["content"][0]["text"].strip()


def test_media_in_results_stays_there_only_where_the_model_takes_it() -> None:
    listed = [user("go"), calling("c1"), result("c1", [text("see"), image(PNG)])]

    assert [next(iter(b)) for b in messages(*listed)[2]["content"][0]["toolResult"]["content"]] == ["text", "image"]
    left = messages(*listed, model=QWEN)[2]["content"]
    assert left[0]["toolResult"]["content"] == [{"text": "see"}]
    assert "image" in left[1]


def test_images_documents_sound_and_video_are_bytes_with_a_format() -> None:
    [turn] = messages(
        user(
            image(PNG),
            image("data:image/jpg;base64,/9j/"),
            file("Q3 report (final).v2.pdf", PDF),
            file("Q3 report (final).v2.pdf", PDF),
            file("table.csv", "data:text/csv;base64,YQ=="),
            file("_é_.md", "data:text/markdown;base64,YQ=="),
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        )
    )
    blocks = turn["content"]

    assert blocks[0] == {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    assert blocks[1]["image"]["format"] == "jpeg"
    documents = [block["document"] for block in blocks if "document" in block]
    assert [(one["format"], one["name"]) for one in documents] == [
        ("pdf", "Q3 report (final) v2"),
        ("pdf", "Q3 report (final) v2 (2)"),
        ("csv", "table"),
        ("md", "document"),
    ]
    assert blocks[6]["audio"] == {"format": "wav", "source": {"bytes": "UklGRg=="}}
    assert blocks[7]["video"]["format"] == "mp4"
    assert "text" in blocks[8]  # a document wants words beside it


@pytest.mark.parametrize(
    "part",
    [
        image("https://images.test/a.png"),
        image("s3://bucket/a.png"),
        image("data:image/tiff;base64,AAAA"),
        file("a.bin", "data:application/zip;base64,AAAA"),
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "midi"}},
    ],
)
def test_what_has_no_form_is_refused_and_may_be_tried_elsewhere(part: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        prepared(messages=[user(text("look"), part)])

    assert caught.value.failure.to_error().metadata["retryable_elsewhere"] == "true"


def test_addresses_are_to_be_fetched_before() -> None:
    needs = media_needs_of(BedrockConverse())

    assert needs.kinds >= {"image_url", "file", "input_audio", "video_url"}
    assert needs.passed_on == ()


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


def test_parameters_are_clamped_and_what_has_no_form_is_left_out() -> None:
    body = sent(
        NOVA, temperature=1.7, top_p=0.5, max_tokens=9, stop=["a", " ", "b"], seed=1, n=2, logprobs=True, logit_bias={},
        presence_penalty=1, user="alice", top_k=900, provider={"order": []},
    )  # fmt: skip

    assert body == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"temperature": 1, "topP": 0.5, "maxTokens": 9, "stopSequences": ["a", "b"]},
        "additionalModelRequestFields": {"inferenceConfig": {"topK": 128}},
    }


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


def test_signed_thoughts_go_back_first_and_as_they_came() -> None:
    details = [
        {"type": "reasoning.text", "text": "Let ", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "me", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "cmVk", "format": "amazon-bedrock-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "other", "format": "google-gemini-v1", "index": 2},
        {"type": "reasoning.encrypted", "data": "other", "format": "anthropic-claude-v1", "index": 3},
    ]
    listed = [user("go"), calling("c1", reasoning_details=details, content="Well."), result("c1")]

    assert messages(*listed, tools=[TOOL])[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Let me", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "Well."},
        {"toolUse": {"toolUseId": "c1", "name": "look", "input": {"a": 1}}},
    ]
    assert [next(iter(b)) for b in messages(*listed, model=NOVA)[1]["content"]] == [
        "reasoningContent",
        "text",
        "toolUse",
    ]


def test_a_loop_that_lost_its_thinking_goes_on_without() -> None:
    listed = [user("go"), calling("c1"), result("c1")]
    thinking: dict[str, Any] = {"reasoning": {"max_tokens": 2000}, "tools": [TOOL]}

    assert extra(messages=listed, **thinking) == {}
    assert "thinking" in extra(OPUS, messages=listed, **thinking)


def test_cache_marks_become_points_after_what_they_cover() -> None:
    body = sent(
        tools=[{**TOOL, "cache_control": MARK}],
        messages=[
            {"role": "system", "content": [text("S", cache_control={**MARK, "ttl": "1h"})]},
            user(text("A", cache_control=MARK), text("B")),
            calling("c1"),
            result("c1", [text("R", cache_control=MARK)]),
        ],
    )

    assert body["toolConfig"]["tools"][1] == POINT
    assert body["system"] == [{"text": "S"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["messages"][0]["content"] == [{"text": "A"}, POINT, {"text": "B"}]
    assert body["messages"][2]["content"][1] == POINT
    assert body["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "R"}]


def test_there_are_at_most_four_cache_points_and_the_last_ones_stay() -> None:
    parts = [text(str(number), cache_control=MARK) for number in range(6)]
    [turn] = messages(user(*parts), cache_control=MARK)

    assert [block.get("text") for block in turn["content"]] == ["0", "1", "2", None, "3", None, "4", None, "5", None]


@pytest.mark.parametrize("model", [LLAMA, QWEN, "anthropic.claude-3-haiku-20240307-v1:0"])
def test_models_without_a_cache_get_no_points(model: str) -> None:
    body = sent(
        model,
        messages=[user(text("A", cache_control=MARK))],
        cache_control=MARK,
        tools=[{**TOOL, "cache_control": MARK}],
    )

    assert b"cachePoint" not in orjson.dumps(body)


def test_nova_caches_no_tools_and_knows_no_times() -> None:
    body = sent(NOVA, tools=[{**TOOL, "cache_control": MARK}], cache_control={**MARK, "ttl": "1h"})

    assert len(body["toolConfig"]["tools"]) == 1
    assert body["messages"][0]["content"][-1] == POINT


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


def test_thoughts_alone_are_no_message() -> None:
    thought = {"type": "reasoning.text", "text": "Hm", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}

    turns = messages(user("go"), {"role": "assistant", "content": "", "reasoning_details": [thought]}, user("well?"))

    assert turns == [{"role": "user", "content": [{"text": "go"}, {"text": "well?"}]}]


def test_what_may_not_stand_beside_results_comes_after_a_word_of_the_model() -> None:
    listed = [user("go"), calling("c1"), result("c1"), user(text("and this?"), file("a.pdf", PDF))]

    apart = messages(*listed, tools=[TOOL])
    assert [turn["role"] for turn in apart] == ["user", "assistant", "user", "assistant", "user"]
    assert [next(iter(block)) for block in apart[2]["content"]] == ["toolResult"]
    assert [next(iter(block)) for block in apart[4]["content"]] == ["text", "document"]
    for model, count in ((LLAMA, 5), (MISTRAL, 5), (WRITER, 5), (NOVA, 3)):
        assert len(messages(*listed[:3], user("and?"), model=model)) == count
    assert len(messages(*listed[:3], user(text("and?"), image(PNG)))) == 3


def test_documents_stay_in_results_where_the_model_takes_them() -> None:
    listed = [user("go"), calling("c1"), result("c1", [text("see"), file("a.pdf", PDF)])]

    assert "document" in messages(*listed)[2]["content"][0]["toolResult"]["content"][1]
    assert "document" in messages(*listed, model=MISTRAL)[2]["content"][0]["toolResult"]["content"][1]
    assert "document" in messages(*listed, model=NOVA)[2]["content"][1]


def test_a_cache_point_stands_before_documents_at_the_end() -> None:
    [turn] = messages(user(text("A"), file("a.pdf", PDF), {**file("b.pdf", PDF), "cache_control": MARK}))
    [alone] = messages(user({**file("a.pdf", PDF), "cache_control": MARK}))

    assert [next(iter(block)) for block in turn["content"]] == ["text", "cachePoint", "document", "document"]
    assert [next(iter(block)) for block in alone["content"]] == ["document", "text"]


def test_a_model_that_refuses_sampling_gets_none() -> None:
    assert sent(GPT, temperature=0.2, top_p=0.5, max_tokens=64)["inferenceConfig"] == {"maxTokens": 64}


def test_the_newest_claudes_answer_in_json_by_a_tool() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}

    assert prepared(OPUS, response_format=wanted).answer_tool == "json"
    assert prepared("us.anthropic.claude-opus-4-6-v1", response_format=wanted).answer_tool == ""
