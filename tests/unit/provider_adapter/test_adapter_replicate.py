from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.provider_adapter.hosts import Host
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Prepared, Usage
from services.provider_adapter.protocols.replicate.protocol import Replicate
from services.provider_adapter.protocols.replicate.request import Asked
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry, Upstream
from services.provider_adapter.steps import followed
from tests.testkit.provider_conformance import Decoded, attempt, message_of
from tests.testkit.provider_wires import Reply
from tests.testkit.provider_wires_replicate import API, METRICS, STREAM, ReplicateWire, prediction

WIRE = ReplicateWire()
SYSTEM = {"role": "system", "content": "Be brief."}
HI = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,aGk="
LOOK = {
    "role": "user",
    "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
}
TOLD = [SYSTEM, HI, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go on"}]
TOOL = {"type": "function", "function": {"name": "f"}}


def prepared(model: str, *messages: Any, stream: bool = True, **fields: Any) -> Prepared:
    body = orjson.dumps({"model": "m", "messages": list(messages) or [HI], **fields})
    return Replicate().prepare(attempt(WIRE, body=body, stream=stream, provider_model_id=model), "")


def sent(model: str, *messages: Any, **fields: Any) -> dict[str, Any]:
    value = orjson.loads(prepared(model, *messages, **fields).body)["input"]
    assert isinstance(value, dict)
    return value


def refusal(model: str, *messages: Any, **fields: Any) -> Failure:
    with pytest.raises(ProviderFailedError) as caught:
        prepared(model, *messages, **fields)
    return caught.value.failure


def test_a_request_is_a_prediction_of_its_model_that_streams_or_is_waited_for() -> None:
    streamed, waited = prepared("openai/gpt-4o"), prepared("openai/gpt-4o", stream=False)

    assert streamed.path == waited.path == "/models/openai/gpt-4o/predictions"
    assert orjson.loads(streamed.body) == {"input": {"prompt": "hi"}, "stream": True}
    assert orjson.loads(waited.body) == {"input": {"prompt": "hi"}}
    assert (dict(streamed.headers), dict(waited.headers)) == ({}, {"Prefer": "wait=60"})


def test_a_models_name_leads_nowhere_else_and_old_names_are_put_right() -> None:
    assert prepared("a/b?c=1#d").path == "/models/a/b%3Fc%3D1%23d/predictions"
    assert prepared("meta/llama-3-8b").path == "/models/meta/meta-llama-3-8b-instruct/predictions"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic/claude-4-sonnet", {"system_prompt": "Be brief.", "prompt": "hi", "max_tokens": 2000}),
        (
            "openai/gpt-4.1",
            {
                "system_prompt": "Be brief.", "prompt": "hi", "max_completion_tokens": 2000, "temperature": 0.5,
                "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": -1,
            },
        ),
        (
            "openai/gpt-5-mini",
            {
                "system_prompt": "Be brief.", "prompt": "hi", "max_completion_tokens": 2000,
                "reasoning_effort": "minimal", "verbosity": "low",
            },
        ),
        (
            "openai/o4-mini",
            {"system_prompt": "Be brief.", "prompt": "hi", "max_completion_tokens": 2000, "reasoning_effort": "low"},
        ),
        (
            "google/gemini-2.5-flash",
            {
                "system_instruction": "Be brief.", "prompt": "hi", "max_output_tokens": 2000, "temperature": 0.5,
                "top_p": 0.9,
            },
        ),
        (
            "meta/meta-llama-3-70b-instruct",
            {
                "system_prompt": "Be brief.", "prompt": "hi", "max_tokens": 2000, "temperature": 0.5, "top_p": 0.9,
                "top_k": 7, "seed": 3, "presence_penalty": 1, "frequency_penalty": -1, "stop_sequences": "x,y",
            },
        ),
        (
            "mistralai/mixtral-8x7b-instruct-v0.1",
            {
                "prompt": "Be brief.\n\nhi", "max_new_tokens": 2000, "temperature": 0.5, "top_p": 0.9, "top_k": 7,
                "presence_penalty": 1, "frequency_penalty": -1,
            },
        ),
        ("some/model", {"prompt": "Be brief.\n\nhi", "max_tokens": 2000}),
    ],
)  # fmt: skip
def test_each_family_is_sent_the_fields_of_its_own_input(model: str, expected: dict[str, Any]) -> None:
    given = sent(
        model, SYSTEM, HI, max_tokens=2000, temperature=0.5, top_p=0.9, presence_penalty=1, frequency_penalty=-1,
        top_k=7, seed=3, stop=["x", "y", "a,b", " "], reasoning={"effort": "minimal"}, verbosity="low", user="ann",
        n=2, logit_bias={"1": 1}, vendor=1,
    )  # fmt: skip

    assert given == expected


