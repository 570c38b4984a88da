from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.failures import FailureClass
from services.provider_adapter.protocols.port import Prepared, Usage
from tests.testkit.provider_conformance import Decoded, attempt
from tests.testkit.provider_wires_bedrock import BedrockWire, event, exception, frame

WIRE = BedrockWire()
START = event("messageStart", {"role": "assistant"})
USAGE = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}
METADATA = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}})


def delta(index: int, **member: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": member})


def start(index: int, **member: Any) -> bytes:
    return event("contentBlockStart", {"contentBlockIndex": index, "start": member})


def stop(index: int) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


def end(reason: Any = "end_turn") -> bytes:
    return event("messageStop", {"stopReason": reason})


def decoded(*frames: bytes, model: str = "", answer_tool: str = "") -> Decoded:
    if not model and not answer_tool:
        return Decoded(WIRE, b"".join(frames))
    wire = BedrockWire()
    wire.model = model or wire.model

    class Answering(BedrockConverse):
        def decoder(self, made: Any, prepared: Prepared) -> Any:
            return super().decoder(made, prepared._replace(answer_tool=answer_tool))

    wire.protocol = Answering()
    return Decoded(wire, b"".join(frames))


def whole(content: list[Any], *, model: str = WIRE.model, answer_tool: str = "", **fields: Any) -> tuple[Any, Any]:
    reply = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn", "usage": USAGE}
    prepared = Prepared("", b"", answer_tool=answer_tool)
    made, facts = BedrockConverse().whole(
        attempt(WIRE, provider_model_id=model), prepared, orjson.dumps({**reply, **fields})
    )
    return orjson.loads(made)["choices"][0]["message"], facts


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "error"),
        ("malformed_tool_use", "error"),
        ("of_the_future", "stop"),
        (None, ""),
        (7, ""),
    ],
)
def test_every_stop_reason_has_its_word(native: Any, expected: str) -> None:
    _, facts = whole([{"text": "a"}], stopReason=native)

    assert facts.finish_reason == expected
    assert decoded(START, delta(0, text="a"), end(native), METADATA).facts.finish_reason == expected


