"""The one error: its table is complete and says what HTTP and gRPC know."""

import grpc
import pytest

from libs.errors import STATUSES, AppError, Kind, internal, unavailable

DOCUMENTED = {
    "invalid": 400, "unauthenticated": 401, "payment": 402, "forbidden": 403, "missing": 404, "timeout": 408,
    "conflict": 409, "too_large": 413, "unprocessable": 422, "rate_limited": 429, "internal": 500, "upstream": 502,
    "no_route": 503, "overloaded": 529,
}  # fmt: skip


def test_every_kind_has_its_documented_status() -> None:
    assert {kind.value: statuses.http for kind, statuses in STATUSES.items()} == DOCUMENTED
    assert set(STATUSES) == set(Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_grpc_code_that_exists(kind: Kind) -> None:
    assert STATUSES[kind].grpc in grpc.StatusCode.__members__
    assert AppError(kind, "X", "x").http_status == STATUSES[kind].http


def test_error_carries_what_it_was_given() -> None:
    error = AppError(Kind.PAYMENT, "INSUFFICIENT_CREDITS", "Too little.", {"affordable_tokens": "3"}, 2.5)
    assert str(error) == error.message == "Too little."
    assert error.metadata == {"affordable_tokens": "3"}
    assert error.retry_after_s == 2.5
    assert "INSUFFICIENT_CREDITS" in repr(error)
    assert "affordable" not in repr(error)


def test_error_without_extras_has_none() -> None:
    error = AppError(Kind.INVALID, "X", "x")
    assert (dict(error.metadata), error.retry_after_s) == ({}, None)


def test_service_that_is_away_is_worth_a_retry() -> None:
    error = unavailable("router")
    assert (error.http_status, error.retry_after_s, error.metadata["service"]) == (503, 1.0, "router")
    assert "router" not in error.message


def test_internal_error_hides_everything() -> None:
    assert (internal().http_status, internal().message) == (500, "Internal Server Error")
