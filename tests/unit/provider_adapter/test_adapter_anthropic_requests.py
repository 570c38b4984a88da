from typing import Any

import orjson
import pytest

from libs.errors import AppError
from services.provider_adapter.protocols.anthropic_messages.models import traits_of
from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.anthropic_messages.schemas import strict_schema
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Usage
from tests.testkit.provider_conformance import Decoded, attempt
from tests.unit.provider_adapter.anthropic_bodies import (
    CALL,
    START,
    STOP,
    TOOL,
    WIRE,
    assistant,
    block,
    end,
    events,
    prepared,
    sent,
    tool,
    user,
)


def test_headers_name_the_version_and_the_key_in_its_place() -> None:
    wire = AnthropicMessages()

    assert wire.headers("sk-ant-api03-x") == {"x-api-key": "sk-ant-api03-x", "anthropic-version": "2023-06-01"}
    assert wire.headers("sk-ant-oat01-x")["Authorization"] == "Bearer sk-ant-oat01-x"
    assert "x-api-key" not in wire.headers("sk-ant-oat01-x")


def test_a_plain_request_holds_nothing_more_than_it_must() -> None:
    assert sent("hi") == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        ("claude-sonnet-4-5", None, 64_000),
        ("claude-opus-4-20250514", None, 32_000),
        ("claude-3-haiku-20240307", 9_999, 4_096),
        ("claude-3-5-sonnet-20241022", None, 8_192),
        ("claude-opus-4-6", None, 128_000),
        ("claude-of-tomorrow", 500_000, 128_000),
        ("MiniMax-M2", 100_000, 100_000),
        ("claude-sonnet-4-5", 7, 7),
    ],
)
def test_the_limit_is_mandatory_and_within_the_models(model: str, asked: int | None, expected: int) -> None:
    assert sent(model=model, limit=asked)["max_tokens"] == expected
    assert sent(model=model, max_tokens=asked)["max_tokens"] == expected


def test_the_gateways_limit_goes_before_the_callers() -> None:
    assert sent(max_tokens=50, limit=9)["max_tokens"] == 9


def test_system_words_go_on_top_and_later_ones_to_the_user() -> None:
    body = sent(
        [
            {"role": "system", "content": "One."},
            {"role": "developer", "content": [{"type": "text", "text": "Two."}]},
            user("a"),
            {"role": "system", "content": "Three."},
        ]
    )

    assert [part["text"] for part in body["system"]] == ["One.", "Two."]
    assert [part["text"] for part in body["messages"][0]["content"]] == ["a", "Three."]
    alone = sent([{"role": "system", "content": "Only."}])
    assert alone["messages"] == [user([{"type": "text", "text": "Only."}])]
    assert "system" not in alone


def test_turns_alternate_begin_with_the_user_and_hold_no_blank_text() -> None:
    body = sent(
        [assistant("x"), assistant("y"), user("a"), user([{"type": "text", "text": " "}]), assistant("end  \n")]
    )

    assert [(m["role"], [b["text"] for b in m["content"]]) for m in body["messages"]] == [
        ("user", ["."]),
        ("assistant", ["x", "y"]),
        ("user", ["a"]),
        ("assistant", ["end"]),
    ]


def test_names_are_said_in_the_text() -> None:
    assert sent([{**user("hi"), "name": "ann"}])["messages"][0]["content"][0]["text"] == "ann: hi"


def test_results_of_parallel_calls_are_one_message_before_any_text() -> None:
    other = {**CALL, "id": "toolu_2"}
    body = sent(
        [user("q"), assistant(None, tool_calls=[CALL, other]), tool("1"), user("and?"), tool("2", "toolu_2")],
        tools=[TOOL],
    )

    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}},
        {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {"a": "b"}},
    ]
    assert [(b["type"], b.get("tool_use_id"), b.get("content")) for b in body["messages"][2]["content"]] == [
        ("tool_result", "toolu_1", "1"),
        ("tool_result", "toolu_2", "2"),
        ("text", None, None),
    ]


def test_a_call_that_nobody_answered_gets_an_answer() -> None:
    result = sent([user("q"), assistant(None, tool_calls=[CALL]), user("never mind")], tools=[TOOL])["messages"][2][
        "content"
    ]

    assert (result[0]["type"], result[0]["is_error"]) == ("tool_result", True)
    assert result[1]["text"] == "never mind"


