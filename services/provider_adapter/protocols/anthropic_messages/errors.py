"""What an unsuccessful answer or an error event of an Anthropic host means.

Owns the provider's error types and hints. Leaves statuses and wordings to the general table. Invariant: whatever the
bytes are, the result is a `Failure`, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of

_CREDIT = re.compile(r"credit balance is too low", re.IGNORECASE)
# `invalid_request_error` is not among them: after a 200 the request had been accepted.
_BY_TYPE: Mapping[str, FailureClass] = {
    "overloaded_error": FailureClass.OVERLOADED,
    "rate_limit_error": FailureClass.RATE_LIMITED,
    "timeout_error": FailureClass.TIMEOUT,
    "authentication_error": FailureClass.AUTHENTICATION,
    "billing_error": FailureClass.INSUFFICIENT_CREDITS,
    "permission_error": FailureClass.PERMISSION,
    "not_found_error": FailureClass.NOT_FOUND,
    "request_too_large": FailureClass.REQUEST_TOO_LARGE,
}


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    failure = failure_of(status, headers, body, now_s)
    if status < 400:
        return replace(failure, failure_class=_BY_TYPE.get(failure.code, FailureClass.UPSTREAM))
    if status == 400 and _CREDIT.search(failure.message):
        failure = replace(failure, failure_class=FailureClass.INSUFFICIENT_CREDITS, elsewhere=None)
    word = headers.get("x-should-retry")
    return replace(failure, again=word == "true") if word in {"true", "false"} else failure


def failure_of_event(event: Any) -> Failure:
    """An `error` event inside a reply that began as a success, or such a body."""
    failure = broken(200, complaint_of(event))
    return replace(failure, failure_class=_BY_TYPE.get(failure.code, FailureClass.UPSTREAM))
