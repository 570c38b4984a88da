"""What one attempt says about its endpoint and about the credential that it used.

Owns which failures count against whom (reference behaviour-facts §1.3). Does not count them (health.py does).
Invariant: an error class decides where it is known; the status decides for any other.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """What an attempt says about its endpoint."""

    SUCCESS = "success"
    FAILURE = "failure"
    RATE_LIMITED = "rate_limited"
    NOTHING = "nothing"
    """The caller's fault, or nobody's."""


class Outcome(NamedTuple):
    """How one attempt ended. The speeds are 0 unless it succeeded.

    Attributes:
        at_s: when it ended.
        credential: the provider's slug for the platform's own, or the id of an account's.
        is_own: the credential is the platform's.
        blames_credential: the provider refused the credential rather than the request.
        tool_calls: whether all calls of its reply were good; None: it made none, or nobody can say.
    """

    endpoint_id: str
    verdict: Verdict
    at_s: int
    latency_ms: int = 0
    total_ms: int = 0
    completion_tokens: int = 0
    started_s: int = 0
    credential: str = ""
    is_own: bool = True
    blames_credential: bool = False
    tool_calls: bool | None = None


_VERDICT_OF_CLASS: Final[Mapping[str, Verdict]] = {
    "authentication": Verdict.FAILURE,
    "insufficient_credits": Verdict.FAILURE,
    "not_found": Verdict.FAILURE,
    "overloaded": Verdict.FAILURE,
    "timeout": Verdict.FAILURE,
    "upstream": Verdict.FAILURE,
    "rate_limited": Verdict.RATE_LIMITED,
    "invalid_request": Verdict.NOTHING,
    "context_length_exceeded": Verdict.NOTHING,
    "content_policy": Verdict.NOTHING,
    "permission": Verdict.NOTHING,
    "request_too_large": Verdict.NOTHING,
}
"""By error class (reference wire facts §0)."""
_CREDENTIAL_CLASSES: Final = frozenset({"authentication", "insufficient_credits", "permission"})
_CREDENTIAL_STATUSES: Final = frozenset({401, 402, 403})


def verdict_of(*, succeeded: bool, status: int, error_class: str) -> Verdict:
    """The reference's rule (§1.3): failures are 401, 402, 404, 5xx, time-outs and broken streams."""
    if succeeded:
        return Verdict.SUCCESS
    return _VERDICT_OF_CLASS.get(error_class) or _verdict_of_status(status)


def _verdict_of_status(status: int) -> Verdict:
    if status == 429:
        return Verdict.RATE_LIMITED
    if status in {0, 401, 402, 404, 408} or status >= 500:
        return Verdict.FAILURE
    return Verdict.NOTHING


def blames_credential(*, status: int, error_class: str) -> bool:
    """Whether a failure says that the key is wrong, empty, or not allowed."""
    if error_class in _VERDICT_OF_CLASS:
        return error_class in _CREDENTIAL_CLASSES
    return status in _CREDENTIAL_STATUSES
