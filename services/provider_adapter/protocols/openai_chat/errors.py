"""What an unsuccessful answer of a chat host means.

Owns the reading of error bodies and the way from status, code and wording to a class (reference wire facts §0). Does
not make text safe: failures.py does. Invariant: whatever the bytes are, the result is a `Failure`, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass, retry_after_s

_TEXT_LIMIT = 4000

_CONTEXT = re.compile(
    r"context[_ -]?(?:length|window|limit)|maximum context|prompt is too long|prompt too long|input token count"
    r"|input tokens exceeded|too[_ ]many[_ ](?:prompt[_ ])?tokens|exceeds? the (?:model'?s )?(?:context|maximum number of tokens)"
    r"|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"content[_ ]?(?:filter|policy|management)|content_policy_violation|responsibleaipolicy|data_?inspection_?failed"
    r"|moderation|safety (?:system|policy|filter)|flagged|sensitive[_ ]content",
    re.IGNORECASE,
)
# Azure's words for what its filter did.
_FILTERED = re.compile(r"response was filtered|content management policy|responsibleai", re.IGNORECASE)
_KEY = re.compile(
    r"(?:incorrect|invalid|missing|no|bad) (?:auth\w*|api[_ -]?key)|api[_ -]?key not valid", re.IGNORECASE
)
_CREDIT = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|exceeded_current_quota|billing_hard_limit|\barrearage\b",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model_not_found|model_decommissioned|deploymentnotfound|model identifier is invalid|model `?[^ ]+`? does not exist",
    re.IGNORECASE,
)
# The model wrote a call, or JSON, that its own host could not read: another try may go well.
_MISWRITTEN = re.compile(r"tool_use_failed|json_validate_failed|output_parse_failed", re.IGNORECASE)
_RATE = re.compile(r"rate[_ ]?limit|too[_ ]many[_ ]requests|throttl|tokens per minute", re.IGNORECASE)
_FULL = re.compile(r"overloaded|capacity|server_busy|service_unavailable", re.IGNORECASE)
# Complaints about a limit or a parameter that another host of the same model may not have.
_LIMIT = re.compile(
    r"max(?:imum)?[_ ](?:completion[_ ]|output[_ ]|new[_ ])?tokens|maximum (?:number|allowed|size|value|of|is)"
    r"|limit (?:of|is) \d|at most \d|tokens per minute|unsupported|not support|doesn't support|unrecognized|unknown parameter",
    re.IGNORECASE,
)
_BY_STATUS: Mapping[int, FailureClass] = {
    401: FailureClass.AUTHENTICATION,
    402: FailureClass.INSUFFICIENT_CREDITS,
    403: FailureClass.PERMISSION,
    404: FailureClass.NOT_FOUND,
    405: FailureClass.UPSTREAM,
    407: FailureClass.UPSTREAM,
    408: FailureClass.TIMEOUT,
    409: FailureClass.UPSTREAM,
    412: FailureClass.REQUEST_TOO_LARGE,
    413: FailureClass.REQUEST_TOO_LARGE,
    421: FailureClass.UPSTREAM,
    424: FailureClass.UPSTREAM,
    425: FailureClass.UPSTREAM,
    429: FailureClass.RATE_LIMITED,
    498: FailureClass.OVERLOADED,
    499: FailureClass.UPSTREAM,
    503: FailureClass.OVERLOADED,
    504: FailureClass.TIMEOUT,
    524: FailureClass.TIMEOUT,
    529: FailureClass.OVERLOADED,
}


# Numbers that hosts put into their bodies (wire facts §7): MiniMax's and Zhipu's.
_BY_NUMBER: Mapping[str, FailureClass] = {
    "1002": FailureClass.RATE_LIMITED,
    "1004": FailureClass.AUTHENTICATION,
    "1008": FailureClass.INSUFFICIENT_CREDITS,
    "1026": FailureClass.CONTENT_POLICY,
    "1027": FailureClass.CONTENT_POLICY,
    "1039": FailureClass.RATE_LIMITED,
    "1113": FailureClass.INSUFFICIENT_CREDITS,
    "1211": FailureClass.NOT_FOUND,
    "1261": FailureClass.CONTEXT_LENGTH_EXCEEDED,
    "1301": FailureClass.CONTENT_POLICY,
    "1302": FailureClass.RATE_LIMITED,
    "1303": FailureClass.RATE_LIMITED,
    "1305": FailureClass.OVERLOADED,
    "2049": FailureClass.AUTHENTICATION,
}
# Of an error inside a success, a status of these is believed; that the request was wrong is not, for it was accepted.
_BELIEVED = frozenset({401, 402, 403, 408, 429, 498, 503, 504, 524, 529})


class Complaint(NamedTuple):
    """A provider's own words."""

    message: str = ""
    code: str = ""
    kind: str = ""