def test_calls_are_the_end_whatever_the_native_word() -> None:
    call = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}
    message, facts = whole([{"text": "Well"}, call])

    assert facts.finish_reason == "tool_calls"
    assert facts.native_finish_reason == "end_turn"
    assert message["tool_calls"] == [
        {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, Usage(3, 5)),
        ({**USAGE, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}, Usage(123, 5, 100, 20)),
        ({**USAGE, "cacheReadInputTokens": None, "cacheWriteInputTokens": -1}, Usage(3, 5)),
        (
            {
                **USAGE,
                "cacheWriteInputTokens": 20,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 15}, {"ttl": "5m", "inputTokens": 5}],
            },
            Usage(23, 5, 0, 5, cache_write_1h_tokens=15),
        ),
        (
            {**USAGE, "cacheWriteInputTokens": 9, "cacheDetails": [{"ttl": "1h", "inputTokens": 15}, 7]},
            Usage(12, 5, cache_write_1h_tokens=9),
        ),
        ({**USAGE, "cacheWriteInputTokens": 9, "cacheDetails": {"ttl": "1h"}}, Usage(12, 5, 0, 9)),
        ({"inputTokens": 3}, None),
        ({"inputTokens": True, "outputTokens": 1}, None),
        ({"inputTokens": 1.5, "outputTokens": 1}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_adds_the_cache_to_the_prompt(usage: Any, expected: Usage | None) -> None:
    _, facts = whole([{"text": "a"}], usage=usage)

    assert facts.usage == expected
    assert decoded(START, delta(0, text="a"), end(), event("metadata", {"usage": usage})).facts.usage == expected


def test_the_tier_that_served_is_told() -> None:
    _, facts = whole([{"text": "a"}], serviceTier={"type": "priority"})
    streamed = decoded(
        START, delta(0, text="a"), end(), event("metadata", {"usage": USAGE, "serviceTier": {"type": "flex"}})
    )

    assert facts.service_tier == "priority"
    assert streamed.facts.service_tier == "flex"


def test_nothing_after_the_counts_is_read() -> None:
    streamed = decoded(
        START, delta(0, text="a"), end(), METADATA, exception("internalServerException", {"message": "late"})
    )

    assert streamed.failure is None
    assert streamed.facts.usage == Usage(3, 5)


def test_a_stream_that_ends_before_the_counts_is_whole_and_has_none() -> None:
    streamed = decoded(START, delta(0, text="a"), end(), METADATA[:-3])

    assert streamed.failure is None
    assert streamed.facts.finish_reason == "stop"
    assert streamed.facts.usage is None


def test_thoughts_that_cannot_be_read_go_to_the_caller_to_come_back() -> None:
    redacted = {"reasoningContent": {"redactedContent": "cmVk"}}
    message, _ = whole([redacted, {"text": "a"}])
    streamed = decoded(START, delta(0, **redacted), stop(0), delta(1, text="a"), end(), METADATA)

    expected = {"type": "reasoning.encrypted", "data": "cmVk", "format": "amazon-bedrock-v1", "index": 0}
    assert message["reasoning_details"] == [expected]
    assert streamed.deltas[1]["reasoning_details"] == [expected]
    assert streamed.joined("content") == "a"


def test_thoughts_of_other_makers_bear_another_name() -> None:
    told = {"reasoningContent": {"reasoningText": {"text": "Hm"}}}
    message, _ = whole([told, {"text": "a"}], model="openai.gpt-oss-120b-1:0")
    streamed = decoded(
        START, delta(0, reasoningContent={"text": "Hm"}), delta(1, text="a"), end(), METADATA, model="deepseek.r1-v1:0"
    )

    assert message["reasoning"] == "Hm"
    assert message["reasoning_details"][0]["format"] == "amazon-bedrock-v1"
    assert streamed.deltas[1]["reasoning_details"][0]["format"] == "amazon-bedrock-v1"


def test_a_call_without_deltas_has_an_object_for_arguments() -> None:
    streamed = decoded(START, start(0, toolUse={"toolUseId": "t1", "name": "f"}), stop(0), end("tool_use"), METADATA)

    assert streamed.calls == [{"id": "t1", "name": "f", "arguments": "{}"}]


def test_calls_that_the_provider_answers_itself_are_not_the_callers() -> None:
    server = {"toolUseId": "t1", "name": "web", "type": "server_tool_use"}
    message, facts = whole([{"toolUse": {**server, "input": {}}}, {"text": "a"}])
    streamed = decoded(
        START, start(0, toolUse=server), delta(0, toolUse={"input": "{}"}), stop(0), delta(1, text="a"), end(), METADATA
    )

    assert "tool_calls" not in message
    assert facts.finish_reason == "stop"
    assert streamed.calls == []
    assert streamed.joined("content") == "a"


def test_the_answer_tools_input_is_the_answer() -> None:
    call = {"toolUseId": "t1", "name": "json"}
    message, facts = whole([{"toolUse": {**call, "input": {"a": 1}}}], answer_tool="json", stopReason="tool_use")
    streamed = decoded(
        START,
        start(0, toolUse=call),
        delta(0, toolUse={"input": '{"a"'}),
        delta(0, toolUse={"input": ":1}"}),
        stop(0),
        end("tool_use"),
        METADATA,
        answer_tool="json",
    )

    assert message["content"] == streamed.joined("content") == '{"a":1}'
    assert facts.finish_reason == streamed.facts.finish_reason == "stop"


def test_citations_of_the_web_are_annotations_of_their_text() -> None:
    web = {"title": "T", "sourceContent": [{"text": "seen"}], "location": {"web": {"url": "https://a.test/x"}}}
    document = {"title": "D", "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}}
    message, _ = whole(
        [{"text": "So: "}, {"citationsContent": {"content": [{"text": "it is"}], "citations": [web, document]}}]
    )
    streamed = decoded(
        START, delta(0, text="So: "), stop(0), delta(1, text="it is"), delta(1, citation=web),
        delta(1, citation=document), stop(1), end(), METADATA,
    )  # fmt: skip

    expected = {
        "type": "url_citation",
        "url_citation": {"url": "https://a.test/x", "title": "T", "content": "seen", "start_index": 4, "end_index": 9},
    }
    assert message["content"] == "So: it is"
    assert message["annotations"] == [expected]
    assert [one for each in streamed.deltas for one in each.get("annotations", ())] == [expected]


def test_generated_images_are_data_urls() -> None:
    image = {"format": "png", "source": {"bytes": "iVBORw0="}}
    message, facts = whole([{"image": image}])
    streamed = decoded(
        START,
        start(0, image={"format": "png"}),
        delta(0, image={"source": {"bytes": "iVBORw0="}}),
        stop(0),
        end(),
        METADATA,
    )

    expected = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}, "index": 0}]
    assert message["images"] == streamed.deltas[1]["images"] == expected
    assert facts.has_content


