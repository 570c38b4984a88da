"""The operator's own upstream: asks again and again which models it lists, and puts those on offer.

Owns when to ask and when to change the offer. Does not decide what is offered (core/offer.py does).
Invariants: once a list was seen, a failure to get one changes nothing; an upstream that stays unreachable at the start
stands in for the whole catalogue, so that requests say so rather than wait.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import repeat
from typing import Final

from switchyard.provider.v1.provider_pb2 import ListUpstreamModelsRequest
from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceStub

from libs.errors import AppError
from libs.logs import Throttled, facts
from libs.retry import Backoff
from services.router.core.catalogue import Catalogue
from services.router.core.offer import UpstreamTerms, offer_upstream
from services.router.handlers import RouterHandlers
from services.router.ports import UpstreamModels

logger = logging.getLogger(__name__)

_UNREACHABLE_AT_MOST: Final = 5
"""So often in a row, some seconds in all, the start waits for an upstream that gives no answer."""


class AdapterUpstreamModels:
    """The list as the adapter fetches it."""

    def __init__(self, stub: ProviderAdapterServiceStub, timeout_s: float = 5.0) -> None:
        self._stub = stub
        self._timeout_s = timeout_s

    async def listed(self) -> Sequence[str] | None:
        response = await self._stub.ListUpstreamModels(ListUpstreamModelsRequest(), timeout=self._timeout_s)
        return list(response.model_ids) if response.listed else None


class UpstreamWatcher:
    def __init__(
        self,
        upstream: UpstreamModels,
        handlers: RouterHandlers,
        catalogue: Catalogue,
        terms: UpstreamTerms,
        interval_s: float,
        backoff: Backoff | None = None,
    ) -> None:
        self._upstream = upstream
        self._handlers = handlers
        self._catalogue = catalogue
        self._terms = terms
        self._interval_s = interval_s
        self._backoff = backoff or Backoff()
        self._seen: list[str] | None = None
        self._unreachable = 0
        self._throttled = Throttled(logger, interval_s=30.0)

    async def run(self) -> None:
        """Asks until cancelled; soon again until the first answer, then at the interval."""
        delays = self._backoff.delays()
        while True:
            await self.refresh()
            if self._handlers.is_offering:
                delays = repeat(self._interval_s)
            await asyncio.sleep(next(delays))

    async def show(self, catalogue: Catalogue) -> None:
        """Offers the same models of another catalogue."""
        self._catalogue = catalogue
        if self._seen is not None:
            self._handlers.offer(offer_upstream(catalogue, self._seen, self._terms))
        elif self._handlers.is_offering:
            self._handlers.offer(catalogue)

    async def refresh(self) -> None:
        """Asks once, and changes the offer if the answer is new."""
        try:
            listed = await self._upstream.listed()
        except AppError as error:
            self._throttled.warning("upstream models cannot be asked for", reason=error.reason)
            self._unreachable += error.reason == "UPSTREAM_UNREACHABLE"
            if self._unreachable < _UNREACHABLE_AT_MOST:
                return
            listed = None
        if listed is None:
            if not self._handlers.is_offering:
                self._handlers.offer(self._catalogue)
            return
        if self._seen == listed:
            return
        self._seen = list(listed)
        self._handlers.offer(offer_upstream(self._catalogue, listed, self._terms))
        logger.info("upstream models changed", extra=facts(count=len(listed)))
