"""What token servers are asked, over the one HTTP client of the service.

Owns how long and how much. Does not know what is asked or what an answer means (credentials/exchange.py does).
Invariant: it ends in time, and a failure shows no address.
"""

import asyncio
from collections.abc import Mapping

from services.provider_adapter.credentials.port import Answer
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, ProviderFailedError

_CONNECT_S = 5.0
_ANSWER_S = 10.0
_MOST_BYTES = 64 * 1024


class TokenCalls:
    def __init__(self, calls: HttpCalls) -> None:
        self._calls = calls

    async def ask(self, url: str, headers: Mapping[str, str], body: bytes, proxy: str) -> Answer:
        """See `Ask`."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._ask(url, headers, body, proxy)
        except TimeoutError:
            message = "The token server did not answer in time."
            raise ProviderFailedError(Failure(FailureClass.TIMEOUT, message=message, phase=Phase.CONNECT)) from None
        except ProviderFailedError:
            message = "The token server could not be reached."
            raise ProviderFailedError(Failure(FailureClass.UPSTREAM, message=message, phase=Phase.CONNECT)) from None

    async def _ask(self, url: str, headers: Mapping[str, str], body: bytes, proxy: str) -> Answer:
        call = await self._calls.post(url, headers, body, _CONNECT_S, proxy)
        answer = await call.read_some(_MOST_BYTES)
        return Answer(call.status, answer[:_MOST_BYTES])
