"""What an unsuccessful answer of Replicate, a failed prediction or an error event means.

Owns what is an error. Leaves statuses and wordings to the general table: refusals are `{"title", "detail", "status"}`.
Invariant: whatever the bytes are, the result is a `Failure`, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import (
    Complaint,
    broken_within,
    complaint_in_body,
    failure_of,
)

_CONTEXT = re.compile(r"prompt length|too long|exceeds? .{0,40}(?:context|tokens)", re.IGNORECASE)
_FILTERED = re.compile(r"\bNSFW\b|flagged as sensitive|\bE005\b", re.IGNORECASE)


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    return failure_of(status, headers, body, now_s)


def failure_of_prediction(told: Any) -> Failure:
    """A prediction that failed; its error is free text."""
    message = told if isinstance(told, str) and told else "The prediction failed."
    failure = broken_within(Complaint(message))
    for pattern, meant in (
        (_FILTERED, FailureClass.CONTENT_POLICY),
        (_CONTEXT, FailureClass.CONTEXT_LENGTH_EXCEEDED),
    ):
        if failure.failure_class is FailureClass.UPSTREAM and pattern.search(message):
            return replace(failure, failure_class=meant)
    return failure


def failure_of_event(data: bytes) -> Failure:
    """An error event: text, or an object with `detail`."""
    return failure_of_prediction(complaint_in_body(data).message)
