"""Which error the caller gets when no attempt worked (DESIGN §11 "All attempts failed")."""

from typing import Any

import orjson
import pytest

from libs.errors import AppError, Kind, internal, unavailable
from services.edge_proxy.core.attempts import FailedAttempt, final_error, rejects_the_model
from tests.testkit.edge_proxy import provider_failure

MODELS = ("a/a", "b/b")
LIMITED = provider_failure("rate_limited", 429)
UNREACHABLE = provider_failure("upstream", 0)
TIMED_OUT = provider_failure("timeout", 0)
BROKEN = provider_failure("upstream", 500)
OVERLOADED = provider_failure("overloaded", 503)
GARBAGE = provider_failure("upstream", 200)
REJECTED = provider_failure("invalid_request", 400, provider_message="Bad tool", provider_code="bad_tool")
NOT_OUR_KEY = provider_failure("authentication", 401)
AWAY = unavailable("provider_adapter")


def error_of(*errors: AppError, models: str = "aaaaaaaa") -> AppError:
    failed = [
        FailedAttempt(f"p{n}", f"Provider {n}", f"{models[n]}/{models[n]}", error) for n, error in enumerate(errors)
    ]
    return final_error(failed, MODELS)


@pytest.mark.parametrize(
    ("errors", "status", "availability"),
    [
        ([LIMITED], 429, "capacity_exhausted"),
        ([LIMITED, LIMITED], 429, "capacity_exhausted"),
        ([UNREACHABLE], 503, "temporarily_unavailable"),
        ([TIMED_OUT], 503, "temporarily_unavailable"),
        ([BROKEN], 503, "temporarily_unavailable"),
        ([BROKEN, UNREACHABLE, TIMED_OUT, OVERLOADED], 503, "temporarily_unavailable"),
        ([LIMITED, BROKEN], 503, "temporarily_unavailable"),
        ([BROKEN, LIMITED], 503, "temporarily_unavailable"),
        ([AWAY, BROKEN], 503, "temporarily_unavailable"),
        ([BROKEN, AWAY], 503, "temporarily_unavailable"),
        ([GARBAGE], 502, None),
        ([BROKEN, GARBAGE], 502, None),
        ([NOT_OUR_KEY], 502, None),
        ([BROKEN, NOT_OUR_KEY], 502, None),
        ([internal()], 502, None),
        ([REJECTED], 400, None),
        ([BROKEN, REJECTED], 400, None),
        ([provider_failure("request_too_large", 413)], 413, None),
        ([provider_failure("invalid_request", 422)], 422, None),
        ([provider_failure("context_length_exceeded", 400)], 400, None),
        ([provider_failure("content_policy", 400)], 400, None),
    ],
)
def test_failures_make_the_status_that_the_rules_say(
    errors: list[AppError], status: int, availability: str | None
) -> None:
    error = error_of(*errors)
    assert error.http_status == status
    assert error.metadata.get("availability") == availability


@pytest.mark.parametrize(
    ("errors", "status"),
    [
        ([REJECTED, LIMITED], 429),
        ([REJECTED, LIMITED, LIMITED], 429),
        ([REJECTED, BROKEN], 503),
        ([REJECTED, NOT_OUR_KEY], 502),
        ([LIMITED, REJECTED], 400),
        ([REJECTED, AWAY], 503),
    ],
)
def test_rejection_of_an_earlier_model_does_not_hide_how_the_last_one_failed(
    errors: list[AppError], status: int
) -> None:
    assert error_of(*errors, models="abbb").http_status == status


def test_rejections_of_earlier_models_are_listed_all_the_same() -> None:
    error = error_of(REJECTED, LIMITED, models="ab")
    assert [one["status"] for one in orjson.loads(error.metadata["previous_errors"])] == [400, 429]


def test_adapter_that_is_away_for_all_attempts_is_our_own_503() -> None:
    error = error_of(AWAY, AWAY)
    assert (error.http_status, error.reason) == (503, "SERVICE_UNAVAILABLE")
    assert error.retry_after_s is not None


@pytest.mark.parametrize(
    ("hints", "retry_after_s"), [((5.0, 2.0, 9.0), 2.0), ((4.0,), 4.0), ((5.0, None), None), ((None,), None)]
)
def test_rate_limits_say_the_soonest_time_that_is_sure(
    hints: tuple[float | None, ...], retry_after_s: float | None
) -> None:
    errors = [provider_failure("rate_limited", 429, retry_after_s=hint) for hint in hints]
    assert error_of(*errors).retry_after_s == retry_after_s


def test_outages_always_say_when_to_come_again() -> None:
    assert error_of(BROKEN).retry_after_s == 1.0
    assert error_of(provider_failure("overloaded", 503, retry_after_s=8.0), BROKEN).retry_after_s == 8.0


def test_previous_errors_list_every_attempt_without_raw_bodies() -> None:
    error = error_of(LIMITED, UNREACHABLE)
    previous: list[Any] = orjson.loads(error.metadata["previous_errors"])
    assert previous == [
        {"provider": "Provider 0", "code": 429, "status": 429},
        {"provider": "Provider 1", "code": 502, "status": None},
    ]
    assert error.metadata["requested_models"] == "a/a,b/b"
    assert error.metadata["affected_providers"] == "Provider 0,Provider 1"
    assert error.metadata["provider_name"] == "Provider 1"


def test_one_provider_is_named_and_many_are_counted() -> None:
    assert error_of(LIMITED).message.startswith("Provider 0 is rate-limiting")
    assert error_of(LIMITED, LIMITED).message.startswith("All 2 providers")


def test_rejection_passes_the_providers_words_on() -> None:
    error = error_of(REJECTED)
    assert error.message == "Bad tool"
    assert error.metadata["provider_code"] == "bad_tool"
    assert error.metadata["provider_name"] == "Provider 0"


@pytest.mark.parametrize(
    ("error_class", "error_type"),
    [("context_length_exceeded", "context_length_exceeded"), ("content_policy", "content_policy_violation")],
)
def test_rejections_that_have_a_name_of_their_own_say_it(error_class: str, error_type: str) -> None:
    assert error_of(provider_failure(error_class, 400)).metadata["error_type"] == error_type


def test_a_name_that_the_adapter_gives_is_the_callers() -> None:
    error = error_of(provider_failure("invalid_request", 0, error_type="image_download_failed"))
    assert (error.http_status, error.metadata["error_type"]) == (400, "image_download_failed")


def test_timeout_is_named() -> None:
    assert error_of(BROKEN, TIMED_OUT).metadata["error_type"] == "timeout"


def test_trouble_with_our_key_never_looks_like_the_callers() -> None:
    error = error_of(NOT_OUR_KEY)
    assert error.kind is Kind.UPSTREAM
    assert error.message == "Provider returned error"


@pytest.mark.parametrize(("told", "helps"), [("false", False), ("true", True), (None, True)])
def test_other_providers_are_asked_unless_the_adapter_says_they_cannot_help(told: str | None, helps: bool) -> None:
    facts: dict[str, Any] = {} if told is None else {"retryable_elsewhere": told}
    assert rejects_the_model(FailedAttempt("p", "P", "a/a", provider_failure(**facts))) is not helps
