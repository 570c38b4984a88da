"""What the remaining hosts of the chat format do differently, one fact a test (reference wire facts §7, §8, §9)."""

from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.openai_chat.think_tags import ThinkTags, split_whole
from services.provider_adapter.protocols.port import Prepared, Usage
from tests.testkit.provider_conformance import attempt
from tests.unit.provider_adapter.chat_dialect_bodies import TOOL, WIRE, Streamed, call, delta, messages, sent, whole


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        ("low", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("medium", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("xhigh", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("none", {"thinking": {"type": "disabled"}}),
    ],
)
def test_deepseek_knows_two_levels(effort: str, expected: dict[str, Any]) -> None:
    body = sent("deepseek", reasoning={"effort": effort})

    assert {name: body[name] for name in ("thinking", "reasoning_effort") if name in body} == expected


def test_deepseek_gets_its_thoughts_back_inside_tool_loops_alone() -> None:
    detail = {"type": "reasoning.text", "text": "Hm", "format": "unknown", "index": 0}
    plain = {"role": "assistant", "content": "a", "reasoning": "Hm"}
    calling = {"role": "assistant", "content": None, "reasoning_details": [detail], "tool_calls": [call("a")]}

    told = messages("deepseek", plain, calling)

    assert "reasoning_content" not in told[0]
    assert told[1]["reasoning_content"] == "Hm"
    assert "reasoning_details" not in told[1]


def test_hosts_without_schemas_are_told_in_words() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    for dialect in ("deepseek", "zai"):
        body = sent(dialect, response_format=wanted)
        assert body["response_format"] == {"type": "json_object"}
        assert '"city"' in body["messages"][0]["content"]


def test_temperatures_above_a_hosts_bound_are_lowered() -> None:
    assert sent("moonshot", temperature=1.7)["temperature"] == 1
    assert sent("zai", temperature=0.3)["temperature"] == 0.3
    assert sent("", temperature=1.7)["temperature"] == 1.7


def test_thoughts_beside_content_have_chats_name_and_nulls_do_not_slow_or_show() -> None:
    said = Streamed(
        delta(role="assistant", content=None, reasoning_content="Hm"),
        delta(content="Yes", reasoning_content=None, tool_calls=None),
        delta(content="!", role="assistant"),
        delta("stop", content=""),
    )

    assert (said.joined("reasoning"), said.joined("content")) == ("Hm", "Yes!")
    assert all(value is not None for one in said.deltas for name, value in one.items() if name != "content")


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("sensitive", "content_filter"),
        ("network_error", "error"),
        ("insufficient_system_resource", "error"),
        ("eos", "stop"),
    ],
)
def test_finishes_of_hosts(native: str, expected: str) -> None:
    assert Streamed(delta(content="a"), delta(native)).facts.finish_reason == expected


# Groq


def test_groq_puts_thoughts_apart_where_models_would_not() -> None:
    thinker = sent("groq", "qwen/qwen3-32b", reasoning={"effort": "high"})

    assert (thinker["reasoning_format"], thinker["reasoning_effort"]) == ("parsed", "default")
    assert sent("groq", "qwen/qwen3-32b", reasoning={"effort": "none"})["reasoning_effort"] == "none"
    assert sent("groq", "qwen/qwen3-32b", reasoning={"exclude": True})["reasoning_format"] == "hidden"
    plain = sent("groq", "openai/gpt-oss-120b", reasoning={"effort": "xhigh"}, top_k=3, n=2, service_tier="priority")
    assert plain["reasoning_effort"] == "high"
    assert {"reasoning_format", "top_k", "n", "service_tier", "logprobs"}.isdisjoint(plain)
    assert sent("groq", service_tier="default")["service_tier"] == "on_demand"


