"""The one error that crosses rooms, and the one table that says what it means to HTTP and gRPC.

Owns kinds and their statuses. Does not render bodies (edge_proxy does) and does not log.
Invariant: `kind` is a closed set; `reason` is stable, UPPER_SNAKE, and what programs branch on.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    PAYMENT = "payment"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    UPSTREAM = "upstream"
    NO_ROUTE = "no_route"
    OVERLOADED = "overloaded"


class Statuses(NamedTuple):
    http: int
    grpc: str
    """Name of the `grpc.StatusCode` member; a name, so that this module stays free of grpc."""


STATUSES: Mapping[Kind, Statuses] = {
    Kind.INVALID: Statuses(400, "INVALID_ARGUMENT"),
    Kind.UNAUTHENTICATED: Statuses(401, "UNAUTHENTICATED"),
    Kind.PAYMENT: Statuses(402, "FAILED_PRECONDITION"),
    Kind.FORBIDDEN: Statuses(403, "PERMISSION_DENIED"),
    Kind.MISSING: Statuses(404, "NOT_FOUND"),
    Kind.TIMEOUT: Statuses(408, "DEADLINE_EXCEEDED"),
    Kind.CONFLICT: Statuses(409, "ALREADY_EXISTS"),
    Kind.TOO_LARGE: Statuses(413, "OUT_OF_RANGE"),
    Kind.UNPROCESSABLE: Statuses(422, "FAILED_PRECONDITION"),
    Kind.RATE_LIMITED: Statuses(429, "RESOURCE_EXHAUSTED"),
    Kind.INTERNAL: Statuses(500, "INTERNAL"),
    Kind.UPSTREAM: Statuses(502, "ABORTED"),
    Kind.NO_ROUTE: Statuses(503, "UNAVAILABLE"),
    Kind.OVERLOADED: Statuses(529, "RESOURCE_EXHAUSTED"),
}


class AppError(Exception):
    """A failure that a caller may have to tell apart.

    Args:
        kind: decides HTTP status and gRPC code.
        reason: stable UPPER_SNAKE name of the cause, such as `INSUFFICIENT_CREDITS`.
        message: one sentence for people; safe to show to the caller of the public API.
        metadata: text pairs a program may need, such as `affordable_tokens`.
        retry_after_s: seconds after which the same call may succeed.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = metadata or {}
        self.retry_after_s = retry_after_s

    @property
    def http_status(self) -> int:
        return STATUSES[self.kind].http

    def __repr__(self) -> str:
        return f"AppError({self.kind}, {self.reason}, {self.message!r})"


def unavailable(service: str, message: str | None = None, retry_after_s: float = 1.0) -> AppError:
    """The error for a service of ours that cannot be reached now (503, worth a retry)."""
    return AppError(
        Kind.NO_ROUTE,
        "SERVICE_UNAVAILABLE",
        message or "A part of the service is temporarily unavailable. Please retry.",
        {"service": service},
        retry_after_s,
    )


def internal(message: str = "Internal Server Error") -> AppError:
    """The bare error that hides an unexpected failure; the details belong in the log alone."""
    return AppError(Kind.INTERNAL, "INTERNAL", message)