def test_a_broken_frame_fails_after_what_came_before() -> None:
    spoilt = bytearray(delta(0, text="b"))
    spoilt[-1] ^= 1

    streamed = decoded(START, delta(0, text="a"), bytes(spoilt), delta(0, text="c"), end(), METADATA)

    assert streamed.joined("content") == "a"
    assert streamed.failure is not None
    assert streamed.failure.failure_class is FailureClass.UPSTREAM


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("throttlingException", {"message": "Too many tokens"}, FailureClass.RATE_LIMITED),
        ("serviceUnavailableException", {"message": "full"}, FailureClass.OVERLOADED),
        ("internalServerException", {"message": "oops"}, FailureClass.UPSTREAM),
        ("modelStreamErrorException", {"message": "oops"}, FailureClass.UPSTREAM),
        ("modelStreamErrorException", {"message": "x", "originalStatusCode": 429}, FailureClass.RATE_LIMITED),
        ("modelStreamErrorException", {"message": "x", "originalStatusCode": 401}, FailureClass.UPSTREAM),
        ("modelTimeoutException", {"message": "late"}, FailureClass.TIMEOUT),
        (
            "validationException",
            {"message": "Input is too long for requested model."},
            FailureClass.CONTEXT_LENGTH_EXCEEDED,
        ),
        ("validationException", {"message": "malformed"}, FailureClass.INVALID_REQUEST),
        ("ofTheFutureException", {"Message": "?"}, FailureClass.UPSTREAM),
    ],
)
def test_exceptions_in_a_stream_have_their_class(kind: str, value: dict[str, Any], expected: FailureClass) -> None:
    failure = decoded(START, exception(kind, value)).failure

    assert failure is not None
    assert failure.failure_class is expected
    assert failure.status == 200
    assert failure.message == (value.get("message") or value.get("Message"))


def test_an_exception_without_a_payload_fails_too() -> None:
    raw = frame(b"", message_type="exception", exception_type="throttlingException")

    failure = decoded(START, raw).failure
    assert failure is not None
    assert failure.failure_class is FailureClass.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "name", "message", "expected"),
    [
        (400, "ValidationException", "The provided model identifier is invalid.", FailureClass.NOT_FOUND),
        (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn’t supported.", FailureClass.NOT_FOUND),
        (400, "ValidationException", "Input Tokens Exceeded: 3 > 2", FailureClass.CONTEXT_LENGTH_EXCEEDED),
        (400, "ValidationException", "Input is too long for requested model.", FailureClass.CONTEXT_LENGTH_EXCEEDED),
        (400, "ValidationException", "Malformed input request", FailureClass.INVALID_REQUEST),
        (400, "ServiceQuotaExceededException", "quota", FailureClass.RATE_LIMITED),
        (403, "AccessDeniedException", "You don't have access to the model.", FailureClass.PERMISSION),
        (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", FailureClass.AUTHENTICATION),
        (403, "UnrecognizedClientException", "The security token is invalid.", FailureClass.AUTHENTICATION),
        (403, "ExpiredTokenException", "Expired.", FailureClass.AUTHENTICATION),
        (403, "InvalidSignatureException", "It does not match.", FailureClass.AUTHENTICATION),
        (403, "AccessDeniedException", "INVALID_PAYMENT_INSTRUMENT: A valid one is needed.", FailureClass.INSUFFICIENT_CREDITS),
        (404, "ResourceNotFoundException", "End of its life.", FailureClass.NOT_FOUND),
        (408, "ModelTimeoutException", "late", FailureClass.TIMEOUT),
        (424, "ModelErrorException", "oops", FailureClass.UPSTREAM),
        (429, "ThrottlingException", "slow", FailureClass.RATE_LIMITED),
        (429, "ModelNotReadyException", "warming", FailureClass.OVERLOADED),
        (500, "InternalServerException", "oops", FailureClass.UPSTREAM),
        (503, "ServiceUnavailableException", "full", FailureClass.OVERLOADED),
    ],
)  # fmt: skip
def test_errors_have_the_class_of_their_name_and_words(
    status: int, name: str, message: str, expected: FailureClass
) -> None:
    headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}

    for body in ({"message": message}, {"Message": message}):
        failure = BedrockConverse().failure(status, headers, orjson.dumps(body), 0)
        assert (failure.failure_class, failure.message, failure.code) == (expected, message, name)
    in_body = BedrockConverse().failure(
        status, {}, orjson.dumps({"__type": f"com.amazon#{name}", "message": message}), 0
    )
    assert in_body.failure_class is expected


def test_what_a_model_does_not_support_another_one_may() -> None:
    for words in (
        "This model doesn't support tool use.",
        "The model isn’t supporting images",
        "This model doesn’t support documents.",
    ):
        failure = BedrockConverse().failure(400, {}, orjson.dumps({"message": words}), 0)
        assert failure.to_error().metadata["retryable_elsewhere"] == "true", words


def test_neither_the_account_nor_a_signed_request_is_shown() -> None:
    resource = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: bedrock:InvokeModel"
    signature = (
        "The request signature does not match.\n\nThe Canonical String was\n'POST\nx-amz-security-token:IQoJ/abc'"
    )

    for words in (resource, signature):
        message = BedrockConverse().failure(403, {}, orjson.dumps({"message": words}), 0).message
        assert "123456789012" not in message
        assert "IQoJ" not in message


@pytest.mark.parametrize(
    "body",
    [{"message": "boom"}, {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}}, {"output": {}}],
)
def test_a_success_that_is_no_reply_is_the_providers_failure(body: Any) -> None:
    assert BedrockConverse().failure(200, {}, orjson.dumps(body), 0).failure_class is FailureClass.UPSTREAM