def test_groqs_usage_and_errors_beside_the_chunk_are_seen() -> None:
    counted = {**delta("stop"), "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}}
    broken = {**delta(), "x_groq": {"error": "over capacity"}}

    assert Streamed(delta(content="a"), counted).facts.usage == Usage(3, 2)
    assert Streamed(delta(content="a"), broken).failure is not None


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
def test_a_call_that_the_model_miswrote_is_the_providers_failure(code: str) -> None:
    body = {"error": {"message": "Failed to call a function.", "code": code, "failed_generation": "<f>"}}

    failure = OpenAiChat().failure(400, {}, orjson.dumps(body), 0)

    assert failure.failure_class is FailureClass.UPSTREAM
    assert failure.to_error().metadata["retryable_elsewhere"] == "true"


# xAI


def test_grok_is_not_sent_what_it_refuses() -> None:
    fields: dict[str, Any] = {
        "stop": "x",
        "presence_penalty": 1,
        "reasoning": {"effort": "medium"},
        "search_parameters": {},
    }

    assert {"stop", "presence_penalty", "reasoning_effort", "search_parameters"}.isdisjoint(
        sent("xai", "grok-4-0709", **fields)
    )
    assert sent("xai", "grok-3-mini", **fields)["reasoning_effort"] == "high"
    assert sent("xai", "grok-4.20-multi-agent", **fields)["reasoning_effort"] == "medium"
    assert sent("xai", "grok-4-1-fast-non-reasoning", **fields)["stop"] == "x"


def test_xais_bad_key_is_a_400_and_its_reasoning_is_counted_beside() -> None:
    body = b'{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***ey."}'
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 1,
        "total_tokens": 241,
        "completion_tokens_details": {"reasoning_tokens": 228},
    }

    assert OpenAiChat().failure(400, {}, body, 0).failure_class is FailureClass.AUTHENTICATION
    _, facts = whole({"role": "assistant", "content": "a"}, usage=usage)
    assert (facts.usage.completion_tokens, facts.usage.reasoning_tokens) == (229, 228)


# Perplexity


def test_perplexitys_messages_take_turns_and_carry_no_tools() -> None:
    told = messages(
        "perplexity",
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": None, "tool_calls": [call("x")]},
        {"role": "tool", "tool_call_id": "x", "content": "7"},
        {"role": "assistant", "content": "c"},
    )

    assert told[0] == {"role": "system", "content": "Be brief.\n\nBe kind."}
    assert [one["role"] for one in told[1:]] == ["user", "assistant", "user", "assistant", "user"]
    assert [part["text"] for part in told[3]["content"]] == ["a", "b", "7"]
    body = sent("perplexity", "sonar", tools=[TOOL], tool_choice="auto", search_domain_filter=["a.example"])
    assert {"tools", "tool_choice", "stream_options"}.isdisjoint(body)
    assert body["search_domain_filter"] == ["a.example"]


SOURCES: dict[str, Any] = {
    "citations": ["https://a.example", "https://b.example"],
    "search_results": [{"title": "B", "url": "https://b.example", "snippet": "bees"}],
}


def test_perplexitys_sources_are_annotations_and_its_end_needs_no_terminator() -> None:
    last = {
        "object": "chat.completion.done",
        "choices": [{"index": 0, "message": {"content": "a b"}, "delta": {"content": ""}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "search_context_size": "low",
            "cost": {},
        },
        **SOURCES,
    }
    said = Streamed(
        {**delta(content="a "), **SOURCES}, {**delta(content="b"), **SOURCES}, last, dialect="perplexity", done=False
    )
    choice, _ = whole({"role": "assistant", "content": "a b"}, dialect="perplexity", **SOURCES)

    assert said.failure is None
    assert said.joined("content") == "a b"
    told = [one for one in said.deltas if "annotations" in one]
    assert len(told) == 1
    assert told[0]["annotations"] == choice["message"]["annotations"]
    assert [(one["url_citation"]["url"], one["url_citation"]["title"]) for one in told[0]["annotations"]] == [
        ("https://a.example", ""),
        ("https://b.example", "B"),
    ]


def test_thoughts_in_the_content_are_split_only_where_a_model_is_known_for_them() -> None:
    text = "<think>\nHm, ok</think>\n\nYes <think> no"
    pieces = [delta(content=text[place : place + 3]) for place in range(0, len(text), 3)]
    known = Streamed(*pieces, delta("stop"), dialect="perplexity", model="sonar-reasoning-pro")
    unknown = Streamed(*pieces, delta("stop"))
    choice, _ = whole({"role": "assistant", "content": text}, dialect="perplexity", model="sonar-reasoning-pro")

    assert (known.joined("reasoning"), known.joined("content")) == ("\nHm, ok", "Yes <think> no")
    assert (choice["message"]["reasoning"], choice["message"]["content"]) == ("\nHm, ok", "Yes <think> no")
    assert unknown.joined("content") == text


@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think>b",
        "<think>a",
        "plain",
        "<thin",
        " <think>a</thi</think>\n\n\nb",
        "",
        "<think></think>",
        "a<think>b</think>",
    ],
)
def test_think_tags_split_alike_however_the_text_is_cut(text: str) -> None:
    for size in range(1, len(text) + 1):
        tags = ThinkTags()
        parts = [tags.feed(text[place : place + size]) for place in range(0, len(text), size)] + [tags.finish()]
        assert tuple(map("".join, zip(*parts, strict=True))) == split_whole(text)


