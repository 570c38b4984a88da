"""Connections to providers before the first request needs them.

Owns that one round at the start. Sends no credential. Invariant: it ends in time, and whoever cannot be reached is only
logged: the first request will say so itself.
"""

import asyncio
import logging
from collections.abc import Iterable

from yarl import URL

from libs.logs import facts
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.registry import Registry

logger = logging.getLogger(__name__)

_LIMIT_S = 2.0
_MOST_BYTES = 65_536
_HEADERS = {"User-Agent": "switchyard", "Accept-Encoding": "identity"}


async def warm_up(calls: HttpCalls, registry: Registry, slugs: Iterable[str]) -> None:
    """Asks the host of each provider for its front page, whatever that is."""
    async with asyncio.TaskGroup() as group:
        for slug in slugs:
            group.create_task(_reach(calls, registry, slug))


async def _reach(calls: HttpCalls, registry: Registry, slug: str) -> None:
    try:
        upstream = registry.find(slug)
        async with asyncio.timeout(_LIMIT_S):
            call = await calls.get(str(URL(upstream.base_url).origin()), _HEADERS, _LIMIT_S, upstream.proxy)
            try:
                size = 0
                while size < _MOST_BYTES and (part := await call.read()):
                    size += len(part)
            finally:
                call.close(complete=call.at_end)
    except (ProviderFailedError, TimeoutError) as error:
        logger.warning("provider not reached at the start", extra=facts(provider=slug, error=type(error).__name__))
