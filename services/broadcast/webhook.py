"""The webhook: one HTTP request per payload, over one session.

Owns the session and the translation of its exceptions. Does not retry. Invariant: nothing of the address or of the
headers, which may hold credentials, leaves this module in an error.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from libs.money import NANO_PER_USD, format_usd
from libs.traceparent import TRACEPARENT
from services.broadcast.ports import Answer, DestinationUnreachableError
from services.broadcast.settings import WebhookSettings

_MAX_CONNECTIONS = 16


class Webhook:
    """A `Destination`."""

    def __init__(self, session: ClientSession, settings: WebhookSettings) -> None:
        self._session = session
        self._url = URL(settings.url.get_secret_value())
        self._method = settings.method
        self._headers = {
            **{name: secret.get_secret_value() for name, secret in settings.headers.items()},
            "Content-Type": "application/json",
        }

    async def send(self, payload: Mapping[str, Any], *, traceparent: str, timeout_s: float) -> Answer:
        headers = {**self._headers, TRACEPARENT: traceparent} if traceparent else self._headers
        try:
            async with self._session.request(
                self._method,
                self._url,
                data=encoded(payload),
                headers=headers,
                timeout=ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                # The body says nothing that matters; a connection with one still on its way is closed.
                return Answer(response.status, response.headers.get("Retry-After"))
        except TimeoutError:
            raise DestinationUnreachableError("timed out") from None
        except (aiohttp.ClientError, OSError) as error:
            raise DestinationUnreachableError(f"no connection ({type(error).__name__})") from None


@asynccontextmanager
async def open_webhook(settings: WebhookSettings | None) -> AsyncIterator[Webhook | None]:
    """The destination for the length of the block; None if none is set."""
    if settings is None:
        yield None
        return
    connector = TCPConnector(limit=_MAX_CONNECTIONS)
    async with ClientSession(
        connector=connector, cookie_jar=DummyCookieJar(), headers={"User-Agent": "switchyard-broadcast"}
    ) as session:
        yield Webhook(session, settings)


def encoded(payload: Mapping[str, Any]) -> bytes:
    """The payload as JSON, with amounts of money as exact decimal numbers."""
    return orjson.dumps(payload, default=_exact)


def _exact(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(format_usd(int(value * NANO_PER_USD)))
    raise TypeError(f"no JSON for {type(value).__name__}")