def test_perplexitys_tokens_beyond_the_window_are_that() -> None:
    body = b'{"error":{"message":"too long","type":"too_many_prompt_tokens","code":400}}'

    assert OpenAiChat().failure(400, {}, body, 0).failure_class is FailureClass.CONTEXT_LENGTH_EXCEEDED


# Cerebras, Together, Fireworks, DashScope, Ollama, MiniMax, Snowflake, Databricks


def test_hosts_words_for_thinking() -> None:
    assert sent("together", reasoning={"enabled": True})["reasoning"] == {"enabled": True}
    assert sent("together", "openai/gpt-oss-20b", reasoning={"effort": "minimal"})["reasoning_effort"] == "low"
    fireworks = sent("fireworks", reasoning={"max_tokens": 2048})
    assert fireworks["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert "reasoning_effort" not in fireworks
    assert sent("fireworks", reasoning={"effort": "xhigh"})["reasoning_effort"] == "high"
    assert sent("ollama", reasoning={"effort": "xhigh"})["reasoning_effort"] == "max"
    qwen = sent("dashscope", "qwen-plus", reasoning={"max_tokens": 500})
    assert (qwen["enable_thinking"], qwen["thinking_budget"]) == (True, 500)
    assert sent("dashscope", "qwen3-32b", stream=False)["enable_thinking"] is False
    assert "enable_thinking" not in sent("dashscope", "qwen3-32b")
    cerebras = sent("cerebras", max_tokens=9, frequency_penalty=1)
    assert cerebras["max_completion_tokens"] == 9
    assert "frequency_penalty" not in cerebras
    assert sent("minimax")["reasoning_split"] is True


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1002, FailureClass.RATE_LIMITED),
        (1008, FailureClass.INSUFFICIENT_CREDITS),
        (1039, FailureClass.RATE_LIMITED),
        (2049, FailureClass.AUTHENTICATION),
        (1004, FailureClass.AUTHENTICATION),
        (1000, FailureClass.UPSTREAM),
    ],
)
def test_minimaxs_failures_inside_a_success_have_their_class(number: int, expected: FailureClass) -> None:
    bad = {"choices": None, "base_resp": {"status_code": number, "status_msg": "no"}}

    with pytest.raises(ProviderFailedError) as caught:
        OpenAiChat().whole(attempt(WIRE), Prepared("", b""), orjson.dumps(bad))
    assert caught.value.failure.failure_class is expected
    streamed = Streamed(bad).failure
    assert streamed is not None
    assert streamed.failure_class is expected
    good = {"status_code": 0, "status_msg": ""}
    assert whole({"role": "assistant", "content": "a"}, base_resp=good)[1].finish_reason == "stop"


@pytest.mark.parametrize("finish", [None, ""])
def test_snowflake_ends_without_a_reason(finish: Any) -> None:
    said = Streamed(delta(content="a"), dialect="snowflake", done=False)
    choice, facts = whole({"role": "assistant", "content": "a"}, dialect="snowflake", finish=finish)

    assert said.failure is None
    assert said.facts.finish_reason == facts.finish_reason == choice["finish_reason"] == "stop"
    assert said.choices[-1]["finish_reason"] == "stop"
    assert Streamed(delta(content="a"), done=False).failure is not None


