"""Error bodies as Anthropic writes them: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Owns the bodies, the word for each status, and the hints in headers. Invariant: whatever goes wrong, the caller gets
this shape.
"""

import secrets
from collections.abc import Mapping

import orjson

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_WORDS: Mapping[int, str] = {
    401: "invalid x-api-key",
    402: "Your credit balance is exhausted.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "The requested resource could not be found.",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit.",
    500: "Internal server error",
    529: "Overloaded",
}


def error_type(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def error_body(status: int, message: str, kind: str = "") -> bytes:
    error = {"type": kind or error_type(status), "message": message}
    return orjson.dumps({"type": "error", "error": error, "request_id": request_id()})


def simulated_message(status: int) -> str:
    words = _WORDS.get(status, "The request was refused." if status < 500 else "Internal server error")
    return f"{words} (simulated {status})"


def error_headers(status: int) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "request-id": request_id()}
    if status == 429:
        headers |= {"retry-after": "1", "anthropic-ratelimit-requests-remaining": "0", "x-should-retry": "true"}
    elif status < 500:
        headers["x-should-retry"] = "false"
    return headers


def request_id() -> str:
    return f"req_{secrets.token_hex(12)}"
