"""What OpenAI, Azure, Mistral and hosts with calls of their own do differently, one fact a test (wire facts §1, §2, §7)."""

from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.attachments import Attachment
from services.provider_adapter.protocols.azure.protocol import DEPLOYMENTS, AzureChat, dialect_at
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.messages import fitted_id
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.port import Prepared, media_needs_of
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
