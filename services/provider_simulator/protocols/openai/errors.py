"""Error bodies as OpenAI writes them: `{"error": {"message", "type", "param", "code"}}`.

Owns the bodies and the words for each status. Invariant: whatever goes wrong, the caller gets this shape.
"""

from collections.abc import Mapping
from typing import Any

import orjson

_INVALID = "invalid_request_error"
_WORDS: Mapping[int, tuple[str, str, str | None]] = {
    400: ("The request was refused.", _INVALID, None),
    401: ("Incorrect API key provided.", _INVALID, "invalid_api_key"),
    402: ("Your account has no credit left.", "insufficient_quota", "insufficient_quota"),
    403: ("You are not allowed to use this model.", "permission_error", "permission_denied"),
    404: ("The model does not exist or you do not have access to it.", _INVALID, "model_not_found"),
    408: ("Request timed out.", "timeout_error", "request_timeout"),
    409: ("The request conflicts with another one.", "conflict_error", "conflict"),
    413: ("The request is too large.", _INVALID, "request_too_large"),
    422: ("The request cannot be processed.", _INVALID, "unprocessable_entity"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None),
    502: ("Bad gateway.", "server_error", "bad_gateway"),
    503: ("The engine is currently overloaded, please try again later.", "server_error", "service_unavailable"),
    504: ("The engine did not answer in time.", "server_error", "gateway_timeout"),
    529: ("The engine is currently overloaded, please try again later.", "server_error", "overloaded"),
}


class RefusedError(Exception):
    """The request is refused: status, and the four fields of the error."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = _INVALID,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code


def check_key(headers: Mapping[str, str]) -> None:
    """Raises RefusedError: no key came, neither OpenAI's way nor Azure's."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if (scheme.lower() == "bearer" and key.strip()) or headers.get("api-key", "").strip():
        return
    raise RefusedError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        status=401,
        code="invalid_api_key",
    )


def refusal_body(refused: RefusedError) -> bytes:
    return error_body(refused.message, refused.kind, refused.param, refused.code)


def error_body(message: str, kind: str, param: str | None, code: str | None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def simulated_error(status: int) -> dict[str, Any]:
    """The error object for a status that a directive asks for."""
    fallback = _WORDS[500] if status >= 500 else _WORDS[400]
    message, kind, code = _WORDS.get(status, fallback)
    return {"message": f"{message} (simulated {status})", "type": kind, "param": None, "code": code}


def error_headers(status: int) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if status == 429:
        headers["retry-after"] = "1"
    return headers
