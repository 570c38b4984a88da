from typing import Any

import orjson
import pytest

from libs.errors import AppError, Kind
from services.provider_adapter.protocols.openai_chat.request import GATEWAY_FIELDS, prepare
from services.provider_adapter.protocols.port import Attempt

MESSAGES = [{"role": "user", "content": "hi"}]


def attempt(body: Any, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "generation_id": "gen-1-a",
        "provider_name": "P",
        "provider_model_id": "native-model",
        "model": "maker/model",
        "created_s": 1,
        "stream": False,
        "body": body if isinstance(body, bytes) else orjson.dumps(body),
    }
    return Attempt(**{**fields, **changes})


def sent(body: dict[str, Any], dialect: str = "", **changes: Any) -> dict[str, Any]:
    value = orjson.loads(
        prepare(attempt({"model": "maker/model", "messages": MESSAGES, **body}, **changes), dialect).body
    )
    assert isinstance(value, dict)
    return value


def test_a_plain_request_names_the_providers_model() -> None:
    assert sent({"temperature": 0.5}) == {
        "model": "native-model",
        "messages": MESSAGES,
        "temperature": 0.5,
        "stream": False,
    }


def test_fields_for_the_gateway_never_leave_it() -> None:
    body = {key: {"x": "canary"} for key in [*GATEWAY_FIELDS, "reasoning", "cache_control"]}

    assert b"canary" not in prepare(attempt({"messages": MESSAGES, **body}), "").body


def test_unknown_fields_are_passed_on_and_nulls_are_not() -> None:
    body = sent({"vendor_option": {"a": [1, 2]}, "temperature": None})

    assert body["vendor_option"] == {"a": [1, 2]}
    assert "temperature" not in body


def test_a_stream_always_asks_for_usage() -> None:
    assert sent({}, stream=True)["stream_options"] == {"include_usage": True}
    asked = sent({"stream_options": {"include_usage": False, "include_obfuscation": False}}, stream=True)
    assert asked["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_stream_options_without_stream_are_left_out() -> None:
    assert "stream_options" not in sent({"stream": True, "stream_options": {"include_usage": True}})


@pytest.mark.parametrize(
    ("body", "override", "expected"),
    [
        ({}, None, {}),
        ({}, 9, {"max_tokens": 9}),
        ({"max_tokens": 50}, None, {"max_tokens": 50}),
        ({"max_tokens": 50}, 9, {"max_tokens": 9}),
        ({"max_completion_tokens": 50}, 9, {"max_completion_tokens": 9}),
        ({"max_completion_tokens": 50, "max_tokens": 60}, None, {"max_completion_tokens": 50}),
        ({"max_completion_tokens": None, "max_tokens": 60}, 9, {"max_tokens": 9}),
    ],
)
def test_the_limit_keeps_the_callers_name(body: dict[str, Any], override: int | None, expected: dict[str, int]) -> None:
    request = sent(body, max_tokens=override)

    assert {name: value for name, value in request.items() if name.startswith("max_")} == expected


def test_openai_gets_the_limit_under_the_name_that_all_its_models_take() -> None:
    request = sent({"max_tokens": 50}, "openai")

    assert request["max_completion_tokens"] == 50
    assert "max_tokens" not in request


def test_unsupported_parameters_are_left_out() -> None:
    request = sent(
        {"temperature": 1, "tools": [], "seed": 4, "reasoning": {"effort": "low"}},
        unsupported_parameters=("temperature", "tools", "reasoning", "absent"),
    )

    assert request == {"model": "native-model", "messages": MESSAGES, "seed": 4, "stream": False}


def test_an_unsupported_name_of_the_limit_gives_way_to_the_other_name() -> None:
    request = sent({"max_tokens": 7}, unsupported_parameters=("max_tokens",))

    assert request["max_completion_tokens"] == 7
    assert "max_tokens" not in request


def test_the_raw_user_is_replaced_or_left_out() -> None:
    assert "user" not in sent({"user": "alice@example.com"})
    assert sent({"user": "alice@example.com"}, user_hash="h4sh")["user"] == "h4sh"


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"reasoning": {"enabled": True}}, "medium"),
        ({"reasoning": {"enabled": False}}, "none"),
        ({"reasoning": {"max_tokens": 800}, "max_tokens": 1000}, "high"),
        ({"reasoning": {"max_tokens": 200}, "max_tokens": 1000}, "low"),
        ({"reasoning": {"max_tokens": 200}}, "medium"),
        ({"reasoning": {"exclude": True}}, None),
        ({"reasoning_effort": "low", "reasoning": {"exclude": True}}, "low"),
        ({}, None),
    ],
)
def test_reasoning_controls_become_an_effort(body: dict[str, Any], effort: str | None) -> None:
    request = sent(body)

    assert request.get("reasoning_effort") == effort
    assert "reasoning" not in request


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        ({"reasoning": {"exclude": True}}, True),
        ({"reasoning": {"exclude": False}, "include_reasoning": False}, False),
        ({"include_reasoning": False}, True),
        ({"include_reasoning": True}, False),
        ({}, False),
    ],
)
def test_excluded_reasoning_is_hidden_from_the_reply(body: dict[str, Any], hidden: bool) -> None:
    assert prepare(attempt({"messages": MESSAGES, **body}), "").hide_reasoning is hidden


def test_what_only_we_understand_is_taken_out_of_messages() -> None:
    history = [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": "a",
            "reasoning": "hm",
            "reasoning_details": [{}],
            "annotations": [],
            "tool_calls": [{"id": "c"}],
        },
        "not a message",
    ]
    body = sent({"messages": history})["messages"]

    assert body == [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "assistant", "content": "a", "tool_calls": [{"id": "c"}]},
        "not a message",
    ]
    in_deepseek = sent({"messages": history}, "deepseek")["messages"]
    assert in_deepseek[1]["reasoning_content"] == "hm"
    assert sent({"messages": history}, "groq")["messages"][1]["reasoning"] == "hm"
    assert sent({"messages": history}, "openrouter")["messages"] == history


def test_mistral_gets_its_own_names() -> None:
    request = sent(
        {"seed": 5, "tool_choice": "required", "logprobs": True, "max_completion_tokens": 8},
        "mistral",
        stream=True,
        user_hash="h",
    )

    assert request == {
        "model": "native-model",
        "messages": MESSAGES,
        "random_seed": 5,
        "tool_choice": "any",
        "max_tokens": 8,
        "stream": True,
    }


def test_thinking_hosts_are_switched_on_and_off() -> None:
    assert sent({"reasoning": {"enabled": False}}, "deepseek")["thinking"] == {"type": "disabled"}
    assert sent({"reasoning_effort": "high"}, "zai")["thinking"] == {"type": "enabled"}
    qwen = sent({"reasoning": {"max_tokens": 100}}, "dashscope")
    assert (qwen["enable_thinking"], qwen["thinking_budget"]) == (True, 100)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"])
def test_a_body_that_is_no_request_is_invalid(body: bytes) -> None:
    with pytest.raises(AppError) as caught:
        prepare(attempt(body), "")

    assert caught.value.kind is Kind.INVALID
