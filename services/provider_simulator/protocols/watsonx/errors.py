"""Error bodies as watsonx.ai writes them: `{"errors": [{"code", "message", "more_info"}], "trace", "status_code"}`.

Owns the bodies. Invariant: whatever goes wrong, the caller gets this shape.
"""

import secrets
from collections.abc import Mapping

import orjson

from services.provider_simulator.protocols.native import RefusedNativeError
from services.provider_simulator.protocols.openai.errors import error_headers, simulated_error

_CODES: Mapping[int, str] = {
    401: "authentication_token_not_valid",
    404: "model_not_supported",
    429: "consumption_limit_reached",
    500: "downstream_request_failed",
}
_MORE = "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat"


def error_body(status: int, message: str) -> bytes:
    code = _CODES.get(status, "invalid_request_entity" if status < 500 else "internal_server_error")
    error = {"code": code, "message": message, "more_info": _MORE}
    return orjson.dumps({"errors": [error], "trace": secrets.token_hex(16), "status_code": status})


def simulated_body(status: int) -> bytes:
    return error_body(status, simulated_error(status)["message"])


def refusal(refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
    return error_headers(refused.status), error_body(refused.status, refused.message)