def test_a_conversation_is_told_as_messages_or_as_a_transcript() -> None:
    assert sent("openai/gpt-4o", *TOLD) == {"messages": TOLD}
    assert sent("anthropic/claude-4-sonnet", *TOLD) == {
        "system_prompt": "Be brief.",
        "prompt": "User: hi\n\nAssistant: Yes?\n\nUser: Go on\n\nAssistant:",
    }


def test_images_go_where_the_model_has_them() -> None:
    two = {"role": "user", "content": [*LOOK["content"], {"type": "image_url", "image_url": {"url": PNG}}]}

    assert sent("anthropic/claude-4-sonnet", LOOK)["image"] == "https://x.test/a.png"
    assert sent("openai/gpt-4o", two)["image_input"] == ["https://x.test/a.png", PNG]
    assert sent("google/gemini-3-pro", two)["images"] == ["https://x.test/a.png", PNG]
    # Messages would hide the images.
    assert "messages" not in sent("openai/gpt-4o", *TOLD, LOOK)
    assert refusal("anthropic/claude-4-sonnet", two).elsewhere is True
    assert refusal("deepseek-ai/deepseek-v3", LOOK).elsewhere is True


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"max_tokens": 1023},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "7"}]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}]},
    ],
)
def test_what_a_prediction_cannot_carry_may_be_tried_elsewhere(fields: dict[str, Any]) -> None:
    failure = refusal("anthropic/claude-4-sonnet", **fields)

    assert (failure.failure_class, failure.elsewhere) == (FailureClass.INVALID_REQUEST, True)


def test_tools_that_must_not_be_called_are_no_reason_to_refuse() -> None:
    assert sent("openai/gpt-4o", tools=[TOOL], tool_choice="none") == {"prompt": "hi"}


def test_an_output_as_long_as_the_limit_ended_for_it() -> None:
    reply = Reply(words=("a",))

    _, facts = message_of(WIRE, reply, asked=Asked(6))
    _, shorter = message_of(WIRE, reply, asked=Asked(7))

    assert (facts.finish_reason, facts.native_finish_reason) == ("length", "succeeded")
    assert shorter.finish_reason == "stop"


def test_a_stream_says_its_end_after_the_last_look_at_the_prediction() -> None:
    decoder = Replicate().decoder(attempt(WIRE), Prepared("", b"", asked=Asked(6)))
    given = decoder.feed(WIRE.stream(Reply(words=("a", "b"))))

    assert decoder.ended
    assert b'finish_reason":"' not in given
    assert not decoder.settle(orjson.dumps(prediction("processing")))
    assert decoder.settle(orjson.dumps(prediction("succeeded", metrics=METRICS)))
    assert b'"finish_reason":"length"' in decoder.finish()
    assert decoder.facts.usage == Usage(10, 6)


def test_a_last_look_that_says_nothing_leaves_the_count_to_others() -> None:
    decoder = Replicate().decoder(attempt(WIRE), Prepared("", b""))
    decoder.feed(WIRE.stream(Reply(words=("a",))))

    assert decoder.settle(b"<html>")
    assert b'"finish_reason":"stop"' in decoder.finish()
    assert decoder.facts.usage is None


