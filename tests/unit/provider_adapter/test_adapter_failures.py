import pytest

from libs.errors import Kind
from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, retry_after_s, scrub
from services.provider_adapter.protocols.openai_chat.errors import failure_of


def body(message: str = "", code: str = "", kind: str = "") -> bytes:
    return b'{"error":{"message":"%s","code":"%s","type":"%s"}}' % (message.encode(), code.encode(), kind.encode())


@pytest.mark.parametrize(
    ("status", "answer", "expected", "elsewhere"),
    [
        (400, body("Invalid value"), "invalid_request", "false"),
        (422, b'{"detail":[{"msg":"field required"}]}', "invalid_request", "false"),
        (400, body("Unsupported parameter: top_k"), "invalid_request", "true"),
        (400, body("max_tokens is too large: 9. This model supports at most 8"), "invalid_request", "true"),
        (400, body("x", "context_length_exceeded"), "context_length_exceeded", "true"),
        (400, body("prompt is too long: 300 tokens > 200 maximum"), "context_length_exceeded", "true"),
        (413, body("This model's maximum context length is 100 tokens"), "context_length_exceeded", "true"),
        (400, body("The input token count (9) exceeds the maximum"), "context_length_exceeded", "true"),
        (400, body("x", "", "too_many_prompt_tokens"), "context_length_exceeded", "true"),
        (400, body("x", "content_filter"), "content_policy", "false"),
        (403, body("Your input was flagged by moderation"), "content_policy", "false"),
        (400, body("x", "DataInspectionFailed"), "content_policy", "false"),
        (401, body("Incorrect API key provided"), "authentication", "true"),
        (400, b'{"code":"x","error":"Incorrect API key provided: xa***yz"}', "authentication", "true"),
        (402, body("Insufficient Balance"), "insufficient_credits", "true"),
        (429, body("You exceeded your current quota", "insufficient_quota"), "insufficient_credits", "true"),
        (403, body("Country not supported"), "permission", "true"),
        (404, body("Not found"), "not_found", "true"),
        (400, body("x", "model_not_found"), "not_found", "true"),
        (400, body("The provided model identifier is invalid."), "not_found", "true"),
        (413, body("Request too large"), "request_too_large", "false"),
        (413, body("Limit 6000 tokens per minute, requested 9000"), "request_too_large", "true"),
        (429, body("Slow down"), "rate_limited", "true"),
        (503, body("Busy"), "overloaded", "true"),
        (529, body("Busy"), "overloaded", "true"),
        (498, body("Capacity"), "overloaded", "true"),
        (408, body(), "timeout", "true"),
        (504, b"<html>gateway time-out</html>", "timeout", "true"),
        (524, b"", "timeout", "true"),
        (500, body("oops"), "upstream", "true"),
        (502, b"<html>", "upstream", "true"),
        (424, body(), "upstream", "true"),
        (302, b"", "upstream", "true"),
        (418, body("teapot"), "invalid_request", "false"),
        (599, b"\xff\xfe", "upstream", "true"),
        (200, body("filtered"), "upstream", "true"),
    ],
)
def test_answers_get_the_class_that_decides_what_happens_next(
    status: int, answer: bytes, expected: str, elsewhere: str
) -> None:
    error = failure_of(status, {}, answer, 0).to_error()

    assert error.metadata["class"] == expected
    assert error.metadata["retryable_elsewhere"] == elsewhere
    assert error.metadata["status"] == str(status)
    assert error.reason == f"PROVIDER_{expected.upper()}"


@pytest.mark.parametrize(
    ("failure_class", "kind"),
    [
        (FailureClass.INVALID_REQUEST, Kind.INVALID),
        (FailureClass.CONTEXT_LENGTH_EXCEEDED, Kind.INVALID),
        (FailureClass.CONTENT_POLICY, Kind.FORBIDDEN),
        (FailureClass.AUTHENTICATION, Kind.UPSTREAM),
        (FailureClass.INSUFFICIENT_CREDITS, Kind.UPSTREAM),
        (FailureClass.PERMISSION, Kind.FORBIDDEN),
        (FailureClass.NOT_FOUND, Kind.MISSING),
        (FailureClass.REQUEST_TOO_LARGE, Kind.TOO_LARGE),
        (FailureClass.RATE_LIMITED, Kind.RATE_LIMITED),
        (FailureClass.OVERLOADED, Kind.OVERLOADED),
        (FailureClass.TIMEOUT, Kind.TIMEOUT),
        (FailureClass.UPSTREAM, Kind.UPSTREAM),
    ],
)
def test_every_class_has_its_kind(failure_class: FailureClass, kind: Kind) -> None:
    assert Failure(failure_class).to_error().kind is kind


