"""What an unsuccessful answer, an error event or an error finish of Cohere means.

Owns the provider's own statuses. Leaves other statuses and wordings to the general table. Invariant: whatever the bytes
are, the result is a `Failure`, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of

# 498 is "invalid token": a token of the text that the provider has on its deny list. A key is told apart by its name.
_DENIED = 498
_KEY = re.compile(r"\b(?:api|bearer|auth\w*)[ _-]?(?:key|token)", re.IGNORECASE)
_NO_SUCH_MODEL = re.compile(r"model '?[^ ]+'? (?:not found|was removed|is not supported)", re.IGNORECASE)


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    failure = failure_of(status, headers, body, now_s)
    if status == _DENIED:
        denied = FailureClass.AUTHENTICATION if _KEY.search(failure.message) else FailureClass.CONTENT_POLICY
        return replace(failure, failure_class=denied, elsewhere=None)
    if failure.failure_class is FailureClass.INVALID_REQUEST and _NO_SUCH_MODEL.search(failure.message):
        return replace(failure, failure_class=FailureClass.NOT_FOUND, elsewhere=None)
    return failure


def failure_of_event(event: Any) -> Failure:
    """An error inside a reply that began as a success, or such a body."""
    return broken(200, complaint_of(event))


def failure_of_finish(native: str, message: str = "") -> Failure:
    """A reply that ended with an error of the provider's own."""
    failure_class = FailureClass.TIMEOUT if native == "TIMEOUT" else FailureClass.UPSTREAM
    return Failure(failure_class, 200, message or f"The provider ended with {native}.", native)


def is_error(value: Mapping[str, Any]) -> bool:
    """Whether an object that should be a reply or an event is an error: `error`, or a message that is text."""
    return value.get("error") is not None or isinstance(value.get("message"), str)
