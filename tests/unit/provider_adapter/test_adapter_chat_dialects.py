"""What OpenAI, Azure, Mistral and hosts with calls of their own do differently, one fact a test (wire facts §1, §2, §7)."""

from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.attachments import Attachment
from services.provider_adapter.protocols.azure.protocol import DEPLOYMENTS, AzureChat, dialect_at
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.messages import fitted_id
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.openai_chat.think_tags import ThinkTags, split_whole
from services.provider_adapter.protocols.port import Prepared, Usage, media_needs_of
from tests.testkit.provider_conformance import attempt
from tests.unit.provider_adapter.chat_dialect_bodies import TOOL, WIRE, Streamed, call, delta, messages, sent, whole


def test_openai_and_azure_are_not_sent_what_they_do_not_know() -> None:
    fields: dict[str, Any] = {
        "top_k": 5,
        "min_p": 0.1,
        "some_extra": 1,
        "seed": 7,
        "logprobs": True,
        "prediction": {"type": "content"},
    }

    for dialect in ("openai", "azure"):
        body = sent(dialect, "gpt-4.1", **fields)
        assert {"top_k", "min_p", "some_extra"}.isdisjoint(body)
        assert {"seed", "logprobs", "prediction"} <= body.keys()


@pytest.mark.parametrize(
    ("model", "fields", "gone", "kept"),
    [
        ("gpt-5-mini", {"temperature": 1, "stop": "x", "logprobs": True}, {"temperature", "stop", "logprobs"}, set()),
        ("gpt-5.4", {"temperature": 1}, set(), {"temperature"}),
        ("gpt-5.5", {"temperature": 1}, {"temperature"}, set()),
        ("gpt-5.6-sol", {"temperature": 1, "reasoning": {"effort": "none"}}, set(), {"temperature"}),
        ("gpt-5.4", {"temperature": 1, "reasoning": {"effort": "low"}}, {"temperature"}, {"reasoning_effort"}),
        ("o3-mini", {"top_p": 1, "tools": [TOOL], "parallel_tool_calls": True}, {"top_p", "parallel_tool_calls"}, {"tools"}),
        ("gpt-4.1", {"temperature": 1, "parallel_tool_calls": True, "tools": [TOOL]}, set(), {"temperature", "parallel_tool_calls"}),
        ("gpt-4.1", {"parallel_tool_calls": True}, {"parallel_tool_calls"}, set()),
    ],
)  # fmt: skip
def test_openais_thinkers_are_not_sent_what_they_refuse(
    model: str, fields: dict[str, Any], gone: set[str], kept: set[str]
) -> None:
    body = sent("openai", model, **fields)

    assert gone.isdisjoint(body)
    assert kept <= body.keys()


def test_developer_and_system_words_go_where_they_are_understood() -> None:
    told = {"role": "developer", "content": "Be brief."}

    assert messages("openai", told, model="gpt-5")[0]["role"] == "developer"
    assert messages("openai", told, model="o1-mini")[0]["role"] == "user"
    assert messages("mistral", told)[0]["role"] == "system"
    assert messages("", told)[0]["role"] == "system"


def test_what_libraries_leave_in_messages_is_not_sent() -> None:
    said = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "audio": None,
        "parsed": {"a": 1},
        "tool_calls": [{**call("a"), "index": 0}],
    }

    assert messages("", said)[0] == {"role": "assistant", "content": None, "tool_calls": [call("a")]}
    assert messages("", {"role": "assistant", "content": "a", "tool_calls": []})[0] == {
        "role": "assistant",
        "content": "a",
    }


# Azure


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://r.openai.azure.com/openai/v1", "/chat/completions"),
        ("https://r.openai.azure.com/openai?api-version=2024-10-21", "/deployments/my%2F4o/chat/completions"),
        ("https://r.openai.azure.com/openai/deployments/x?api-version=2024-10-21", "/chat/completions"),
    ],
)
def test_azures_addresses_of_both_generations(base_url: str, path: str) -> None:
    prepared = AzureChat().prepare(attempt(WIRE, provider_model_id="my/4o"), dialect_at(base_url))

    assert prepared.path == path
    assert orjson.loads(prepared.body)["model"] == "my/4o"
    assert dialect_at("https://a.example/openai?api-version=1") == DEPLOYMENTS


