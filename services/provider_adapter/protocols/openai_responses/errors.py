"""What an error inside a Responses reply means.

Owns the codes that stand in place of a status. Answers with an error status are read as chat's are. Invariant: whatever
the value is, the result is a `Failure`.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import broken_within, complaint_of

_BY_CODE: Mapping[str, FailureClass] = {
    "rate_limit_exceeded": FailureClass.RATE_LIMITED,
    "insufficient_quota": FailureClass.INSUFFICIENT_CREDITS,
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH_EXCEEDED,
    "invalid_prompt": FailureClass.CONTENT_POLICY,
    "image_content_policy_violation": FailureClass.CONTENT_POLICY,
    "model_not_found": FailureClass.NOT_FOUND,
    "server_overloaded": FailureClass.OVERLOADED,
    "slow_down": FailureClass.OVERLOADED,
}


def failure_of_error(value: Any) -> Failure:
    """An `error` event, a failed response, or a body that is an error with status 200."""
    holder = value
    if isinstance(value, dict):
        response = value.get("response")
        if isinstance(response, dict) and response.get("error"):
            holder = response
    complaint = complaint_of(holder)
    failure = broken_within(complaint)
    found = _BY_CODE.get(complaint.code) or _BY_CODE.get(complaint.kind)
    return Failure(found or failure.failure_class, 200, failure.message, failure.code)
