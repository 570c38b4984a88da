"""Error bodies as Cohere writes them: `{"id", "message"}`.

Owns the bodies and the hint in the headers. Invariant: whatever goes wrong, the caller gets this shape.
"""

import uuid
from collections.abc import Mapping

import orjson

_WORDS: Mapping[int, str] = {
    401: "invalid api token",
    402: "Please add or update your payment method to continue.",
    404: "the requested resource could not be found",
    413: "request entity too large",
    429: "You are using a Trial key, which is limited to 20 API calls / minute.",
    498: "blocked output: please contact support if this is unexpected",
    499: "request cancelled",
    500: "internal server error, this has been reported to our developers.",
    503: "service unavailable",
}


def error_body(message: str) -> bytes:
    return orjson.dumps({"id": str(uuid.uuid4()), "message": message})


def simulated_message(status: int) -> str:
    words = _WORDS.get(status, "invalid request" if status < 500 else "internal server error")
    return f"{words} (simulated {status})"


def error_headers(status: int) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if status == 429:
        headers["retry-after"] = "1"
    return headers
