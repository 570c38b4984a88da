"""Error bodies (reference api-facts §1.5, behaviour-facts §5)."""

from typing import Any

import orjson
import pytest

from libs.errors import STATUSES, AppError, Kind
from services.edge_proxy.core.error_body import error_body, error_event, error_type


def body_of(error: AppError) -> Any:
    return orjson.loads(error_body(error))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_type_and_an_integer_code_that_is_the_status(kind: Kind) -> None:
    error = AppError(kind, "A_REASON", "Something is wrong")
    body = body_of(error)
    assert body["error"]["code"] == STATUSES[kind].http == error.http_status
    assert body["error"]["message"]
    assert body["error"]["metadata"]["error_type"] == error_type(error)
    assert body["user_id"] is None


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.INTERNAL])
def test_every_kind_but_internal_says_what_is_wrong(kind: Kind) -> None:
    error = body_of(AppError(kind, "A_REASON", "Something is wrong", {"field": "model"}))["error"]
    assert error["message"] == "Something is wrong"
    assert error["metadata"]["reason"] == "A_REASON"
    assert error["metadata"]["field"] == "model"
    assert error["error_type"] == error["metadata"]["error_type"]


def test_internal_error_says_nothing() -> None:
    error = AppError(Kind.INTERNAL, "SECRET_REASON", "password is hunter2", {"secret": "hunter2"}, 3.0)
    assert body_of(error) == {
        "error": {"code": 500, "message": "Internal Server Error", "metadata": {"error_type": "server"}},
        "user_id": None,
    }


def test_capacity_exhausted_says_who_and_when_to_come_again() -> None:
    error = AppError(
        Kind.RATE_LIMITED,
        "CAPACITY_EXHAUSTED",
        "wait",
        {
            "availability": "capacity_exhausted",
            "requested_models": "a/a,b/b",
            "affected_providers": "Alpha,Beta",
            "previous_errors": '[{"provider":"Alpha","code":429,"status":429}]',
        },
        7.5,
    )
    body = body_of(error)["error"]
    availability = body["availability"]
    assert availability["code"] == "capacity_exhausted"
    assert availability["retryable"] is True
    assert availability["requested_models"] == ["a/a", "b/b"]
    assert availability["affected_providers"] == ["Alpha", "Beta"]
    assert availability["retry_after"] == 7.5
    assert availability["docs_url"].startswith("https://")
    assert body["metadata"]["previous_errors"] == [{"provider": "Alpha", "code": 429, "status": 429}]
    assert "availability" not in body["metadata"]


def test_availability_without_a_hint_has_no_retry_after() -> None:
    error = AppError(Kind.MISSING, "NO_ENDPOINT", "none", {"availability": "no_endpoints", "excluded_by": "zdr,only"})
    availability = body_of(error)["error"]["availability"]
    assert availability["retryable"] is False
    assert "retry_after" not in availability
    assert availability["excluded_by"] == ["zdr", "only"]


def test_plain_errors_have_no_availability() -> None:
    assert "availability" not in body_of(AppError(Kind.INVALID, "X", "x"))["error"]


def test_token_counts_are_numbers() -> None:
    error = AppError(
        Kind.PAYMENT, "INSUFFICIENT_CREDITS", "no", {"requested_tokens": "100", "affordable_tokens": "7", "other": "5"}
    )
    metadata = body_of(error)["error"]["metadata"]
    assert (metadata["requested_tokens"], metadata["affordable_tokens"], metadata["other"]) == (100, 7, "5")
    assert metadata["error_type"] == "payment_required"


def test_type_told_in_metadata_wins() -> None:
    error = AppError(Kind.INVALID, "X", "x", {"error_type": "context_length_exceeded"})
    assert body_of(error)["error"]["error_type"] == "context_length_exceeded"


def test_our_own_plumbing_is_not_shown() -> None:
    error = AppError(Kind.NO_ROUTE, "SERVICE_UNAVAILABLE", "x", {"service": "billing_ledger", "sent": "true"})
    assert set(body_of(error)["error"]["metadata"]) == {"error_type", "reason"}


def test_error_event_is_a_chunk_that_ends_with_an_error() -> None:
    error = AppError(Kind.UPSTREAM, "PROVIDER_ERROR", "it broke")
    text = error_event(error, generation_id="gen-1", created_s=5, model="a/b", provider="Alpha")
    assert text.startswith(b"data: {")
    assert text.endswith(b"\n\n")
    assert text.count(b"\n") == 2
    chunk = orjson.loads(text[6:])
    assert (chunk["id"], chunk["object"], chunk["created"]) == ("gen-1", "chat.completion.chunk", 5)
    assert (chunk["model"], chunk["provider"]) == ("a/b", "Alpha")
    assert chunk["error"]["code"] == 502
    assert chunk["choices"] == [
        {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}
    ]


@pytest.mark.parametrize("message", ["caf\udce9", "\ud800", 'quote " and \\ and \n'])
def test_message_of_any_text_makes_a_body(message: str) -> None:
    error = AppError(Kind.MISSING, "ROUTE_UNKNOWN", message, {"field": message})
    assert body_of(error)["error"]["code"] == 404
