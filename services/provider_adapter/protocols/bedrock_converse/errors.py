"""What an unsuccessful answer or an exception in a stream of Bedrock means.

Owns the provider's names of exceptions and the wordings that stand for something else than their status. Leaves the
rest to the general table. Invariant: whatever the bytes are, the result is a `Failure`, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import failure_of

_BY_NAME: Mapping[str, FailureClass] = {
    "UnrecognizedClientException": FailureClass.AUTHENTICATION,
    "ExpiredTokenException": FailureClass.AUTHENTICATION,
    "ExpiredToken": FailureClass.AUTHENTICATION,
    "InvalidSignatureException": FailureClass.AUTHENTICATION,
    "IncompleteSignatureException": FailureClass.AUTHENTICATION,
    "InvalidClientTokenId": FailureClass.AUTHENTICATION,
    "MissingAuthenticationTokenException": FailureClass.AUTHENTICATION,
    "ResourceNotFoundException": FailureClass.NOT_FOUND,
    "ModelTimeoutException": FailureClass.TIMEOUT,
    "ModelErrorException": FailureClass.UPSTREAM,
    "ModelStreamErrorException": FailureClass.UPSTREAM,
    "ModelNotReadyException": FailureClass.OVERLOADED,
    "ThrottlingException": FailureClass.RATE_LIMITED,
    "ServiceQuotaExceededException": FailureClass.RATE_LIMITED,
    "InternalServerException": FailureClass.UPSTREAM,
    "InternalFailure": FailureClass.UPSTREAM,
    "ServiceUnavailableException": FailureClass.OVERLOADED,
}
_STATUS_BY_NAME: Mapping[str, int] = {"ValidationException": 400, "AccessDeniedException": 403}
_WRONG_KEY = re.compile(
    r"authentication failed|api key|bearer token|security token|signature|credential|token (?:has|is) expired",
    re.IGNORECASE,
)
_UNPAID = re.compile(r"payment", re.IGNORECASE)
# The region or the account does not offer this id; the endpoint is stale, the request is not wrong.
_NO_SUCH_MODEL = re.compile(
    r"on-demand throughput|model identifier is invalid|model id[^.]*(?:not (?:found|supported)|isn.t supported)"
    r"|end of its life|marked by provider as legacy",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(r"input is too long|too many (?:total )?(?:input|text) (?:tokens|bytes)", re.IGNORECASE)
# In this order: the first pattern that fits the words of an answer with such a status decides.
_BY_WORDS: tuple[tuple[frozenset[int], re.Pattern[str], FailureClass], ...] = (
    (frozenset({400}), _TOO_LONG, FailureClass.CONTEXT_LENGTH_EXCEEDED),
    (frozenset({400, 404}), _NO_SUCH_MODEL, FailureClass.NOT_FOUND),
    (frozenset({401, 403}), _WRONG_KEY, FailureClass.AUTHENTICATION),
    (frozenset({403}), _UNPAID, FailureClass.INSUFFICIENT_CREDITS),
)
_NOT_HERE = re.compile(r"(?:isn|doesn)\W{0,3}t support", re.IGNORECASE)
# Names of resources hold the operator's account.
_RESOURCE = re.compile(r"\barn:aws[\w-]*:\S+")
_WORDS = ("message", "Message")


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    value = _object(body)
    name = _name(headers.get("x-amzn-errortype") or _text(value, "__type") or "")
    if value is not None and "Message" in value and "message" not in value:
        body = orjson.dumps({"message": _text(value, "Message")})
    failure = _named(failure_of(status, headers, body, now_s), name)
    return replace(failure, failure_class=FailureClass.UPSTREAM, elsewhere=None) if status < 400 else failure


def failure_of_event(name: str, value: Mapping[str, Any]) -> Failure:
    """An exception inside a reply that began as a success."""
    name = name[:1].upper() + name[1:]
    original = value.get("originalStatusCode")
    # What the model behind says of its own state; that it refuses us would be no word about our credential.
    told = original if type(original) is int and (original in {408, 429} or 500 <= original <= 599) else 0
    status = told or _STATUS_BY_NAME.get(name, 500)
    message = _message(value) or _text(value, "originalMessage")
    failure = failure_of(status, {}, orjson.dumps({"message": message}), 0)
    return replace(_named(failure, "" if told else name), status=200, code=name)


def _named(failure: Failure, name: str) -> Failure:
    """The failure with what the exception's name and the provider's wordings add."""
    status, message = failure.status, failure.message
    failure = replace(
        failure, code=name or failure.code, message=_RESOURCE.sub("[resource]", message.partition("\n")[0])
    )
    worded = next((found for statuses, words, found in _BY_WORDS if status in statuses and words.search(message)), None)
    failure_class = worded or _BY_NAME.get(name)
    if failure_class is not None:
        return replace(failure, failure_class=failure_class, elsewhere=None)
    if failure.failure_class is FailureClass.INVALID_REQUEST and _NOT_HERE.search(message):
        return replace(failure, elsewhere=True)
    return failure


def _name(told: str) -> str:
    """`Name:uri` in a header, `namespace#Name` in a body."""
    return told.partition(":")[0].rpartition("#")[2].strip()[:64]


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _message(value: Mapping[str, Any]) -> str:
    return next((text for name in _WORDS if (text := _text(value, name))), "")


def _text(value: Mapping[str, Any] | None, name: str) -> str:
    text = value.get(name) if value is not None else None
    return text if isinstance(text, str) else ""
