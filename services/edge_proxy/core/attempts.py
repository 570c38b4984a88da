"""What failed attempts mean: which others may help, and which error the caller gets when none did.

Owns the rules of DESIGN §11 "All attempts failed". Does not run attempts.
Invariant: a provider's own complaint about the request is passed on; our troubles with providers never look like it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from libs.errors import AppError, Kind

_PASSED_ON = frozenset({"invalid_request", "content_policy", "request_too_large", "context_length_exceeded"})
_LOST_PEER = frozenset({"PEER_LOST", "SERVICE_UNAVAILABLE"})


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One failed attempt.

    Attributes:
        error_class: of reference wire facts §0; `internal` when the failure was ours.
        status: the provider's HTTP status, 0 when it gave none.
    """

    provider_slug: str
    provider_name: str
    model: str
    error: AppError

    @property
    def error_class(self) -> str:
        return self.error.metadata.get("class") or "internal"

    @property
    def status(self) -> int:
        text = self.error.metadata.get("status") or "0"
        return int(text) if text.isdigit() else 0

    @property
    def is_ours(self) -> bool:
        """The adapter was lost, not the provider."""
        return "class" not in self.error.metadata and self.error.reason in _LOST_PEER


def rejects_the_model(attempt: FailedAttempt) -> bool:
    """No other provider of this model may help; another model may (reference behaviour-facts §2)."""
    told = attempt.error.metadata.get("retryable_elsewhere")
    return told == "false"


def final_error(failed: Sequence[FailedAttempt], requested_models: Sequence[str]) -> AppError:
    """The error of a request none of whose attempts worked; `failed` holds at least one.

    The last error is what the caller is told, so what providers had against models before the last one is listed alone.
    """
    last = failed[-1]
    counting = [one for one in failed if one.model == last.model or one.error_class not in _PASSED_ON]
    previous_errors = _previous_errors(failed)
    if last.is_ours and all(attempt.is_ours for attempt in counting):
        return last.error
    if last.error_class in _PASSED_ON:
        return _passed_on(last, previous_errors)
    if last.error_class == "upstream" and last.status and last.status < 400:
        return _combined(
            Kind.UPSTREAM,
            "PROVIDER_INVALID_REPLY",
            "The provider returned an invalid response",
            counting,
            previous_errors,
            requested_models,
        )
    if all(attempt.error_class == "rate_limited" for attempt in counting):
        return _combined(
            Kind.RATE_LIMITED,
            "CAPACITY_EXHAUSTED",
            _one_or_all(counting, "is rate-limiting requests", "are rate-limiting requests"),
            counting,
            previous_errors,
            requested_models,
            availability="capacity_exhausted",
        )
    if all(_is_outage(attempt) for attempt in counting):
        return _combined(
            Kind.NO_ROUTE,
            "TEMPORARILY_UNAVAILABLE",
            _one_or_all(counting, "is temporarily unavailable", "are temporarily unavailable"),
            counting,
            previous_errors,
            requested_models,
            availability="temporarily_unavailable",
        )
    return _combined(
        Kind.UPSTREAM, "PROVIDER_ERROR", "Provider returned error", counting, previous_errors, requested_models
    )


def _is_outage(attempt: FailedAttempt) -> bool:
    return (
        attempt.is_ours
        or attempt.error_class in {"overloaded", "timeout", "rate_limited"}
        or (attempt.error_class == "upstream" and (attempt.status == 0 or attempt.status >= 500))
    )


def _passed_on(last: FailedAttempt, previous_errors: str) -> AppError:
    error = last.error
    kind = Kind.TOO_LARGE if last.status == 413 else Kind.UNPROCESSABLE if last.status == 422 else Kind.INVALID
    metadata = {"provider_name": last.provider_name, "previous_errors": previous_errors}
    code = error.metadata.get("provider_code")
    if code:
        metadata["provider_code"] = code
    told = error.metadata.get("error_type")
    if told:
        metadata["error_type"] = told
    elif last.error_class == "context_length_exceeded":
        metadata["error_type"] = "context_length_exceeded"
    elif last.error_class == "content_policy":
        metadata["error_type"] = "content_policy_violation"
    return AppError(kind, "PROVIDER_REJECTED", error.metadata.get("provider_message") or error.message, metadata)


def _combined(
    kind: Kind,
    reason: str,
    message: str,
    failed: Sequence[FailedAttempt],
    previous_errors: str,
    requested_models: Sequence[str],
    availability: str = "",
) -> AppError:
    last = failed[-1]
    hints = [attempt.error.retry_after_s for attempt in failed]
    known = [hint for hint in hints if hint is not None]
    retry_after_s: float | None = None
    if availability == "capacity_exhausted":
        retry_after_s = min(known) if len(known) == len(hints) else None
    elif availability:
        retry_after_s = min(known, default=1.0)
    metadata = {"provider_name": last.provider_name, "previous_errors": previous_errors}
    if availability:
        metadata["availability"] = availability
        metadata["requested_models"] = ",".join(requested_models)
        metadata["affected_providers"] = ",".join(dict.fromkeys(attempt.provider_name for attempt in failed))
    if last.error_class == "timeout":
        metadata["error_type"] = "timeout"
    return AppError(kind, reason, message, metadata, retry_after_s)


def _one_or_all(failed: Sequence[FailedAttempt], one: str, all_of_them: str) -> str:
    names = list(dict.fromkeys(attempt.provider_name for attempt in failed))
    if len(names) == 1:
        return f"{names[0]} {one}. Please retry shortly"
    return f"All {len(names)} providers that were tried {all_of_them}. Please retry shortly"


def _previous_errors(failed: Sequence[FailedAttempt]) -> str:
    """Per failed attempt the provider, the public status and the provider's status; never raw bodies."""
    return orjson.dumps(
        [
            {"provider": attempt.provider_name, "code": attempt.error.http_status, "status": attempt.status or None}
            for attempt in failed
        ]
    ).decode()
