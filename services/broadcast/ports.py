"""What broadcast asks of a destination."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination said: an HTTP status, and its `Retry-After` if it sent one."""

    status: int
    retry_after: str | None = None


class DestinationUnreachableError(Exception):
    """A destination gave no answer; the message names the cause, never the address."""


class Destination(Protocol):
    async def send(self, payload: Mapping[str, Any], *, traceparent: str, timeout_s: float) -> Answer:
        """Sends one OTLP/JSON payload, in the trace that `traceparent` names (empty: in none).

        Raises:
            DestinationUnreachableError: no answer within `timeout_s`, or no connection.
        """
        ...
