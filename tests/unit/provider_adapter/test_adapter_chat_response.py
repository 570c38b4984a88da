from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import finish_of, whole
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage

ATTEMPT = Attempt("gen-1-a", "Some Provider", "native-model", "maker/model", 1_700_000_000, stream=False, body=b"{}")


def converted(reply: Any, *, hide_reasoning: bool = False) -> tuple[dict[str, Any], ReplyFacts]:
    body = reply if isinstance(reply, bytes) else orjson.dumps(reply)
    json, facts = whole(ATTEMPT, Prepared("", b"", hide_reasoning), body)
    value = orjson.loads(json)
    assert isinstance(value, dict)
    return value, facts


def reply(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {
        "id": "up-1",
        "object": "chat.completion",
        "created": 1,
        "model": "native",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        **fields,
    }


def test_a_plain_reply_becomes_ours_without_usage() -> None:
    value, facts = converted(reply({"content": "Hello"}))

    assert list(value) == ["id", "object", "created", "model", "provider", "choices", "system_fingerprint"]
    assert value == {
        "id": "gen-1-a",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "maker/model",
        "provider": "Some Provider",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "reasoning": None},
                "finish_reason": "stop",
                "native_finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "system_fingerprint": None,
    }
    assert facts.usage == Usage(3, 2)
    assert facts.has_content
    assert facts.upstream_id == "up-1"


def test_a_finish_that_is_an_error_says_so_beside_what_came_before() -> None:
    choice = converted(reply({"content": "Half a"}, "network_error"))[0]["choices"][0]

    assert choice["message"]["content"] == "Half a"
    assert choice["finish_reason"] == "error"
    assert choice["error"] == {
        "code": 502,
        "message": "The provider ended its reply with an error.",
        "metadata": {"error_type": "provider_unavailable", "provider_code": "network_error"},
    }


def test_tool_calls_reasoning_and_unknown_fields_are_kept() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    value, facts = converted(
        reply({"content": None, "reasoning_content": "hm", "tool_calls": [call], "annotations": []}, "stop")
    )

    message = value["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    assert message["reasoning"] == "hm"
    assert message["reasoning_details"][0]["text"] == "hm"
    assert message["annotations"] == []
    assert (facts.finish_reason, facts.native_finish_reason) == ("tool_calls", "stop")


def test_hidden_reasoning_is_not_in_the_reply() -> None:
    value, facts = converted(reply({"content": None, "reasoning": "secret"}, "length"), hide_reasoning=True)

    assert "secret" not in str(value)
    assert facts.has_content


def test_an_empty_reply_is_a_reply_without_content() -> None:
    value, facts = converted(reply({"content": ""}, None))

    assert value["choices"][0]["finish_reason"] is None
    assert not facts.has_content
    assert facts.finish_reason == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>500</html>", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", ""),
        (b'{"choices":[]}', ""),
        (b'{"choices":[{"index":0}]}', "no message"),
        (b'{"error":{"message":"boom","code":500}}', "boom"),
        (b'{"error":{"message":"boom"},"choices":[]}', "boom"),
        (b'{"choices":[{"error":{"message":"boom"},"message":{},"finish_reason":"error"}]}', "boom"),
        (b'{"base_resp":{"status_code":1000,"status_msg":"boom"},"choices":null}', "boom"),
        (b'{"detail":"boom"}', "boom"),
        (b'{"choices":[{"message":{"content":"\xff"}}]}', "not valid JSON"),
        (b'{"choices":[{"message":{"content":"a","x":' + b"[" * 300 + b"]" * 300 + b"}}]}", "too deeply"),
    ],
)
def test_a_body_that_is_no_reply_is_the_providers_failure(body: bytes, words: str) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        converted(body)

    failure = caught.value.failure
    assert failure.failure_class is FailureClass.UPSTREAM
    assert failure.status == 200
    assert words in failure.message


@pytest.mark.parametrize(
    ("native", "called", "expected"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        ("STOP", True, "tool_calls"),
        ("eos", False, "stop"),
        ("length", True, "length"),
        ("MAX_TOKENS", False, "length"),
        ("model_length", False, "length"),
        ("tool_calls", False, "tool_calls"),
        ("function_call", False, "tool_calls"),
        ("content_filter", True, "content_filter"),
        ("SAFETY", False, "content_filter"),
        ("insufficient_system_resource", False, "error"),
        ("something new", False, "stop"),
    ],
)
def test_finish_reasons_become_one_of_five(native: str, called: bool, expected: str) -> None:
    assert finish_of(native, called=called) == (expected, native)


@pytest.mark.parametrize("native", [None, "", 7, {}])
def test_no_finish_reason_is_none(native: Any) -> None:
    assert finish_of(native, called=True) == ("", "")
