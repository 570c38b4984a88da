"""Text completions: a prompt goes out, and a chat comes back."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_completions.protocol import OpenAiCompletions
from services.provider_adapter.protocols.port import Attempt, Usage
from tests.unit.provider_adapter.operation_bodies import attempt, received, sent

WIRE = OpenAiCompletions()
LEGACY = {"tokens": ["Hi"], "token_logprobs": [-0.1], "top_logprobs": [{"Hi": -0.1}], "text_offset": [0]}


def asked(**fields: Any) -> Attempt:
    changes = {
        name: fields.pop(name)
        for name in ("user_hash", "unsupported_parameters", "stream", "max_tokens_granted")
        if name in fields
    }
    granted = changes.pop("max_tokens_granted", None)
    return attempt("completions", {"prompt": "Once", **fields}, max_tokens=granted, **changes)


def test_request_is_the_callers_without_what_steers_the_gateway() -> None:
    body = sent(WIRE, asked(max_tokens=9, logprobs=2, stop=["x"], user="me", models=["a"], user_hash="h", trace={}))
    assert body == {
        "model": "native-model", "prompt": "Once", "max_tokens": 9, "logprobs": 2, "stop": ["x"], "user": "h",
        "stream": False,
    }  # fmt: skip


def test_granted_limit_replaces_the_callers_and_is_never_lost() -> None:
    assert sent(WIRE, asked(max_tokens=9, max_tokens_granted=4))["max_tokens"] == 4
    assert sent(WIRE, asked(max_tokens=9, unsupported_parameters=("max_tokens",)))["max_tokens"] == 9


def test_usage_of_streams_is_asked_for() -> None:
    assert sent(WIRE, asked(stream=True))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(WIRE, asked(stream=True), "mistral")


def test_reply_comes_back_as_a_chat() -> None:
    choice = {"text": " upon a time", "index": 0, "logprobs": LEGACY, "finish_reason": "length"}
    usage = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    value, facts = received(
        WIRE, asked(), {"id": "cmpl", "object": "text_completion", "choices": [choice], "usage": usage}
    )
    assert value["object"] == "chat.completion"
    assert value["choices"][0]["message"]["content"] == " upon a time"
    assert value["choices"][0]["logprobs"] == LEGACY
    assert (facts.usage, facts.finish_reason) == (Usage(1, 3), "length")


def events(*texts: str) -> bytes:
    head = {"id": "cmpl", "object": "text_completion", "created": 1, "model": "native"}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": None}]} for text in texts
    ]
    chunks.append({**head, "choices": [{"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}]})
    chunks.append({**head, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@given(st.integers(1, 400))
def test_stream_comes_back_as_a_chat_however_it_is_split(size: int) -> None:
    one = asked(stream=True)
    decoder = WIRE.decoder(one, WIRE.prepare(one, ""))
    whole = events("Once", " upon")
    given_out = b"".join(decoder.feed(whole[start : start + size]) for start in range(0, len(whole), size))
    given_out += decoder.finish()
    chunks = [orjson.loads(line[6:]) for line in given_out.split(b"\n\n") if line]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Once upon"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert decoder.failure is None
    assert decoder.facts.usage == Usage(1, 2)


@pytest.mark.parametrize(
    "broken", [b"<html>", b"[]", {}, {"choices": []}, {"choices": [5]}, {"error": {"message": "x"}}]
)
def test_reply_that_completes_nothing_is_the_providers_failure(broken: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        received(WIRE, asked(), broken)
    assert caught.value.failure.failure_class is FailureClass.UPSTREAM
