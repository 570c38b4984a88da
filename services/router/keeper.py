"""Keeps what is on offer in step with the operator's overlay files and with the calendar.

Owns when to look and when to change the offer. Does not know what the files mean (core/overlay.py does).
Invariants: the offer changes whole, between two requests; files that are wrong change nothing and are named in the log.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final, Protocol

from libs.clock import Clock
from libs.logs import facts
from services.router.core.catalogue import Catalogue
from services.router.core.fields import CatalogueError
from services.router.core.overlay import apply_overlays
from services.router.core.timeline import as_of, next_change_s

logger = logging.getLogger(__name__)

MAX_FILES: Final = 1000
MAX_FILE_BYTES: Final = 16 * 1024 * 1024

Signature = tuple[tuple[str, int, int], ...]


class OverlayFolder:
    """The `*.json` files of one folder; None: there is no folder and no file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def signature(self) -> Signature:
        """Differs when a file came, went or was written.

        Raises:
            CatalogueError: the folder cannot be read, or holds too much.
        """
        return tuple((one.name, stat.st_mtime_ns, stat.st_size) for one, stat in self._files())

    def read(self) -> dict[str, bytes]:
        """Raises CatalogueError."""
        try:
            return {one.name: one.read_bytes() for one, _ in self._files()}
        except OSError as error:
            raise CatalogueError(str(self._path), "", "", f"cannot be read: {error.strerror}") from None

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        if self._path is None:
            return []
        try:
            found = sorted(one for one in self._path.iterdir() if one.suffix == ".json")
            files = [(one, one.stat()) for one in found[: MAX_FILES + 1]]
        except OSError as error:
            raise CatalogueError(str(self._path), "", "", f"cannot be read: {error.strerror}") from None
        if len(files) > MAX_FILES:
            raise CatalogueError(str(self._path), "", "", f"holds more than {MAX_FILES} files")
        for one, stat in files:
            if stat.st_size > MAX_FILE_BYTES:
                raise CatalogueError(one.name, "", "", f"is larger than {MAX_FILE_BYTES} bytes")
        return files


class Display(Protocol):
    async def show(self, catalogue: Catalogue) -> None:
        """Puts this catalogue on offer, without holding up requests."""
        ...


class CatalogueKeeper:
    """Args:
    drops_ended: endpoints are really called, so that those whose day has come are of no use.
    """

    def __init__(
        self, base: Catalogue, folder: OverlayFolder, clock: Clock, *, drops_ended: bool, interval_s: float
    ) -> None:
        self._base = base
        self._folder = folder
        self._clock = clock
        self._drops_ended = drops_ended
        self._interval_s = interval_s
        self._signature: Signature = ()
        self._overlaid = base
        self._next_change_s: int | None = None
        self._problem = ""

    def load(self) -> Catalogue:
        """What is to be on offer at the start.

        Raises:
            CatalogueError: an overlay is wrong, and there is nothing older that could stay.
        """
        self._signature = self._folder.signature()
        self._overlaid = apply_overlays(self._base, self._folder.read())
        return self._now()

    async def run(self, display: Display) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look(display)

    async def look(self, display: Display) -> None:
        """Looks once, and changes the offer if files or the calendar say so."""
        try:
            overlaid = await asyncio.to_thread(self._changed)
        except CatalogueError as error:
            if str(error) != self._problem:
                logger.error("overlay refused, the catalogue stays", extra=facts(problem=str(error)))  # noqa: TRY400 (a message for the operator)
            self._problem = str(error)
            return
        is_due = self._next_change_s is not None and self._clock.now_ms() // 1000 >= self._next_change_s
        if overlaid is None and not is_due:
            return
        self._overlaid = overlaid or self._overlaid
        self._problem = ""
        now = await asyncio.to_thread(self._now)
        await display.show(now)
        logger.info("catalogue changed", extra=facts(version=now.version, by="overlay" if overlaid else "calendar"))

    def _changed(self) -> Catalogue | None:
        """A wrong file is complained of once, not at every look."""
        signature = self._folder.signature()
        if signature == self._signature:
            return None
        self._signature = signature
        return apply_overlays(self._base, self._folder.read())

    def _now(self) -> Catalogue:
        now_s = self._clock.now_ms() // 1000
        self._next_change_s = next_change_s(self._overlaid, now_s)
        return as_of(self._overlaid, now_s, drops_ended=self._drops_ended)
