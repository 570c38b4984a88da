"""What an unsuccessful answer of GigaChat, or an error inside a reply, means: `{"status", "message"}`.

Owns what is an error. Leaves statuses and wordings to the general table. Invariant: whatever the bytes are, the result
is a `Failure`, never an exception.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    return failure_of(status, headers, body, now_s)


def failure_of_event(value: Any) -> Failure:
    """An error inside a reply that began as a success, or such a body."""
    return broken(200, complaint_of(value))


def is_error(value: Mapping[str, Any]) -> bool:
    """Whether an object that should be a reply or an event is an error."""
    return value.get("error") is not None or ("choices" not in value and isinstance(value.get("message"), str))
