"""Keeps the registry in step with the operator's overlay files.

Owns when to look. Does not know what the files mean (overlay.py does). Invariant: who is called how changes whole,
between two attempts; a wrong file changes nothing and is named in the log, once.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from libs.logs import facts
from services.provider_adapter.access import Access
from services.provider_adapter.overlay import OverlayError, Signature, signature_of
from services.provider_adapter.registry import Registry

logger = logging.getLogger(__name__)


class RegistryKeeper:
    """Args:
    find: who can be called now.
    """

    def __init__(self, folder: Path, registry: Registry, find: Callable[[], Access], interval_s: float) -> None:
        self._folder = folder
        self._registry = registry
        self._find = find
        self._interval_s = interval_s
        self._problem = ""
        # What came before the first look is looked at again, which costs little and misses nothing.
        self._signature: Signature = ()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        try:
            access = await asyncio.to_thread(self._changed)
        except OverlayError as error:
            if str(error) != self._problem:
                logger.error("overlay refused, hosts stay", extra=facts(problem=str(error)))  # noqa: TRY400 (a message for the operator)
            self._problem = str(error)
            return
        if access is not None:
            self._problem = ""
            self._registry.adopt(access.hosts, access.credentials)

    def _changed(self) -> Access | None:
        signature = signature_of(self._folder)
        if signature == self._signature:
            return None
        self._signature = signature
        return self._find()
