"""What an unsuccessful answer of Oracle's, or an error inside a reply, means: `{"code", "message"}`.

Owns what is an error. Leaves statuses and wordings to the general table. Invariant: whatever the bytes are, the result
is a `Failure`, never an exception.

Source: Oracle's documentation of API errors (401 NotAuthenticated, 404 NotAuthorizedOrNotFound, 429 TooManyRequests).
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    return failure_of(status, headers, body, now_s)


def failure_of_event(value: Any) -> Failure:
    """An error inside a reply that began as a success, or such a body."""
    return broken(200, complaint_of(value))


def failure_of_finish(native: str, complaint: Any) -> Failure:
    """A reply that ended in an error before it said anything; Cohere's kinds may say what it was."""
    message = complaint if isinstance(complaint, str) and complaint else f"The reply ended with {native}."
    return Failure(FailureClass.UPSTREAM, 200, message)


def is_error(value: Mapping[str, Any]) -> bool:
    """Whether an object that should be a reply or an event is an error; replies have a message that is an object."""
    return value.get("error") is not None or (isinstance(value.get("message"), str) and "text" not in value)