@pytest.mark.parametrize(
    ("arguments", "expected"), [("", {}), ("{}", {}), ('{"a":1}', {"a": 1}), ("{oops", {"arguments": "{oops"}), ("[1]", {"arguments": "[1]"})]
)  # fmt: skip
def test_arguments_become_an_object_whatever_the_model_wrote(arguments: str, expected: dict[str, Any]) -> None:
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}

    assert (
        sent([user("q"), assistant(None, tool_calls=[call])], tools=[TOOL])["messages"][1]["content"][0]["input"]
        == expected
    )


def test_ids_of_other_providers_are_brought_into_the_alphabet_alike_on_both_sides() -> None:
    call = {**CALL, "id": "call:1/ü"}
    body = sent([user("q"), assistant(None, tool_calls=[call]), tool("1", "call:1/ü")], tools=[TOOL])

    made = body["messages"][1]["content"][0]["id"]
    assert made.replace("_", "").isalnum()
    assert body["messages"][2]["content"][0]["tool_use_id"] == made


def test_a_history_with_calls_declares_their_tools() -> None:
    body = sent([user("q"), assistant(None, tool_calls=[CALL]), tool("1")])

    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("none", False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ({"type": "function", "function": {"name": "f"}}, True, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choice_in_all_forms(choice: Any, parallel: bool | None, expected: Any) -> None:
    body = sent(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)

    assert body.get("tool_choice") == expected
    assert body["tools"][0]["input_schema"]["type"] == "object"
    assert "tool_choice" not in sent(tool_choice=choice)


def test_media_goes_as_bytes_or_as_an_address() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD"}},
        {"type": "image_url", "image_url": "https://x.test/a.png"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": "https://x.test/b.pdf"}},
        {"type": "file", "file": {"filename": "c.txt", "file_data": "data:text/plain,Gr%C3%BC%C3%9Fe"}},
    ]

    blocks = sent([user(parts)])["messages"][0]["content"]

    assert [b["source"] for b in blocks] == [
        {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"},
        {"type": "url", "url": "https://x.test/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
        {"type": "url", "url": "https://x.test/b.pdf"},
        {"type": "text", "media_type": "text/plain", "data": "Grüße"},
    ]
    assert [b["type"] for b in blocks] == ["image", "image", "document", "document", "document"]
    assert blocks[2]["title"] == "a.pdf"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/v.mp4"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/zip;base64,QUJD"}},
    ],
)
def test_what_the_format_cannot_carry_is_refused_and_may_be_tried_elsewhere(part: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        sent([user([part])])

    assert caught.value.failure.failure_class is FailureClass.INVALID_REQUEST
    assert caught.value.failure.to_error().metadata["retryable_elsewhere"] == "true"


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(AppError):
        AnthropicMessages().prepare(attempt(WIRE, body=body), "")


def test_sampling_is_clamped_and_left_out_where_it_is_refused() -> None:
    given = {"temperature": 1.7, "top_p": 0.9, "top_k": 5, "seed": 1, "frequency_penalty": 1, "n": 2, "logprobs": True}
    sampling = ("temperature", "top_p", "top_k")

    def kept(**fields: Any) -> dict[str, Any]:
        body = sent(**{**given, **fields})
        assert body.keys() <= {"model", "max_tokens", "messages", "stream", "thinking", "output_config", *sampling}
        return {name: body[name] for name in sampling if name in body}

    assert kept(model="claude-3-5-haiku-20241022") == {"temperature": 1, "top_p": 0.9, "top_k": 5}
    assert kept() == {"temperature": 1, "top_k": 5}
    assert kept(temperature=None) == {"top_p": 0.9, "top_k": 5}
    assert kept(model="claude-opus-4-7") == {}
    assert kept(reasoning={"effort": "low"}) == {}
    assert kept(unsupported=("top_k",)) == {"temperature": 1}


@pytest.mark.parametrize(
    ("model", "reasoning", "limit", "thinking", "effort"),
    [
        ("claude-sonnet-4-5", {"effort": "high"}, 10_000, {"type": "enabled", "budget_tokens": 8_000}, None),
        ("claude-sonnet-4-5", {"enabled": True}, 10_000, {"type": "enabled", "budget_tokens": 5_000}, None),
        ("claude-sonnet-4-5", {"effort": "low"}, 2_000, {"type": "enabled", "budget_tokens": 1_024}, None),
        ("claude-sonnet-4-5", {"max_tokens": 9_000}, 4_000, {"type": "enabled", "budget_tokens": 3_999}, None),
        ("claude-sonnet-4-5", {"effort": "high"}, 1_024, None, None),
        ("claude-sonnet-4-5", {"effort": "none"}, 10_000, None, None),
        ("claude-sonnet-4-5", {}, 10_000, None, None),
        ("claude-3-5-sonnet-20241022", {"effort": "high"}, 8_000, None, None),
        ("claude-opus-4-6", {"effort": "xhigh"}, 10_000, {"type": "adaptive"}, "max"),
        ("claude-sonnet-4-6", {"effort": "minimal"}, 10_000, {"type": "adaptive"}, "low"),
        ("claude-opus-4-6", {"max_tokens": 2_000}, 10_000, {"type": "adaptive"}, "low"),
        ("claude-opus-4-6", {"effort": "none"}, 10_000, {"type": "disabled"}, None),
        ("claude-opus-4-7", {"effort": "xhigh"}, 10_000, {"type": "adaptive", "display": "summarized"}, "xhigh"),
        ("claude-opus-4-7", {"effort": "low", "exclude": True}, 10_000, {"type": "adaptive"}, "low"),
    ],
)
def test_reasoning_is_asked_for_in_the_models_way(
    model: str, reasoning: dict[str, Any], limit: int, thinking: Any, effort: str | None
) -> None:
    body = sent(model=model, reasoning=reasoning, limit=limit)

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_a_forced_call_leaves_no_room_for_thinking() -> None:
    body = sent(tools=[TOOL], tool_choice="required", reasoning={"effort": "high"}, limit=9_000)

    assert "thinking" not in body
    assert body["tool_choice"] == {"type": "any"}


def test_verbosity_is_an_effort_where_there_are_efforts() -> None:
    assert sent(model="claude-opus-4-6", verbosity="low")["output_config"] == {"effort": "low"}
    assert "output_config" not in sent(verbosity="low")


def test_signed_thinking_goes_back_first_and_unchanged_even_in_pieces() -> None:
    details = [
        {"type": "reasoning.text", "text": "Let ", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "me.", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "ZW5j", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.text", "text": "unsigned", "format": "anthropic-claude-v1", "index": 2},
        {"type": "reasoning.text", "text": "foreign", "signature": "x", "format": "google-gemini-v1", "index": 3},
        {"type": "reasoning.summary", "summary": "s", "format": "openai-responses-v1", "index": 4},
    ]
    message = assistant("said", tool_calls=[CALL], reasoning="Let me.", reasoning_details=details)
    body = sent([user("q"), message, tool("1")], tools=[TOOL], reasoning={"effort": "low"}, limit=9_000)

    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Let me.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "said"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}},
    ]
    assert body["thinking"]["type"] == "enabled"