def test_azure_takes_the_limit_under_the_name_that_the_model_knows() -> None:
    assert sent("azure", "gpt-5", max_tokens=9)["max_completion_tokens"] == 9
    assert sent("azure", "Mistral-Large-3", max_tokens=9)["max_tokens"] == 9


def test_azures_filter_is_a_refusal_of_content_wherever_it_speaks() -> None:
    error = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "code": "content_filter",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }

    with pytest.raises(ProviderFailedError) as caught:
        OpenAiChat().whole(attempt(WIRE), Prepared("", b""), orjson.dumps({"error": {"message": error["message"]}}))
    assert caught.value.failure.failure_class is FailureClass.CONTENT_POLICY
    refused = OpenAiChat().failure(400, {}, orjson.dumps({"error": error}), 0)
    assert refused.failure_class is FailureClass.CONTENT_POLICY


def test_azures_first_chunk_about_the_prompt_and_its_filter_results_are_passed_over() -> None:
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    word = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None, "content_filter_results": {}}]}
    said = Streamed(first, word, delta("stop"))

    assert said.joined("content") == "a"
    assert set(said.choices[0]) == {"index", "delta", "finish_reason", "native_finish_reason", "logprobs"}
    assert Streamed(word, delta("content_filter")).facts.finish_reason == "content_filter"


def test_azures_hints_in_milliseconds_are_read() -> None:
    limited = OpenAiChat().failure(429, {"retry-after": "9", "retry-after-ms": "1500"}, b'{"error":{"code":"429"}}', 0)

    assert (limited.failure_class, limited.retry_after_s) == (FailureClass.RATE_LIMITED, 1.5)
    missing = OpenAiChat().failure(404, {}, b'{"error":{"code":"DeploymentNotFound","message":"none"}}', 0)
    assert missing.failure_class is FailureClass.NOT_FOUND


# Mistral


def test_mistrals_ids_have_nine_characters_and_stay_pairs() -> None:
    given = [
        {"role": "assistant", "tool_calls": [call("toolu_01ABCDEF"), call("abcDEF123")]},
        {"role": "tool", "tool_call_id": "toolu_01ABCDEF", "content": "1"},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"},
    ]
    told = messages("mistral", *given)

    ids = [one["id"] for one in told[0]["tool_calls"]]
    assert [one["tool_call_id"] for one in told[1:]] == ids
    assert ids[1] == "abcDEF123"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()
    assert fitted_id("toolu_01ABCDEF", 9) == ids[0] != fitted_id("toolu_01ABCDEG", 9)


def test_mistral_gets_no_unknown_fields_names_or_sampling_it_refuses() -> None:
    body = sent(
        "mistral",
        seed=1,
        top_k=5,
        logprobs=True,
        safe_prompt=True,
        messages=[{"role": "user", "name": "Ann", "content": "hi"}],
        user="raw",
    )

    assert body["random_seed"] == 1
    assert body["safe_prompt"] is True
    assert {"seed", "top_k", "logprobs", "user", "stream_options"}.isdisjoint(body)
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_mistrals_files_are_documents_and_its_sound_is_text() -> None:
    pdf = "data:application/pdf;base64,AAAA"
    (told,) = messages(
        "mistral",
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                {"type": "text", "text": "What is it?"},
            ],
        },
    )

    assert told["content"] == [
        {"type": "document_url", "document_url": pdf, "document_name": "a.pdf"},
        {"type": "input_audio", "input_audio": "AAAA"},
        {"type": "text", "text": "What is it?"},
    ]


def test_files_by_address_are_wanted_as_bytes_and_images_are_not() -> None:
    needs = media_needs_of(OpenAiChat())

    assert needs.wants(Attachment("file", "application/pdf", url="https://a.example/a.pdf"))
    assert not needs.wants(Attachment("image_url", "image/png", url="https://a.example/a.png"))


