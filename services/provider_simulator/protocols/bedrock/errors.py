"""Errors as Bedrock tells them: `{"message"}`, the exception's name in `x-amzn-errortype` or on a frame of the stream.

Owns the bodies, the name for each status, and the headers. Invariant: whatever goes wrong, the caller gets this shape.
"""

import uuid
from collections.abc import Mapping

import orjson

from services.provider_simulator.protocols.bedrock.frames import exception

_NAMES: Mapping[int, str] = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_IN_STREAMS: Mapping[int, str] = {
    400: "validationException",
    408: "modelStreamErrorException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    503: "serviceUnavailableException",
}
_WORDS: Mapping[int, str] = {
    401: "The security token included in the request is invalid.",
    403: "You don't have access to the model with the specified model ID.",
    404: "Could not resolve the foundation model from the provided model identifier.",
    408: "Model has timed out in processing the request.",
    429: "Too many requests, please wait before trying again.",
    503: "Too many connections, please wait before trying again.",
}


def error_body(message: str) -> bytes:
    return orjson.dumps({"message": message})


def error_headers(status: int, name: str = "") -> dict[str, str]:
    headers = reply_headers("application/json")
    name = name or _NAMES.get(status, "")
    if name:
        headers["x-amzn-ErrorType"] = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    if status == 429:
        headers["retry-after"] = "1"
    return headers


def reply_headers(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type, "x-amzn-RequestId": str(uuid.uuid4())}


def simulated_message(status: int) -> str:
    words = _WORDS.get(status, "The request was refused." if status < 500 else "The system encountered an error.")
    return f"{words} (simulated {status})"


def failure_frame(status: int) -> bytes:
    return exception(_IN_STREAMS.get(status, "internalServerException"), simulated_message(status))