def test_a_turn_of_thoughts_alone_is_left_out() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}
    ]
    body = sent([user("q"), assistant(None, reasoning_details=details), user("well?")], limit=9_000)

    assert [(message["role"], len(message["content"])) for message in body["messages"]] == [("user", 2)]


def test_a_tool_loop_without_its_thinking_goes_on_without() -> None:
    body = sent([user("q"), assistant(None, tool_calls=[CALL]), tool("1")], tools=[TOOL], reasoning={"effort": "low"})

    assert "thinking" not in body


def test_cache_marks_stay_where_they_are_up_to_four() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    parts = [{"type": "text", "text": str(n), "cache_control": mark} for n in range(4)]
    body = sent(
        [{"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]}, user(parts)],
        tools=[{**TOOL, "cache_control": mark}],
    )

    assert "cache_control" not in body["tools"][0]
    assert "cache_control" not in body["system"][0]
    assert [b["cache_control"] for b in body["messages"][0]["content"]] == [mark] * 4


def test_one_mark_for_the_request_stands_on_its_last_block() -> None:
    body = sent([user("a"), assistant("b"), user("c")], cache_control={"type": "ephemeral"})

    assert body["messages"][-1]["content"][-1] == {"type": "text", "text": "c", "cache_control": {"type": "ephemeral"}}
    assert "cache_control" not in body
    breakpoint_part = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert sent([user([breakpoint_part])])["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"], "$schema": "x"}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}