@pytest.mark.parametrize("reason", ["error", "canceled"])
def test_a_stream_that_is_done_for_a_bad_reason_failed(reason: str) -> None:
    raw = WIRE.stream(Reply(words=("a",))).replace(b"data: {}", b'data: {"reason":"%b"}' % reason.encode())

    decoded = Decoded(WIRE, raw)

    assert decoded.joined("content") == "a"
    assert decoded.failure is not None
    assert decoded.failure.failure_class is FailureClass.UPSTREAM


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("boom", FailureClass.UPSTREAM),
        (None, FailureClass.UPSTREAM),
        ("The input was flagged as sensitive. (E005)", FailureClass.CONTENT_POLICY),
        ("Your prompt length exceeds the maximum context length of 4096 tokens", FailureClass.CONTEXT_LENGTH_EXCEEDED),
    ],
)
@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_prediction_that_failed_says_why(status: str, error: Any, expected: FailureClass) -> None:
    body = orjson.dumps(prediction(status, error=error))
    for read in (
        lambda: Replicate().whole(attempt(WIRE), Prepared("", b""), body),
        lambda: Replicate().next_step(body, stream=True),
        lambda: Replicate().next_step(body, stream=False),
    ):
        with pytest.raises(ProviderFailedError) as caught:
            read()
        assert caught.value.failure.failure_class is expected


def test_other_spellings_of_counts_and_outputs_are_read() -> None:
    fields = {"output": "abc", "metrics": {"token_input_count": 3, "token_output_count": 2.0}}
    made, facts = Replicate().whole(attempt(WIRE), Prepared("", b""), orjson.dumps(prediction("succeeded", **fields)))

    assert orjson.loads(made)["choices"][0]["message"]["content"] == "abc"
    assert facts.usage == Usage(3, 2)
    assert facts.upstream_id == "up-1"


def test_steps_lead_to_the_stream_or_to_another_look() -> None:
    stream = Replicate().next_step(orjson.dumps(prediction("starting")), stream=True)
    look = Replicate().next_step(orjson.dumps(prediction("processing")), stream=False)

    assert stream is not None
    assert (stream.address, stream.status, stream.stop) == (STREAM, API, API + "/cancel")
    assert look is not None
    assert (look.address, look.stop) == (API, API + "/cancel")
    assert look.delay_s > 0
    assert Replicate().next_step(orjson.dumps(prediction("succeeded")), stream=False) is None
    for urls in ({}, None, {"stream": 7, "get": []}):
        for stream_too in (True, False):
            with pytest.raises(ProviderFailedError):
                Replicate().next_step(orjson.dumps(prediction("starting", urls=urls)), stream=stream_too)


def upstream(base_url: str) -> Upstream:
    return Registry(protocols(), {"replicate": Host(base_url, "", "replicate")}, {"replicate": "r8_key"}).find(
        "replicate"
    )


def test_the_credential_goes_to_the_host_it_was_set_for_alone() -> None:
    own = upstream("https://api.replicate.com/v1")

    assert followed(own, API)[1]["Authorization"] == "Bearer r8_key"
    url, headers = followed(own, STREAM)
    assert url == STREAM
    assert "r8_key" not in repr(dict(headers))
    for foreign in (
        "https://evil.test/v1/x",
        "https://evilreplicate.com/x",
        "http://api.replicate.com/v1/x",
        "https://api.replicate.com@evil.test/x",
        "https://a@stream.replicate.com/x",
        "https://stream.replicate.com:8443/x",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://[",
        "",
    ):
        with pytest.raises(ProviderFailedError):
            followed(own, foreign)


@pytest.mark.parametrize("base", ["http://127.0.0.1:9/v1", "http://127.0.0.1:9/replicate/v1"])
def test_of_a_host_that_was_moved_everything_is_asked_where_it_is_now(base: str) -> None:
    moved = upstream(base)
    prefix = base.removesuffix("/v1")

    assert followed(moved, API)[0] == f"{prefix}/v1/predictions/up-1"
    assert followed(moved, STREAM + "?a=1")[0] == f"{prefix}/v1/streams/eot4?a=1"
    assert followed(moved, f"{prefix}/v1/x")[0] == f"{prefix}/v1/x"
    assert followed(moved, API)[1]["Authorization"] == "Bearer r8_key"
    with pytest.raises(ProviderFailedError):
        followed(moved, "https://evil.test/v1/x")
    with pytest.raises(ProviderFailedError):
        followed(replace(moved, steps=None), API)
