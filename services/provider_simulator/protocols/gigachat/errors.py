"""Error bodies as GigaChat writes them: `{"status", "message"}`.

Owns the bodies and the hint in the headers. Invariant: whatever goes wrong, the caller gets this shape.
"""

from collections.abc import Mapping

import orjson

from services.provider_simulator.protocols.native import RefusedNativeError
from services.provider_simulator.protocols.openai.errors import error_headers

_WORDS: Mapping[int, str] = {
    401: "Unauthorized",
    402: "Payment required",
    404: "No such model",
    413: "Payload too large",
    422: "Validation error",
    429: "Too many requests",
    500: "Internal Server Error",
}


def error_body(status: int, message: str) -> bytes:
    return orjson.dumps({"status": status, "message": message})


def simulated_body(status: int) -> bytes:
    words = _WORDS.get(status, "Bad request" if status < 500 else "Internal Server Error")
    return error_body(status, f"{words} (simulated {status})")


def refusal(refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
    return error_headers(refused.status), error_body(refused.status, refused.message)
