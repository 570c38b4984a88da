"""Error bodies as Oracle writes them: `{"code", "message"}`.

Owns the bodies. Invariant: whatever goes wrong, the caller gets this shape.
"""

from collections.abc import Mapping

import orjson

from services.provider_simulator.protocols.native import RefusedNativeError
from services.provider_simulator.protocols.openai.errors import error_headers, simulated_error

_CODES: Mapping[int, str] = {
    400: "InvalidParameter",
    401: "NotAuthenticated",
    403: "NotAllowed",
    404: "NotAuthorizedOrNotFound",
    429: "TooManyRequests",
}


def error_body(status: int, message: str) -> bytes:
    code = _CODES.get(status, "InvalidParameter" if status < 500 else "InternalServerError")
    return orjson.dumps({"code": code, "message": message})


def simulated_body(status: int) -> bytes:
    return error_body(status, simulated_error(status)["message"])


def refusal(refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
    return error_headers(refused.status), error_body(refused.status, refused.message)
