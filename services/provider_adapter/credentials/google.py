"""Access tokens for Google Cloud, from a service account's key or a user's refresh token.

Owns what Google is asked; google-auth does the talking, in a thread. Does not keep the token: tokens.py does.
Invariant: a key goes to nobody but Google's token server, or one at the very host that the credential is for (a
recording, a test); a failure shows none of it.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson

from services.provider_adapter.credentials.tokens import Token, TokenAuthorizer
from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, ProviderFailedError

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TOKEN_SERVER = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)
_ANSWER_S = 10.0


def google_authorizer(credential: str, base_url: str, proxy: str = "") -> "GoogleAuthorizer | None":
    """Of a key in JSON; None for an API key or an access token, which is a header as it is."""
    if not credential.startswith("{"):
        return None
    return GoogleAuthorizer(partial(_ask_google, credential, base_url, proxy))


class GoogleAuthorizer(TokenAuthorizer):
    """See `Authorizer`.

    Args:
        ask: gets a token; runs in a thread, raises ProviderFailedError.
        now_s: unix seconds.
    """

    def __init__(self, ask: Callable[[], Token], now_s: Callable[[], float] = time.time) -> None:
        super().__init__(partial(asyncio.to_thread, ask), now_s)


def _ask_google(credential: str, base_url: str, proxy: str) -> Token:
    """Asks the token server; blocks.

    Raises:
        ProviderFailedError: the credential is of no use, or the server cannot be reached.
    """
    # Loaded by those alone who call Google Cloud: a quarter of a second.
    from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415
    from google.auth.transport.requests import Request  # noqa: PLC0415
    from requests import Session  # noqa: PLC0415

    with Session() as session:
        session.trust_env = False
        if proxy:
            session.proxies = {"http": proxy, "https": proxy}
        try:
            loaded = _loaded(credential, base_url)
            loaded.refresh(partial(Request(session), timeout=_ANSWER_S))
        except TransportError:
            message = "Google's token server could not be reached."
            failure = Failure(FailureClass.UPSTREAM, message=message, phase=Phase.CONNECT)
            raise ProviderFailedError(failure) from None
        except GoogleAuthError as error:
            if error.retryable:
                raise ProviderFailedError(
                    Failure(FailureClass.UPSTREAM, message="Google's token server failed.")
                ) from None
            raise _useless("Google did not accept the credential.") from None
        except (ValueError, TypeError, KeyError):
            raise _useless("The credential is no key that Google knows.") from None
    if not loaded.token:
        raise _useless("Google gave no token for the credential.")
    until = loaded.expiry.replace(tzinfo=UTC).timestamp() if loaded.expiry is not None else time.time()
    return Token(str(loaded.token), until)


def _loaded(credential: str, base_url: str) -> Any:
    from google.oauth2.credentials import Credentials as UserCredentials  # noqa: PLC0415
    from google.oauth2.service_account import Credentials as AccountCredentials  # noqa: PLC0415

    fields = orjson.loads(credential)
    server = fields.get("token_uri")
    fields["token_uri"] = server if _is_at(server, base_url) else _TOKEN_SERVER
    match fields.get("type"):
        case "service_account":
            return AccountCredentials.from_service_account_info(fields, scopes=_SCOPES)  # type: ignore[no-untyped-call]
        case "authorized_user":
            return UserCredentials(
                None,
                refresh_token=fields["refresh_token"],
                token_uri=fields["token_uri"],
                client_id=fields["client_id"],
                client_secret=fields["client_secret"],
                scopes=_SCOPES,
            )  # type: ignore[no-untyped-call]
        case _:
            raise ValueError


def _is_at(server: Any, base_url: str) -> bool:
    if not isinstance(server, str):
        return False
    given, own = urlsplit(server), urlsplit(base_url)
    return (given.scheme, given.netloc) == (own.scheme, own.netloc)


def _useless(message: str) -> ProviderFailedError:
    return ProviderFailedError(Failure(FailureClass.AUTHENTICATION, message=message))