def test_mistrals_assistant_speaks_after_tools_and_goes_on_where_it_began() -> None:
    tool = {"role": "tool", "tool_call_id": "abcDEF123", "content": "1"}
    told = messages(
        "mistral", {"role": "assistant", "tool_calls": [call("abcDEF123")]}, tool, {"role": "user", "content": "on"}
    )

    assert [one["role"] for one in told] == ["assistant", "tool", "assistant", "user"]
    assert messages("mistral", {"role": "assistant", "content": "Once"})[-1]["prefix"] is True
    assert messages("moonshot", {"role": "assistant", "content": "Once"})[-1]["partial"] is True


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("magistral-medium-latest", "high", {"prompt_mode": "reasoning"}),
        ("magistral-medium-latest", "none", {}),
        ("mistral-small-2603", "low", {"reasoning_effort": "high"}),
        ("mistral-small-2603", "none", {"reasoning_effort": "none"}),
    ],
)
def test_mistral_thinks_by_mode_or_by_effort(model: str, effort: str, expected: dict[str, str]) -> None:
    body = sent("mistral", model, reasoning={"effort": effort})

    assert {name: body[name] for name in ("prompt_mode", "reasoning_effort") if name in body} == expected


def test_mistrals_lists_of_parts_are_text_and_thoughts_whole_and_streamed() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Yes"}]
    choice, _ = whole({"role": "assistant", "content": parts})
    said = Streamed(delta(content=parts[:1]), delta(content=parts[1:]), delta("stop"))

    assert (choice["message"]["content"], choice["message"]["reasoning"]) == ("Yes", "Hm")
    assert (said.joined("content"), said.joined("reasoning")) == ("Yes", "Hm")


def test_whole_calls_in_one_delta_with_the_finish_arrive() -> None:
    said = Streamed(delta("tool_calls", tool_calls=[{**call("abcDEF123", '{"a": 1}'), "index": 0}]))

    assert said.calls == [{**call("abcDEF123", '{"a": 1}'), "index": 0}]
    assert said.facts.finish_reason == "tool_calls"


# Calls, however they are cut


def test_repeated_or_empty_names_and_ids_are_told_once() -> None:
    said = Streamed(
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}]),
        delta(tool_calls=[{"index": 0, "id": "null", "function": {"name": "", "arguments": ":1}"}}]),
        delta(tool_calls=[{"index": 0, "id": "", "function": {"name": None, "arguments": ""}}]),
        delta("tool_calls"),
    )

    assert said.calls == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
    ]


@pytest.mark.parametrize("index", [{"index": 0}, {}])
def test_calls_that_share_a_slot_or_have_none_get_one_each(index: dict[str, int]) -> None:
    said = Streamed(
        delta(tool_calls=[{**index, **call("a", '{"x":1}')}]),
        delta(tool_calls=[{**index, **call("b", '{"y":2}')}]),
        delta("tool_calls"),
    )

    assert [(one["index"], one["id"]) for one in said.calls] == [(0, "a"), (1, "b")]


def test_calls_without_ids_get_one_and_without_arguments_an_object() -> None:
    said = Streamed(delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": None}}]), delta("stop"))
    choice, facts = whole(
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": ""}}]}
    )

    assert said.calls[0]["id"].startswith("call_")
    assert "".join(one["function"]["arguments"] for one in said.calls) == "{}"
    assert said.facts.finish_reason == facts.finish_reason == "tool_calls"
    (made,) = choice["message"]["tool_calls"]
    assert made["id"].startswith("call_")
    assert (made["type"], made["function"]["arguments"]) == ("function", "{}")


def test_arguments_that_are_an_object_become_text() -> None:
    choice, _ = whole({"role": "assistant", "tool_calls": [call("a", {"x": 1})]})

    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"x":1}'


# DeepSeek, Moonshot, Z.AI


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
