"""Error bodies of the chat dialect: the common envelope, and the last event of a stream that broke.

Owns the vocabulary of `error_type` (reference behaviour-facts §5.3) and the availability object (§5.4). Does not decide
which error a request ends with. Invariant: `code` is always an integer and equals the HTTP status; a 500 says nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from libs.errors import AppError, Kind

DOCS_URL: Final = "https://openrouter.ai/docs/api-reference/errors"
_ERROR_TYPES: Final[Mapping[Kind, str]] = {
    Kind.INVALID: "invalid_request",
    Kind.UNAUTHENTICATED: "authentication",
    Kind.PAYMENT: "payment_required",
    Kind.FORBIDDEN: "permission_denied",
    Kind.MISSING: "not_found",
    Kind.TIMEOUT: "timeout",
    Kind.CONFLICT: "precondition_failed",
    Kind.TOO_LARGE: "payload_too_large",
    Kind.UNPROCESSABLE: "unprocessable",
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.INTERNAL: "server",
    Kind.UPSTREAM: "provider_unavailable",
    Kind.NO_ROUTE: "provider_overloaded",
    Kind.OVERLOADED: "provider_overloaded",
}
_RETRYABLE: Final = frozenset({"capacity_exhausted", "temporarily_unavailable"})
_PRIVATE: Final = frozenset(
    {
        "availability",
        "requested_models",
        "excluded_by",
        "previous_errors",
        "service",
        "sent",
        "fallback_models",
        "constraint_field",
        "constraint_detail",
    }
)
_CONSTRAINED: Final = frozenset({"constraint_filtered", "wrong_endpoint"})
_NUMBERS: Final = frozenset({"requested_tokens", "affordable_tokens"})


def error_type(error: AppError) -> str:
    return error.metadata.get("error_type") or _ERROR_TYPES[error.kind]


def error_body(error: AppError, routing: bytes = b"") -> bytes:
    """The common envelope (reference api-facts §1.5); `routing` is JSON that says how the request was routed."""
    return orjson.dumps({"error": error_object(error), "user_id": None} | _routed(error, routing))


def error_event(
    error: AppError, *, generation_id: str, created_s: int, model: str, provider: str, routing: bytes = b""
) -> bytes:
    """The last event of a stream that broke after its first (reference behaviour-facts §5.1); no `[DONE]` follows."""
    chunk = {
        "id": generation_id,
        "object": "chat.completion.chunk",
        "created": created_s,
        "model": model,
        "provider": provider,
        "error": error_object(error),
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}],
        **_routed(error, routing),
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _routed(error: AppError, routing: bytes) -> dict[str, Any]:
    """A 500 says nothing (reference behaviour-facts §22)."""
    return {"openrouter_metadata": orjson.Fragment(routing)} if routing and error.kind is not Kind.INTERNAL else {}


def error_object(error: AppError) -> dict[str, Any]:
    """What went wrong, as every dialect but Anthropic's shows it."""
    if error.kind is Kind.INTERNAL:
        return {"code": 500, "message": "Internal Server Error", "metadata": {"error_type": "server"}}
    body: dict[str, Any] = {
        "code": error.http_status,
        "message": _printable(error.message),
        "error_type": error_type(error),
        "http_status": error.http_status,
        "metadata": _metadata(error),
    }
    availability = _availability(error)
    if availability is not None:
        body["availability"] = availability
    return body


def _metadata(error: AppError) -> dict[str, Any]:
    public: dict[str, Any] = {"error_type": error_type(error), "reason": error.reason}
    for name, value in error.metadata.items():
        if name not in _PRIVATE:
            public[name] = int(value) if name in _NUMBERS and value.isdigit() else _printable(value)
    previous = error.metadata.get("previous_errors")
    if previous:
        public["previous_errors"] = orjson.loads(previous)
    return public


def _availability(error: AppError) -> dict[str, Any] | None:
    code = error.metadata.get("availability")
    if not code:
        return None
    body: dict[str, Any] = {
        "code": code,
        "retryable": code in _RETRYABLE,
        "requested_models": _list(error.metadata.get("requested_models")),
        "docs_url": DOCS_URL,
    }
    if error.retry_after_s is not None:
        body["retry_after"] = error.retry_after_s
    if code in _CONSTRAINED and "constraint_field" in error.metadata:
        field, detail = error.metadata["constraint_field"], error.metadata.get("constraint_detail", "")
        body["constraint"] = {"field": field, "detail": _printable(detail)}
    for name in ("affected_providers", "excluded_by", "fallback_models"):
        values = _list(error.metadata.get(name))
        if values:
            body[name] = values
    return body


def _printable(text: str) -> str:
    """What came in a path or a header may hold bytes that are no UTF-8, as lone surrogates; no JSON can carry those."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _list(text: str | None) -> list[str]:
    return [item for item in (text or "").split(",") if item]
