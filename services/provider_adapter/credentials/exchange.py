"""Keys that a host's token server exchanges for tokens: GigaChat's and IBM Cloud's.

Owns what each server is asked and how its answer is read. Does not send (an `Ask` does) or keep tokens (tokens.py does).
Invariant: a key goes to the token server that belongs to its host and to nobody else; a failure shows neither key, token
nor address, and of what the server said no more than its code.

Sources: the GigaChat SDK (ai-forever/gigachat, `api/auth.py`: Basic, `RqUID`, the scope as a form; `access_token` with
`expires_at` in milliseconds, or `tok` with `exp`), IBM Cloud's IAM token API (`grant_type`, `apikey`; `expires_in`,
`expiration` in seconds).
"""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from services.provider_adapter.credentials.port import Answer, Ask, Place
from services.provider_adapter.credentials.tokens import Token, TokenAuthorizer
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError

_TOKEN_IN_BASE64 = "eyJ"  # noqa: S105 (how a token begins)
_APIKEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
# Where the answer does not say how long a token holds.
_SHORTEST_S = 300.0
_MILLISECONDS_FROM = 1e11
_REFUSED = frozenset({400, 401, 403})
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}")
_CODE = re.compile(r"[A-Z0-9]{1,16}")


class Question(NamedTuple):
    """What a token server is asked; `body` is a form."""

    headers: Mapping[str, str]
    body: bytes


def gigachat_question(credential: str, place: Place) -> Question:
    """The credential is the authorization key, in base64 as the developer's page gives it."""
    headers = {"Authorization": f"Basic {credential}", "RqUID": str(uuid.uuid4())}
    return Question(headers, _form(scope=place.account.get("scope", "")))


def ibm_question(credential: str, place: Place) -> Question:  # noqa: ARG001 (the same everywhere)
    return Question({}, _form(grant_type=_APIKEY_GRANT, apikey=credential))


def exchanging_authorizer(
    credential: str,
    place: Place,
    *,
    question: Callable[[str, Place], Question],
    ask: Ask,
    now_s: Callable[[], float] = time.time,
) -> TokenAuthorizer | None:
    """Of a key; None for what is a token already, and where there is no token server: these are bearers as they are."""
    if not place.token_url or credential.startswith(_TOKEN_IN_BASE64):
        return None

    async def exchange() -> Token:
        headers, body = question(credential, place)
        form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = await ask(place.token_url, {**form, **headers, "User-Agent": "switchyard"}, body, place.proxy)
        return token_in(answer, now_s())

    return TokenAuthorizer(exchange, now_s)


gigachat_authorizer = partial(exchanging_authorizer, question=gigachat_question)
ibm_authorizer = partial(exchanging_authorizer, question=ibm_question)


def token_in(answer: Answer, now_s: float) -> Token:
    """The token that an answer gives.

    Raises:
        ProviderFailedError: it gives none.
    """
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        value = None
    fields = value if isinstance(value, dict) else {}
    if answer.status in _REFUSED:
        raise _failed(FailureClass.AUTHENTICATION, answer, "The token server did not accept the credential.", fields)
    if answer.status == 429:
        raise _failed(FailureClass.RATE_LIMITED, answer, "The token server is rate limiting requests.")
    if not 200 <= answer.status < 300:
        raise _failed(FailureClass.UPSTREAM, answer, "The token server failed.")
    text = fields.get("access_token") or fields.get("tok")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise _failed(FailureClass.UPSTREAM, answer, "The token server gave no token.")
    return Token(text, _until(fields, now_s))


def _until(fields: Mapping[str, Any], now_s: float) -> float:
    """A lifetime goes before a moment: clocks differ."""
    lasts_s = _number(fields.get("expires_in"))
    if lasts_s:
        return now_s + lasts_s
    moment = next((at for name in ("expires_at", "exp", "expiration") if (at := _number(fields.get(name)))), None)
    if moment is None:
        return now_s + _SHORTEST_S
    return moment / 1000 if moment >= _MILLISECONDS_FROM else moment


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        value = int(value)
    return float(value) if type(value) in {int, float} and 0 < value < 1e15 else None


def _form(**fields: str) -> bytes:
    return urlencode(fields).encode()


def _failed(
    failure_class: FailureClass, answer: Answer, message: str, fields: Mapping[str, Any] = MappingProxyType({})
) -> ProviderFailedError:
    """The server's own code is told; its words may hold anything."""
    code = str(fields.get("errorCode") or fields.get("code") or "")
    return ProviderFailedError(Failure(failure_class, answer.status, message, code if _CODE.fullmatch(code) else ""))