def failure_of(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    complaint = complaint_in_body(body)
    if 200 <= status < 400:
        return broken_within(complaint, status)
    failure_class = _class_of(status, complaint)
    return Failure(
        failure_class,
        status,
        complaint.message,
        complaint.code or complaint.kind,
        retry_after_s(status, headers, now_s),
        elsewhere=_elsewhere(failure_class, complaint),
    )


def broken(status: int, complaint: Complaint) -> Failure:
    """An answer that began as a success: its error is the provider's failure, whatever it says of itself."""
    return Failure(FailureClass.UPSTREAM, status, complaint.message, complaint.code or complaint.kind)


def broken_within(complaint: Complaint, status: int = 200) -> Failure:
    """An error inside an answer that began as a success, by its own code or words where they are plain."""
    words = f"{complaint.code} {complaint.kind}"
    said = f"{words} {complaint.message}"
    number = int(complaint.code) if re.fullmatch("[1-5][0-9]{2}", complaint.code) else 0
    failure_class = _BY_STATUS[number] if number in _BELIEVED else _BY_NUMBER.get(complaint.code)
    if failure_class is None and (_CONTENT.search(words) or _FILTERED.search(complaint.message)):
        failure_class = FailureClass.CONTENT_POLICY
    for pattern, meant in (
        (_CONTEXT, FailureClass.CONTEXT_LENGTH_EXCEEDED),
        (_CREDIT, FailureClass.INSUFFICIENT_CREDITS),
    ):
        if failure_class is None and pattern.search(said):
            failure_class = meant
    for pattern, meant in ((_RATE, FailureClass.RATE_LIMITED), (_FULL, FailureClass.OVERLOADED)):
        if failure_class is None and pattern.search(words):
            failure_class = meant
    failure = broken(status, complaint)
    return failure if failure_class is None else replace(failure, failure_class=failure_class)


def complaint_in_body(body: bytes) -> Complaint:
    """Reads any of the shapes in use; HTML is of no use to anyone and gives nothing."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_TEXT_LIMIT].decode("utf-8", "replace").strip()
        return Complaint() if text.startswith("<") else Complaint(text)
    return complaint_of(value)


def complaint_of(value: Any) -> Complaint:
    """`{error: {message, code, type}}`, `{error: text}`, `{message}`, `{detail}`, `{errors: […]}`, or a list of these."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return Complaint(_text(value))
    inner = value.get("error") or value.get("base_resp")
    if isinstance(inner, dict):
        return _words(inner)
    if isinstance(inner, str):
        return _words({"message": inner, "code": value.get("code"), "type": value.get("type")})
    errors = value.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return _words(errors[0])
    return _words(value)


def _words(value: Mapping[str, Any]) -> Complaint:
    message = value.get("message")
    if message is None:
        message = value.get("detail") or value.get("error_msg") or value.get("status_msg") or value.get("msg")
    return Complaint(
        _text(message),
        _text(value.get("code") or value.get("status_code") or value.get("error_code")),
        _text(value.get("type") or value.get("error_type")),
    )


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, str):
        return value[:_TEXT_LIMIT]
    if isinstance(value, dict | list):
        try:
            return orjson.dumps(value)[:_TEXT_LIMIT].decode("utf-8", "ignore")
        except orjson.JSONEncodeError:
            return ""
    return str(value)[:_TEXT_LIMIT]


# In this order: the first pattern that fits the code and the words of an answer with such a status decides.
_BY_WORDS: tuple[tuple[frozenset[int], re.Pattern[str], FailureClass], ...] = (
    (frozenset({400, 404, 413, 422}), _CONTEXT, FailureClass.CONTEXT_LENGTH_EXCEEDED),
    (frozenset({400, 402, 403, 429}), _CREDIT, FailureClass.INSUFFICIENT_CREDITS),
    (frozenset({400, 422}), _MISWRITTEN, FailureClass.UPSTREAM),
    (frozenset({400, 403, 422}), _CONTENT, FailureClass.CONTENT_POLICY),
    (frozenset({400}), _KEY, FailureClass.AUTHENTICATION),
    (frozenset({400, 404, 422}), _MODEL, FailureClass.NOT_FOUND),
)


def _class_of(status: int, complaint: Complaint) -> FailureClass:
    words = f"{complaint.code} {complaint.kind} {complaint.message}"
    for statuses, pattern, failure_class in _BY_WORDS:
        if status in statuses and pattern.search(words):
            return failure_class
    if status == 429 and re.search("engine_overloaded", words):
        return FailureClass.OVERLOADED
    if status in {400, 429, 500} and complaint.code in _BY_NUMBER:
        return _BY_NUMBER[complaint.code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FailureClass.INVALID_REQUEST if 400 <= status < 500 else FailureClass.UPSTREAM


def _elsewhere(failure_class: FailureClass, complaint: Complaint) -> bool | None:
    if failure_class not in {FailureClass.INVALID_REQUEST, FailureClass.REQUEST_TOO_LARGE}:
        return None
    return _LIMIT.search(f"{complaint.code} {complaint.message}") is not None
