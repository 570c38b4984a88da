"""What an unsuccessful answer of Gemini means.

Owns Google's statuses, reasons and retry hints. Leaves wordings to the general table. Invariant: whatever the bytes
are, the result is a `Failure`, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of

_MOST_WAIT_S = 86_400.0
_DELAY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s", re.ASCII)
_KEY = re.compile(r"api[_ ]key[_ ](?:invalid|expired|not)|api key (?:expired|was reported)", re.IGNORECASE)
_BILLING = re.compile(r"billing|prepay|credits? (?:are|is) depleted", re.IGNORECASE)
_PAYLOAD = re.compile(r"payload size exceeds|request (?:is|body) too large", re.IGNORECASE)
# Complaints about media, with the reference's name and whether another provider may do better.
_MEDIA: tuple[tuple[re.Pattern[str], str, bool], ...] = (
    (re.compile(r"cannot fetch content|ROBOTED", re.IGNORECASE), "image_download_failed", True),
    (re.compile(r"unable to process input image|image is not valid", re.IGNORECASE), "invalid_image", False),
    (re.compile(r"unsupported mime ?type:? image/", re.IGNORECASE), "unsupported_image_format", True),
)
_BY_STATUS_NAME: Mapping[str, FailureClass] = {
    "RESOURCE_EXHAUSTED": FailureClass.RATE_LIMITED,
    "UNAVAILABLE": FailureClass.OVERLOADED,
    "DEADLINE_EXCEEDED": FailureClass.TIMEOUT,
    "UNAUTHENTICATED": FailureClass.AUTHENTICATION,
    "PERMISSION_DENIED": FailureClass.PERMISSION,
    "NOT_FOUND": FailureClass.NOT_FOUND,
}


class _Told(NamedTuple):
    """Google's own error: the name of its status, the reasons and the wait among its details."""

    status: str = ""
    reason: str = ""
    retry_after_s: float | None = None


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    failure = failure_of(status, headers, body, now_s)
    try:
        told = _told(orjson.loads(body))
    except orjson.JSONDecodeError:
        return failure
    failure = replace(failure, code=told.reason or told.status or failure.code)
    if status < 400:
        return replace(failure, failure_class=_BY_STATUS_NAME.get(told.status, FailureClass.UPSTREAM))
    failure_class = _class_of(status, told, failure)
    if failure_class is not failure.failure_class:
        elsewhere = True if failure_class is FailureClass.REQUEST_TOO_LARGE else None
        failure = replace(failure, failure_class=failure_class, elsewhere=elsewhere)
    if status == 400:
        failure = _about_media(failure)
    if failure.retry_after_s is None and (status == 429 or status >= 500):
        failure = replace(failure, retry_after_s=told.retry_after_s)
    return failure


def failure_of_event(value: Any) -> Failure:
    """An error object inside a reply that began as a success."""
    failure, told = broken(200, complaint_of(value)), _told(value)
    failure_class = _BY_STATUS_NAME.get(told.status, FailureClass.UPSTREAM)
    return replace(
        failure,
        failure_class=failure_class,
        code=told.reason or told.status or failure.code,
        retry_after_s=told.retry_after_s,
    )


def _about_media(failure: Failure) -> Failure:
    for pattern, error_type, elsewhere in _MEDIA:
        if pattern.search(failure.message):
            return replace(failure, error_type=error_type, elsewhere=elsewhere)
    return failure


def _class_of(status: int, told: _Told, failure: Failure) -> FailureClass:
    if status == 400 and _PAYLOAD.search(failure.message):
        return FailureClass.REQUEST_TOO_LARGE
    if status in {400, 401, 403} and _KEY.search(f"{told.reason} {failure.message}"):
        return FailureClass.AUTHENTICATION
    if told.status == "FAILED_PRECONDITION" and status == 400:
        # The account's region or billing; another provider has other ones.
        billing = _BILLING.search(failure.message)
        return FailureClass.INSUFFICIENT_CREDITS if billing else FailureClass.PERMISSION
    if status == 429:
        depleted = re.search(r"prepay|credits? (?:are|is) depleted", failure.message, re.IGNORECASE)
        return FailureClass.INSUFFICIENT_CREDITS if depleted else FailureClass.RATE_LIMITED
    return failure.failure_class


def _told(value: Any) -> _Told:
    if isinstance(value, list):
        value = value[0] if value else None
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return _Told()
    status = error.get("status")
    reason, wait_s = "", None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            given = detail.get("reason")
            reason = reason or (given[:100] if isinstance(given, str) else "")
            wait_s = _seconds(detail.get("retryDelay")) if wait_s is None else wait_s
    return _Told(status if isinstance(status, str) else "", reason, wait_s)


def _seconds(delay: Any) -> float | None:
    found = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
    return min(float(found[1]), _MOST_WAIT_S) if found else None
