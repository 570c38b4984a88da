"""What can go wrong at a provider: the classes, what each means to a caller, and how free text is made safe.

Owns the class table (reference wire facts §0) and scrubbing. Does not read any provider's body: each protocol does.
Invariant: nothing in a failure shows a credential or an address.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from libs.errors import AppError, Kind

PROVIDER_MESSAGE_LENGTH = 500
_PROVIDER_CODE_LENGTH = 100
_RETRY_AFTER_LIMIT_S = 86_400.0


class FailureClass(StrEnum):
    INVALID_REQUEST = "invalid_request"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CONTENT_POLICY = "content_policy"
    AUTHENTICATION = "authentication"
    INSUFFICIENT_CREDITS = "insufficient_credits"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    REQUEST_TOO_LARGE = "request_too_large"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    UPSTREAM = "upstream"


class Phase(StrEnum):
    """Where an attempt was when it failed."""

    CONNECT = "connect"
    FIRST_EVENT = "first_event"
    IDLE = "idle"
    TOTAL = "total"


class _Meaning(NamedTuple):
    kind: Kind
    elsewhere: bool
    text: str


# A provider's 401 and 402 are about the operator's credential, not the caller's: they surface as a bad gateway.
_MEANINGS: Mapping[FailureClass, _Meaning] = {
    FailureClass.INVALID_REQUEST: _Meaning(Kind.INVALID, False, "The provider refused the request as invalid."),
    FailureClass.CONTEXT_LENGTH_EXCEEDED: _Meaning(Kind.INVALID, True, "The request exceeds the context length."),
    FailureClass.CONTENT_POLICY: _Meaning(Kind.FORBIDDEN, False, "The provider refused the content of the request."),
    FailureClass.AUTHENTICATION: _Meaning(Kind.UPSTREAM, True, "The provider did not accept the gateway's credential."),
    FailureClass.INSUFFICIENT_CREDITS: _Meaning(
        Kind.UPSTREAM, True, "The gateway's account at the provider is exhausted."
    ),
    FailureClass.PERMISSION: _Meaning(Kind.FORBIDDEN, True, "The provider does not permit the request."),
    FailureClass.NOT_FOUND: _Meaning(Kind.MISSING, True, "The provider does not know the model."),
    FailureClass.REQUEST_TOO_LARGE: _Meaning(Kind.TOO_LARGE, False, "The request is too large for the provider."),
    FailureClass.RATE_LIMITED: _Meaning(Kind.RATE_LIMITED, True, "The provider is rate limiting requests."),
    FailureClass.OVERLOADED: _Meaning(Kind.OVERLOADED, True, "The provider is overloaded."),
    FailureClass.TIMEOUT: _Meaning(Kind.TIMEOUT, True, "The provider took too long."),
    FailureClass.UPSTREAM: _Meaning(Kind.UPSTREAM, True, "The provider failed."),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        failure_class: decides everything a program does about it.
        status: the provider's HTTP status; 0 when there was none.
        message: the provider's own words, not yet safe to show; `to_error` scrubs them.
        code: the provider's own code.
        retry_after_s: the provider's own hint.
        phase: of time-outs and broken connections.
        elsewhere: overrides the class's word on whether another endpoint may succeed.
        again: the provider's own word on whether the same request may be sent to it again.
        error_type: the reference's name (behaviour-facts §5.3), where the class says too little.
    """

    failure_class: FailureClass
    status: int = 0
    message: str = ""
    code: str = ""
    retry_after_s: float | None = None
    phase: Phase | None = None
    elsewhere: bool | None = None
    again: bool | None = None
    error_type: str = ""

    def to_error(self, *, after_first_chunk: bool = False, secret: str = "") -> AppError:
        """The error as it leaves this service; `secret` is the credential in use, which must not come along."""
        meaning = _MEANINGS[self.failure_class]
        elsewhere = meaning.elsewhere if self.elsewhere is None else self.elsewhere
        metadata = {
            "class": str(self.failure_class),
            "status": str(self.status),
            "retryable_elsewhere": "true" if elsewhere else "false",
            "after_first_chunk": "true" if after_first_chunk else "false",
        }
        if self.message:
            metadata["provider_message"] = scrub(self.message, secret)
        if self.code:
            metadata["provider_code"] = scrub(self.code, secret)[:_PROVIDER_CODE_LENGTH]
        if self.retry_after_s is not None:
            metadata["retry_after_s"] = f"{self.retry_after_s:g}"
        if self.again is not None:
            metadata["provider_says_again"] = "true" if self.again else "false"
        if self.error_type:
            metadata["error_type"] = self.error_type
        if self.phase is not None:
            metadata["phase"] = str(self.phase)
        kind = Kind.UNPROCESSABLE if self.status == 422 and meaning.kind is Kind.INVALID else meaning.kind
        return AppError(kind, f"PROVIDER_{self.failure_class.upper()}", meaning.text, metadata, self.retry_after_s)