def test_databricks_lists_and_codes_are_read() -> None:
    parts = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "text", "text": "Yes"},
    ]
    choice, _ = whole({"role": "assistant", "content": parts})
    failure = OpenAiChat().failure(429, {}, b'{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow"}', 0)

    assert (choice["message"]["reasoning"], choice["message"]["content"]) == ("Hm", "Yes")
    assert (failure.failure_class, failure.code) == (FailureClass.RATE_LIMITED, "REQUEST_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"code": "data_inspection_failed", "message": "no"}}, FailureClass.CONTENT_POLICY),
        (400, {"code": "DataInspectionFailed", "message": "no"}, FailureClass.CONTENT_POLICY),
        (400, {"error": {"code": "Arrearage", "message": "overdue"}}, FailureClass.INSUFFICIENT_CREDITS),
        (400, {"error": {"code": "1301", "message": "no"}}, FailureClass.CONTENT_POLICY),
        (400, {"error": {"code": "1261", "message": "long"}}, FailureClass.CONTEXT_LENGTH_EXCEEDED),
        (429, {"error": {"code": "1113", "message": "pay"}}, FailureClass.INSUFFICIENT_CREDITS),
        (429, {"error": {"code": "1305", "message": "busy"}}, FailureClass.OVERLOADED),
        (429, {"error": {"type": "engine_overloaded_error", "message": "busy"}}, FailureClass.OVERLOADED),
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "pay"}}, FailureClass.INSUFFICIENT_CREDITS),
        (429, {"error": {"code": "insufficient_quota", "message": "pay"}}, FailureClass.INSUFFICIENT_CREDITS),
        (500, {"base_resp": {"status_code": 1008, "status_msg": "pay"}}, FailureClass.INSUFFICIENT_CREDITS),
        (400, {"error": {"code": "model_decommissioned", "message": "gone"}}, FailureClass.NOT_FOUND),
        (412, {"error": {"message": "too big"}}, FailureClass.REQUEST_TOO_LARGE),
        (400, {"error": {"message": "maximum context length is 131072 tokens"}}, FailureClass.CONTEXT_LENGTH_EXCEEDED),
        (200, {"success": False, "errors": [{"code": 7003, "message": "no route"}]}, FailureClass.UPSTREAM),
    ],
)
def test_codes_of_hosts_have_their_class(status: int, body: Any, expected: FailureClass) -> None:
    assert OpenAiChat().failure(status, {}, orjson.dumps(body), 0).failure_class is expected


# OpenRouter as an upstream


def test_openrouter_keeps_the_native_reason_and_gets_details_back() -> None:
    end = delta("stop")
    end["choices"][0]["native_finish_reason"] = "end_turn"
    said = Streamed(delta(content="a"), end, {**end, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    detail = {"type": "reasoning.text", "text": "Hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    told = messages("openrouter", {"role": "assistant", "content": "a", "reasoning_details": [detail]})

    assert (said.facts.finish_reason, said.facts.native_finish_reason) == ("stop", "end_turn")
    assert [one["finish_reason"] for one in said.choices].count("stop") == 1
    assert told[0]["reasoning_details"] == [detail]
    assert sent("openrouter", reasoning={"effort": "high"})["reasoning"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (429, FailureClass.RATE_LIMITED),
        (502, FailureClass.UPSTREAM),
        (503, FailureClass.OVERLOADED),
        (402, FailureClass.INSUFFICIENT_CREDITS),
        (400, FailureClass.UPSTREAM),
        ("server_error", FailureClass.UPSTREAM),
        ("rate_limit_exceeded", FailureClass.RATE_LIMITED),
    ],
)
def test_an_error_inside_a_stream_has_the_class_of_its_code(code: Any, expected: FailureClass) -> None:
    error = {"error": {"code": code, "message": "boom"}}

    for events in ([error], [delta(content="a"), {**delta("error", content=""), **error}]):
        failure = Streamed(*events).failure
        assert failure is not None
        assert failure.failure_class is expected


def test_images_and_sound_in_an_answer_pass_whole_and_streamed() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    sound = {"id": "audio_1", "data": "AAAA", "transcript": "Hi", "expires_at": 1}
    choice, _ = whole({"role": "assistant", "content": "", "images": picture, "audio": sound})
    said = Streamed(delta(images=picture), delta(audio={"id": "audio_1", "data": "AAAA"}), delta("stop"))

    assert (choice["message"]["images"], choice["message"]["audio"]) == (picture, sound)
    assert [one["images"] for one in said.deltas if "images" in one] == [picture]
    assert [one["audio"] for one in said.deltas if "audio" in one] == [{"id": "audio_1", "data": "AAAA"}]


def test_what_chat_can_carry_reaches_a_plain_host() -> None:
    fields: dict[str, Any] = {
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "prediction": {"type": "content", "content": "x"},
        "modalities": ["text", "audio"],
        "audio": {"voice": "a", "format": "wav"},
        "service_tier": "flex",
        "verbosity": "low",
        "logit_bias": {"1": 1},
    }
    parts = [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    ]
    body = sent("openai", "gpt-4o-audio-preview", messages=[{"role": "user", "content": parts}], **fields)

    assert fields.items() <= body.items()
    assert body["messages"][0]["content"] == parts