def test_metadata_tells_phase_hint_and_what_was_sent() -> None:
    error = Failure(FailureClass.TIMEOUT, phase=Phase.IDLE, retry_after_s=1.5).to_error(after_first_chunk=True)

    assert error.metadata == {
        "class": "timeout",
        "status": "0",
        "retryable_elsewhere": "true",
        "after_first_chunk": "true",
        "phase": "idle",
        "retry_after_s": "1.5",
    }
    assert error.retry_after_s == 1.5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"error":{"message":"m","code":7}}', "m"),
        (b'{"error":"m"}', "m"),
        (b'{"message":"m"}', "m"),
        (b'{"detail":"m"}', "m"),
        (b'{"errors":[{"message":"m"}]}', "m"),
        (b'[{"error":{"message":"m"}}]', "m"),
        (b"m", "m"),
        (b'"m"', "m"),
        (b"<html>m</html>", None),
        (b"", None),
        (b"null", None),
        (b"[[[]]]", None),
    ],
)
def test_the_providers_words_are_found_in_any_shape(answer: bytes, message: str | None) -> None:
    metadata = failure_of(500, {}, answer, 0).to_error().metadata

    if message is None:
        assert "provider_message" not in metadata or metadata["provider_message"] == "[[]]"
    else:
        assert metadata["provider_message"] == message


@pytest.mark.parametrize(
    "leak",
    [
        "sk-proj-abcdef1234567890",
        "gsk_abcdefgh12345678",
        "Bearer abc.def.ghi",
        "AIzaSyA1234567890abcdef",
        "https://internal.example:8443/v1/chat?key=1",
        "10.12.0.7:8000",
        "[fe80::1]:9000",
        "fe80::1ff:fe23:4567:890a",
        "localhost:8000",
        "vllm-0.vllm.default.svc.cluster.local:8000",
        "worker-3:8000",
        "org-abcdefgh12345",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "my own odd credential",
    ],
)
def test_credentials_and_addresses_do_not_come_along(leak: str) -> None:
    failure = Failure(FailureClass.UPSTREAM, 500, f"call to {leak} failed", leak)

    error = failure.to_error(secret="my own odd credential")

    assert leak not in str(error.metadata)
    assert error.metadata["provider_message"].startswith("call to [")
    assert error.metadata["provider_message"].endswith("failed")


@pytest.mark.parametrize(
    "words",
    [
        "The provided token is invalid",
        "Invalid 'temperature': expected <= 2, but got 3 instead.",
        "This model's maximum context length is 8192 tokens: you asked for 9000",
        "model accounts/fireworks/models/llama-v3p1-405b-instruct is not deployed",
        "unknown key 'x'; known are ttft_ms, chunk_ms, tokens, words",
        "Rate limit reached for gpt-4.1-mini in 1.5s",
        "Größe überschritten – 最大値",
    ],
)
def test_ordinary_words_stay_as_they_are(words: str) -> None:
    assert scrub(words) == words


def test_text_becomes_one_short_line() -> None:
    assert scrub("a\n\tb\x00c\u2028d  e") == "a b c d e"
    assert len(scrub("word " * 1000)) <= 500


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {"retry-after": "3"}, 3.0),
        (503, {"retry-after": "0.5"}, 0.5),
        (429, {"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, 10.0),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0.0),
        (429, {"retry-after": "999999999"}, 86_400.0),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "-5"}, None),
        (429, {"retry-after": "nan"}, None),
        (429, {"retry-after": "Wed, 21 Oct 99999999 07:28:10 GMT"}, None),
        (429, {}, None),
        (400, {"retry-after": "3"}, None),
        (200, {"retry-after": "3"}, None),
    ],
)
def test_retry_hints_are_read_where_they_mean_something(
    status: int, headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after_s(status, headers, now_s=1_445_412_480) == expected
