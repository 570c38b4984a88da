"""Replies that are somewhere else than the answer to the request: asked for, looked at, told to stop.

Owns which addresses are followed. Does not know what is found there (a protocol's `TakesSteps` does). Invariant: the
credential goes to the host it was set for; the provider's other hosts get none, and no host beside them is asked. Of a
host that was moved, all that its answers name is asked where it was moved to.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from services.provider_adapter.http_calls import Call, HttpCalls
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import SettlesLater, Step
from services.provider_adapter.registry import Upstream

_CONNECT_S = 5.0
_STOP_S = 10.0
_SETTLE_S = 3.0
_LOOKS = 5
_BETWEEN_LOOKS_S = 0.2
_MOST_BYTES = 64 * 1024 * 1024
_FOREIGN_HEADERS: Mapping[str, str] = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",
    "User-Agent": "switchyard",
}


def followed(upstream: Upstream, address: str) -> tuple[str, Mapping[str, str]]:
    """Where an address that an answer names is asked, and with which headers.

    Raises:
        ProviderFailedError: it is not the provider's.
    """
    domains = () if upstream.steps is None else upstream.steps.domains
    try:
        base, given = urlsplit(upstream.base_url), urlsplit(address)
        host, is_plain = given.hostname or "", given.port is None and given.username is None
    except ValueError:
        raise _not_theirs() from None
    if (given.scheme, given.netloc) == (base.scheme, base.netloc):
        return address, upstream.headers
    if given.scheme != "https" or not is_plain or not host.endswith(domains):
        raise _not_theirs()
    if (base.hostname or "").endswith(domains):
        return address, _FOREIGN_HEADERS
    path = base.path.removesuffix("/v1") + given.path
    query = f"?{given.query}" if given.query else ""
    return f"{base.scheme}://{base.netloc}{path}{query}", upstream.headers


class StepCalls:
    """Asks along the steps of a reply."""

    def __init__(self, calls: HttpCalls) -> None:
        self._calls = calls
        self._stopping: set[asyncio.Task[None]] = set()

    async def get(self, upstream: Upstream, address: str, connect_s: float = _CONNECT_S) -> Call:
        """An answer's head.

        Raises:
            ProviderFailedError: the address is not the provider's, or no answer came.
        """
        url, headers = followed(upstream, address)
        return await self._calls.get(url, headers, connect_s, upstream.proxy)

    async def settle(self, upstream: Upstream, step: Step, decoder: SettlesLater) -> None:
        """Looks at the reply until the decoder has what it wants, or it is no use."""
        if not step.status:
            return
        with suppress(TimeoutError, ProviderFailedError):
            async with asyncio.timeout(_SETTLE_S):
                for _ in range(_LOOKS):
                    body = await self._look(upstream, step.status)
                    if decoder.settle(body):
                        return
                    await asyncio.sleep(_BETWEEN_LOOKS_S)

    def stop(self, upstream: Upstream, address: str) -> None:
        """Tells the provider that nobody waits any longer; does not wait itself."""
        if address:
            task = asyncio.create_task(self._stop(upstream, address))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _look(self, upstream: Upstream, address: str) -> bytes:
        call = await self.get(upstream, address)
        return await call.read_some(_MOST_BYTES)

    async def _stop(self, upstream: Upstream, address: str) -> None:
        with suppress(TimeoutError, ProviderFailedError):
            async with asyncio.timeout(_STOP_S):
                url, headers = followed(upstream, address)
                call = await self._calls.post(url, headers, b"", _CONNECT_S, upstream.proxy)
                call.close(complete=False)


def _not_theirs() -> ProviderFailedError:
    return ProviderFailedError(
        Failure(FailureClass.UPSTREAM, 200, "The provider named an address that is not its own.")
    )
