from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.gemini.usage import usage_of
from services.provider_adapter.protocols.port import Usage
from tests.unit.provider_adapter.gemini_bodies import (
    END,
    candidate,
    decode,
    whole,
)


def test_ids_that_google_gives_are_kept_and_others_made_up_alike_in_both_ways() -> None:
    reply = candidate(
        {"functionCall": {"id": "own", "name": "f", "args": {}}}, {"functionCall": {"name": "g"}}, finishReason="STOP"
    )

    ids = [call["id"] for call in decode(reply).calls]
    assert ids == ["own", "call_gm_700000000-abcdefghij_1"]
    assert len(ids[1]) <= 40
    assert [call["id"] for call in whole(reply)["message"]["tool_calls"]] == ids
    assert decode(reply).calls[1]["arguments"] == "{}"


def test_the_pieces_of_one_thought_share_their_index() -> None:
    decoded = decode(
        candidate({"text": "a", "thought": True}),
        candidate({"text": "b", "thought": True}),
        candidate({"text": "c", "thoughtSignature": "c2ln"}),
        END,
    )

    details = [detail for delta in decoded.deltas for detail in delta.get("reasoning_details", ())]
    assert [(d["type"], d["index"]) for d in details] == [
        ("reasoning.text", 0),
        ("reasoning.text", 0),
        ("reasoning.encrypted", 1),
    ]
    assert {d["format"] for d in details} == {"google-gemini-v1"}


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("OTHER", "error"),
        ("SOMETHING_NEW", "stop"),
        ("FINISH_REASON_UNSPECIFIED", None),
    ],
)
def test_every_end_has_its_word(native: str, expected: str | None) -> None:
    decoded = decode(candidate({"text": "a"}, finishReason=native))

    assert decoded.failure is None
    assert (decoded.facts.finish_reason or None, decoded.facts.native_finish_reason) == (expected, native)
    assert whole(candidate({"text": "a"}, finishReason=native))["finish_reason"] == expected


def test_text_and_end_in_one_event_are_two_chunks() -> None:
    decoded = decode(candidate({"text": "a"}, finishReason="STOP"))

    assert decoded.deltas == [{"role": "assistant", "content": "a"}, {}]


def test_a_blocked_prompt_is_a_content_filter() -> None:
    blocked = {"promptFeedback": {"blockReason": "MODEL_ARMOR"}, "usageMetadata": {"promptTokenCount": 4}}
    decoded = decode(blocked)

    assert decoded.failure is None
    assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == ("content_filter", "MODEL_ARMOR")
    assert decoded.facts.usage == Usage(4, 0)
    choice = whole(blocked)
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("content_filter", "MODEL_ARMOR")
    assert choice["message"]["content"] == ""


def test_pictures_and_sound_come_as_chat_has_them() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}
    sound = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "REVG"}}
    expected = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}, "index": 0}]

    assert decode(candidate(picture), END).deltas[0]["images"] == expected
    assert whole(candidate(picture, sound))["message"]["images"] == expected
    assert whole(candidate(sound))["message"]["audio"] == {"data": "REVG"}


def test_grounding_becomes_annotations() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x.test", "title": "T"}}, {}],
        "groundingSupports": [{"segment": {"endIndex": 3, "text": "abc"}, "groundingChunkIndices": [0, 1, 9]}],
    }
    told = {"url": "https://x.test", "title": "T", "content": "abc", "start_index": 0, "end_index": 3}
    reply = candidate({"text": "abc"}, groundingMetadata=grounding, finishReason="STOP")

    assert decode(reply).deltas[0]["annotations"] == [{"type": "url_citation", "url_citation": told}]
    assert whole(reply)["message"]["annotations"] == [{"type": "url_citation", "url_citation": told}]


