"""What Gemini does beside its documentation's plain cases; each was wrong here once or could be."""

import base64
from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.gemini.usage import usage_of
from services.provider_adapter.protocols.port import Usage
from tests.testkit.provider_conformance import Decoded, attempt
from tests.testkit.provider_wires import data
from tests.unit.provider_adapter.gemini_bodies import (
    CALL,
    END,
    TOOL,
    WIRE,
    assistant,
    candidate,
    config,
    decode,
    sent,
    tool,
    user,
    whole,
)


def test_a_blocked_prompt_says_why_where_google_does() -> None:
    blocked = {"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "Blocked by policy."}}

    decoded = decode(blocked)

    assert decoded.joined("refusal") == "Blocked by policy."
    assert decoded.facts.finish_reason == "content_filter"
    assert whole(blocked)["message"]["refusal"] == "Blocked by policy."


def test_a_filtered_answer_says_why_where_google_does() -> None:
    filtered = candidate({"text": "a"}, finishReason="SAFETY", finishMessage="Unsafe.")
    stopped = candidate({"text": "a"}, finishReason="STOP", finishMessage="Fine.")

    assert decode(filtered).joined("refusal") == whole(filtered)["message"]["refusal"] == "Unsafe."
    assert whole(stopped)["message"]["refusal"] is None
    assert decode(stopped).joined("refusal") == ""


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # The thoughts are beside the answer, or inside.
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 10}, Usage(5, 5, reasoning_tokens=2)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 8}, Usage(5, 3, reasoning_tokens=2)),
        ({"promptTokenCount": 5, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 14}, Usage(9, 5, reasoning_tokens=2)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": "8"}, Usage(5, 3)),
        # What is zero is left out of Google's JSON.
        ({"candidatesTokenCount": 3, "totalTokenCount": 3}, Usage(0, 3)),
        ({"totalTokenCount": 8}, None),
    ],
)  # fmt: skip
def test_counts_add_up_to_the_total_that_is_stated(counts: Any, expected: Usage | None) -> None:
    assert usage_of(counts) == expected


def test_an_empty_call_is_none() -> None:
    decoded = decode(candidate({"functionCall": {"name": "f", "args": {}}}), candidate({"functionCall": {}}), END)

    assert [call["name"] for call in decoded.calls] == ["f"]


def sound(*samples: bytes) -> list[dict[str, Any]]:
    parts = [base64.b64encode(one).decode() for one in samples]
    return [{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": part}} for part in parts]


def test_sound_in_pieces_is_whole_in_a_whole_reply() -> None:
    message = whole(candidate(*sound(b"ab", b"cde")))["message"]

    assert base64.b64decode(message["audio"]["data"]) == b"abcde"


def test_pictures_count_on_from_event_to_event() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}

    decoded = decode(candidate(picture), candidate(picture), END)

    assert [image["index"] for delta in decoded.deltas for image in delta.get("images", ())] == [0, 1]


def test_a_picture_goes_back_with_its_signature() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}, "thoughtSignature": "c2ln"}
    message = whole(candidate({"text": "Here"}, picture))["message"]

    contents = sent([user("draw"), message, user("redder")], model="gemini-3-pro-image-preview")["contents"]

    assert contents[1] == {"role": "model", "parts": [{"text": "Here"}, picture]}


GROUNDING = {
    "groundingChunks": [
        {"web": {"uri": "https://a.test", "title": "A"}},
        {"retrievedContext": {"uri": "gs://b", "title": "B", "text": "words"}},
        {"maps": {"uri": "https://maps.test", "title": "C"}},
        {"image": {}},
    ]
}


def urls(message: dict[str, Any]) -> list[str]:
    return [annotation["url_citation"]["url"] for annotation in message.get("annotations", ())]


def test_sources_are_named_where_no_place_is() -> None:
    reply = candidate({"text": "abc"}, groundingMetadata=GROUNDING, finishReason="STOP")

    assert urls(whole(reply)["message"]) == ["https://a.test", "gs://b", "https://maps.test"]