def test_structured_output_is_native_where_it_is_known() -> None:
    body = sent(response_format=FORMAT)

    assert body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "{minimum: 1}"}},
        "additionalProperties": False,
        "required": ["a"],
    }
    assert "tools" not in body


def test_structured_output_is_a_forced_tool_elsewhere_and_its_input_the_answer() -> None:
    made = prepared(model="claude-3-5-sonnet-20241022", response_format=FORMAT)
    body = orjson.loads(made.body)
    call = {"type": "tool_use", "id": "t", "name": "json", "input": {}}
    said = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    decoder = AnthropicMessages().decoder(attempt(WIRE), made)
    chunks = decoder.feed(events(START, *block(call, said), end("tool_use"), STOP)) + decoder.finish()
    whole, facts = AnthropicMessages().whole(
        attempt(WIRE), made, orjson.dumps({"content": [{**call, "input": {"a": 1}}], "stop_reason": "tool_use"})
    )

    assert body["tool_choice"] == {"type": "tool", "name": "json"}
    assert body["tools"][0]["input_schema"] == SCHEMA
    assert rb'"content":"{\"a\":1}"' in chunks
    assert b"tool_calls" not in chunks
    assert orjson.loads(whole)["choices"][0]["message"]["content"] == '{"a":1}'
    assert (facts.finish_reason, decoder.facts.finish_reason) == ("stop", "stop")
    beside = orjson.loads(prepared(model="claude-3-5-sonnet-20241022", response_format=FORMAT, tools=[TOOL]).body)
    assert ([t["name"] for t in beside["tools"]], beside["tool_choice"]) == (["f", "json"], {"type": "any"})


def test_a_schema_that_refers_to_itself_is_kept() -> None:
    schema = {"$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}, "$ref": "#/$defs/N"}

    assert strict_schema(schema)["$defs"]["N"]["properties"]["n"] == {"$ref": "#/$defs/N"}


def test_service_tier_stop_and_user_have_their_own_names() -> None:
    body = orjson.loads(
        AnthropicMessages()
        .prepare(
            attempt(
                WIRE,
                user_hash="h",
                stream=False,
                body=orjson.dumps(
                    {"messages": [user("x")], "stop": ["a", " "], "service_tier": "default", "user": "u"}
                ),
            ),
            "",
        )
        .body
    )

    assert (body["stop_sequences"], body["metadata"], body["service_tier"]) == (
        ["a"],
        {"user_id": "h"},
        "standard_only",
    )
    assert "stream" not in body
    assert "service_tier" not in sent(model="MiniMax-M2", service_tier="auto")


@pytest.mark.parametrize(
    "name", ["claude-fable-5", "claude-mythos-preview", "claude-haiku-5-5", "anthropic/claude-opus-4.8"]
)
def test_new_names_have_the_newest_traits(name: str) -> None:
    assert traits_of(name) == traits_of("claude-opus-4-7")


def test_a_second_start_says_no_second_role_and_its_usage_holds() -> None:
    again = {"type": "message_start", "message": {"id": "up-2", "usage": {"input_tokens": 9, "output_tokens": 1}}}
    text = {"type": "text", "text": ""}
    decoded = Decoded(
        WIRE,
        events(START, *block(text, {"type": "text_delta", "text": "a"})[:2])
        + events(again, *block(text, {"type": "text_delta", "text": "b"}), end(), STOP),
    )

    assert decoded.joined("content") == "ab"
    assert sum("role" in delta for delta in decoded.deltas) == 1
    assert decoded.facts.usage == Usage(9, 5)


def test_a_stream_without_its_last_event_but_with_an_end_is_complete() -> None:
    raw = events(START, *block({"type": "text", "text": "a"}), end())

    assert Decoded(WIRE, raw).failure is None
    assert Decoded(WIRE, raw).joined("content") == "a"
    without_start = Decoded(WIRE, events(*block({"type": "text", "text": "a"}), end(), STOP))
    assert without_start.deltas[0] == {"role": "assistant", "content": "a"}


def test_a_call_cut_by_the_limit_is_passed_on_broken() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    raw = events(START, *block(call, {"type": "input_json_delta", "partial_json": '{"a'}), end("max_tokens"), STOP)

    decoded = Decoded(WIRE, raw)

    assert decoded.calls == [{"id": "t", "name": "f", "arguments": '{"a'}]
    assert decoded.facts.finish_reason == "length"