def test_log_probabilities_come_as_chat_has_them() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "ü", "logProbability": -2}]}
        ],
    }
    logprobs = whole(candidate({"text": "a"}, logprobsResult=result))["logprobs"]

    (first,) = logprobs["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("a", -0.5, [97])
    assert first["top_logprobs"][1] == {"token": "ü", "logprob": -2, "bytes": [195, 188]}


def test_candidates_keep_their_places() -> None:
    def both(first: str, second: str, **fields: Any) -> dict[str, Any]:
        listed = [{"content": {"parts": [{"text": t}]}, "index": i, **fields} for i, t in enumerate((first, second))]
        return {"candidates": listed}

    decoded = decode(both("a", "b"), both("A", "B", finishReason="STOP"))

    texts = ["", ""]
    for chunk in decoded.chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == ["aA", "bB"]
    assert sum(delta.get("role") == "assistant" for delta in decoded.deltas) == 2


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 3}, Usage(5, 3)),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 3}, Usage(5, 3, reasoning_tokens=3)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 2}, Usage(7, 0, 4)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 6}, Usage(5, 0)),
        ({"candidatesTokenCount": 3}, None),
        ({"promptTokenCount": -1}, None),
        ({"promptTokenCount": 5, "candidatesTokenCount": "3"}, None),
        (
            {
                "promptTokenCount": 20,
                "cachedContentTokenCount": 8,
                "candidatesTokenCount": 9,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}, {"modality": "AUDIO", "tokenCount": 6}, {"modality": "IMAGE", "tokenCount": 4}],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}, {"modality": "TEXT", "tokenCount": 3}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 7}, 5, {"modality": "AUDIO"}],
            },
            Usage(20, 9, 8, prompt_audio_tokens=1, prompt_image_tokens=4, completion_image_tokens=7),
        ),
        (None, None),
        ([], None),
    ],
)  # fmt: skip
def test_counts_are_disjoint_classes(counts: Any, expected: Usage | None) -> None:
    assert usage_of(counts) == expected


def test_the_last_running_count_holds() -> None:
    first, last = {"promptTokenCount": 5}, {"promptTokenCount": 6, "candidatesTokenCount": 2}
    events = [{**candidate({"text": "a"}), "usageMetadata": first}, {**END, "usageMetadata": last}]

    assert decode(*events).facts.usage == Usage(6, 2)
    assert decode(*events, {"usageMetadata": {"promptTokenCount": "x"}}).facts.usage == Usage(6, 2)


def google_error(status: int, name: str, message: str = "m", **detail: Any) -> bytes:
    return orjson.dumps({"error": {"code": status, "message": message, "status": name, "details": [{}, detail]}})


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (400, google_error(400, "INVALID_ARGUMENT", "Bad request.", reason="API_KEY_INVALID"), FailureClass.AUTHENTICATION, "API_KEY_INVALID"),
        (403, google_error(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), FailureClass.AUTHENTICATION, "PERMISSION_DENIED"),
        (400, google_error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), FailureClass.PERMISSION, "FAILED_PRECONDITION"),
        (400, google_error(400, "FAILED_PRECONDITION", "Please enable billing on the project."), FailureClass.INSUFFICIENT_CREDITS, "FAILED_PRECONDITION"),
        (429, google_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota (content policy)."), FailureClass.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (499, google_error(499, "CANCELLED"), FailureClass.UPSTREAM, "CANCELLED"),
        (503, b"[" + google_error(503, "UNAVAILABLE") + b"]", FailureClass.OVERLOADED, "UNAVAILABLE"),
        (200, b"[" + google_error(503, "UNAVAILABLE") + b"]", FailureClass.OVERLOADED, "UNAVAILABLE"),
        (404, google_error(404, "NOT_FOUND", "models/x is not found"), FailureClass.NOT_FOUND, "NOT_FOUND"),
    ],
)  # fmt: skip
def test_googles_errors_have_their_class(status: int, body: bytes, expected: FailureClass, code: str) -> None:
    failure = Gemini().failure(status, {}, body, 0)

    assert (failure.failure_class, failure.code, failure.status) == (expected, code, status)
    assert failure.to_error().metadata["retryable_elsewhere"] == "true"


@pytest.mark.parametrize(("delay", "expected"), [("34.4s", 34.4), ("1s", 1.0), ("9999999s", 86_400.0), ("-1s", None), ("x", None), (7, None)])  # fmt: skip
def test_the_delay_among_the_details_is_a_retry_hint(delay: Any, expected: float | None) -> None:
    body = google_error(429, "RESOURCE_EXHAUSTED", retryDelay=delay)

    assert Gemini().failure(429, {}, body, 0).retry_after_s == expected
    assert Gemini().failure(400, {}, google_error(400, "INVALID_ARGUMENT", retryDelay=delay), 0).retry_after_s is None


def test_an_error_object_in_the_stream_fails_with_its_class() -> None:
    error = orjson.loads(google_error(503, "UNAVAILABLE", "busy"))
    decoded = decode(candidate({"text": "a"}), error)

    assert decoded.joined("content") == "a"
    assert decoded.failure is not None
    assert (decoded.failure.failure_class, decoded.failure.message) == (FailureClass.OVERLOADED, "busy")


def test_a_stream_without_an_end_was_cut() -> None:
    assert decode(candidate({"text": "a"})).failure is not None
    assert decode().failure is not None