class ProviderFailedError(Exception):
    """Carries a failure up to where it becomes an `AppError`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.failure_class)
        self.failure = failure


_SECRETS = re.compile(
    r"(?i:bearer)\s+\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|nvapi|fw|hf|csk|pplx|r8|ghp|github_pat)[-_][A-Za-z0-9*._-]{6,}"
    r"|\bAIza[A-Za-z0-9_-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9._-]+"
    r"|\borg-[A-Za-z0-9]{8,}"
    r"|(?i:api[-_ ]?key|token|secret|password)(?:\s*[=:]\s*|\s+provided\s*:?\s+)[\"']?[^\s\"',;]{6,}"
    r"|\b[0-9a-f]{32,}\b"
    r"|\b(?=[A-Za-z_+=-]*\d)(?=[a-z0-9_+=-]*[A-Z])(?=[A-Z0-9_+=-]*[a-z])[A-Za-z0-9_+=-]{32,}"
)
_URLS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,15}://\S+")
_ADDRESSES = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"
    r"|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](?::\d{1,5})?"
    r"|(?<![\w:])(?=[0-9A-Fa-f]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{4,45}(?![\w:])"
    r"|\blocalhost\b(?::\d{1,5})?"
    r"|\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:internal|local|lan|svc|cluster|corp|intra)\b(?:\.[A-Za-z]+)*(?::\d{1,5})?"
    r"|\b[A-Za-z][A-Za-z0-9]*(?:[.-][A-Za-z0-9]+)+:\d{2,5}\b"
    r"|(?:(?<=host )|(?<=to )|(?<=at ))[A-Za-z][A-Za-z0-9_]*:\d{2,5}\b"
)


def scrub(text: str, secret: str = "") -> str:
    """One line of at most 500 characters without credentials, URLs and addresses."""
    # What is far beyond the cut cannot matter, and patterns over megabytes cost time.
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * PROVIDER_MESSAGE_LENGTH])
    for part in _parts_of(secret):
        line = line.replace(part, "[key]")
    line = _URLS.sub("[url]", line)
    line = _SECRETS.sub("[key]", line)
    line = _ADDRESSES.sub("[address]", line)
    return " ".join(line.split())[:PROVIDER_MESSAGE_LENGTH]


def _parts_of(secret: str) -> list[str]:
    """What of a credential must not be shown: all of it; of a JSON object, each text, the longest first."""
    if not secret.startswith("{"):
        return [secret] if len(secret) >= 4 else []
    try:
        fields = json.loads(secret)
    except ValueError:
        return [secret]
    texts = [text for text in fields.values() if isinstance(text, str) and len(text) >= 4]
    return sorted(texts, key=len, reverse=True)


def retry_after_s(status: int, headers: Mapping[str, str], now_s: float) -> float | None:
    """The hint in `retry-after-ms` or `retry-after` (seconds or a date), read on 429 and 5xx alone.

    Args:
        status: of the answer.
        headers: with names in lower case, or a case-insensitive mapping.
        now_s: unix seconds, for dates.
    """
    if status != 429 and not 500 <= status <= 599:
        return None
    wait_s = _number(headers.get("retry-after-ms"))
    if wait_s is not None:
        wait_s /= 1000
    else:
        text = headers.get("retry-after")
        wait_s = _number(text)
        if wait_s is None and text:
            wait_s = _seconds_until(text, now_s)
    if wait_s is None:
        return None
    return min(max(wait_s, 0.0), _RETRY_AFTER_LIMIT_S)


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\s*[0-9]{1,12}(?:\.[0-9]{1,9})?\s*", text, re.ASCII):
        return None
    return float(text)


def _seconds_until(text: str, now_s: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp() - now_s
    except (ValueError, OverflowError):
        return None
