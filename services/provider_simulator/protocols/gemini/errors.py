"""Error bodies as Google writes them: `{"error": {"code", "message", "status", "details"}}`.

Owns the bodies, the name of each status, and the hints in details. Invariant: whatever goes wrong, the caller gets this
shape.
"""

from collections.abc import Mapping
from typing import Any

import orjson

_NAMES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_WORDS: Mapping[int, str] = {
    401: "Request had invalid authentication credentials.",
    403: "The caller does not have permission",
    404: "The model is not found for API version v1beta, or is not supported for generateContent.",
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry.",
    503: "The model is overloaded. Please try again later.",
    504: "The request timed out. Please try again.",
}
_TYPES = "type.googleapis.com/google.rpc"
HEADERS: Mapping[str, str] = {"Content-Type": "application/json; charset=UTF-8"}


def error_object(status: int, message: str, reason: str = "") -> dict[str, Any]:
    name = _NAMES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    details: list[dict[str, Any]] = []
    if reason:
        info = {"@type": f"{_TYPES}.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
        details.append(info)
    if status == 429:
        quota = {"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaValue": "1"}
        details.append({"@type": f"{_TYPES}.QuotaFailure", "violations": [quota]})
        details.append({"@type": f"{_TYPES}.RetryInfo", "retryDelay": "1s"})
    if details:
        error["details"] = details
    return {"error": error}


def error_body(status: int, message: str, reason: str = "") -> bytes:
    return orjson.dumps(error_object(status, message, reason))


def simulated_message(status: int) -> str:
    words = _WORDS.get(status, "The request was refused." if status < 500 else "An internal error has occurred.")
    return f"{words} (simulated {status})"