def test_grounding_that_is_repeated_is_told_once() -> None:
    first = candidate({"text": "abc"}, groundingMetadata=GROUNDING)
    decoded = decode(first, candidate({"text": "d"}, groundingMetadata=GROUNDING, finishReason="STOP"))

    assert [url for delta in decoded.deltas for url in urls(delta)] == ["https://a.test", "gs://b", "https://maps.test"]


def test_a_history_that_begins_with_a_call_is_opened_by_the_user() -> None:
    contents = sent([assistant(tool_calls=[CALL]), tool("7")], tools=[TOOL])["contents"]

    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert [content["role"] for content in sent([assistant("a"), user("b")])["contents"]] == ["model", "user"]


def test_a_voice_is_passed_on_unless_it_is_another_makers() -> None:
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}

    assert config(modalities=["audio"], audio={"voice": "Kore", "format": "wav"})["speechConfig"] == voice
    assert "speechConfig" not in config(modalities=["audio"], audio={"voice": "alloy", "format": "wav"})
    assert "speechConfig" not in config(modalities=["text"], audio={"voice": "Kore"})


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_the_tier_of_the_endpoint_is_asked_for_and_the_one_that_served_is_told(tier: str) -> None:
    body = orjson.dumps({"messages": [{"role": "user", "content": "hi"}]})
    asked = orjson.loads(Gemini().prepare(attempt(WIRE, body=body, service_tier=tier), "").body)
    usage = {"promptTokenCount": 1, "trafficType": f"ON_DEMAND_{tier.upper()}"}

    assert asked["serviceTier"] == tier
    assert "serviceTier" not in sent()
    decoded = decode({**candidate({"text": "a"}), "usageMetadata": usage}, END)
    assert decoded.facts.service_tier == tier
    assert (
        decode({**END, "usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND"}}).facts.service_tier == ""
    )


def test_an_error_in_a_list_inside_a_stream_keeps_its_class() -> None:
    error = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota", "details": [{"retryDelay": "34.4s"}]}}  # fmt: skip
    decoded = Decoded(WIRE, data(candidate({"text": "a"})) + data([error]))

    assert decoded.failure is not None
    assert decoded.failure.failure_class is FailureClass.RATE_LIMITED
    assert decoded.failure.retry_after_s == 34.4


@pytest.mark.parametrize(
    ("status", "name", "message", "expected", "elsewhere", "error_type"),
    [
        (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", FailureClass.REQUEST_TOO_LARGE, "true", ""),
        (400, "INVALID_ARGUMENT", "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).", FailureClass.CONTEXT_LENGTH_EXCEEDED, "true", ""),
        (400, "INVALID_ARGUMENT", "Cannot fetch content from the provided URL. URL_ROBOTED-ROBOTED_DENIED", FailureClass.INVALID_REQUEST, "true", "image_download_failed"),
        (400, "INVALID_ARGUMENT", "Unable to process input image. Please retry or report", FailureClass.INVALID_REQUEST, "false", "invalid_image"),
        (400, "INVALID_ARGUMENT", "Unsupported MIME type: image/svg+xml", FailureClass.INVALID_REQUEST, "true", "unsupported_image_format"),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.", FailureClass.RATE_LIMITED, "true", ""),
        (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", FailureClass.INSUFFICIENT_CREDITS, "true", ""),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", FailureClass.PERMISSION, "true", ""),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta", FailureClass.NOT_FOUND, "true", ""),
        (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", FailureClass.OVERLOADED, "true", ""),
    ],
)  # fmt: skip
def test_googles_wordings_have_their_class(
    status: int, name: str, message: str, expected: FailureClass, elsewhere: str, error_type: str
) -> None:
    body = orjson.dumps({"error": {"code": status, "status": name, "message": message}})
    failure = Gemini().failure(status, {}, body, 0)

    told = failure.to_error().metadata
    assert failure.failure_class is expected
    assert told["retryable_elsewhere"] == elsewhere
    assert told.get("error_type", "") == error_type
