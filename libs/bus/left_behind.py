"""Spools whose owners are gone for good: found, and forwarded until they are empty.

Owns which folders these are and patience with them. Does not own files: each is opened as the spool that it is, behind
its lock. Invariant: a spool that a living process holds is left to it.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from libs.bus.port import EventLog
from libs.bus.segments import segments_in
from libs.bus.spool import Spool, SpoolSettings
from libs.errors import AppError
from libs.logs import Throttled, facts
from libs.retry import Backoff

_RETRY = Backoff(first_s=0.5, cap_s=5.0)
_LOOK_S = 60.0

_log = logging.getLogger(__name__)


def spools_left_behind(root: Path, in_use: Collection[Path]) -> tuple[Path, ...]:
    """Spools in `root` and right below it that are not among those in use; reads the disk."""
    if not root.is_dir():
        return ()
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    return tuple(folder for folder in folders if folder not in in_use and segments_in(folder))


async def forward_left_behind(folders: Sequence[Path], event_log: EventLog, settings: SpoolSettings) -> None:
    """Publishes what waits in these spools, one after the other; then does nothing until it is cancelled."""
    for folder in folders:
        await _forward(folder, event_log, settings)
    await asyncio.Event().wait()


async def _forward(folder: Path, event_log: EventLog, settings: SpoolSettings) -> None:
    spool = await _opened(folder, settings)
    forwarding = asyncio.ensure_future(spool.forward(event_log))
    try:
        if spool.depth.records:
            _log.warning(
                "forwarding a spool that was left behind", extra=facts(folder=str(folder), records=spool.depth.records)
            )
        while not await spool.drain(_LOOK_S):
            pass
    finally:
        forwarding.cancel()
        with suppress(asyncio.CancelledError):
            await forwarding
        await spool.close()


async def _opened(folder: Path, settings: SpoolSettings) -> Spool:
    """Its owner may be on the way down still, and a disk may come back."""
    throttled, delays = Throttled(_log), _RETRY.delays()
    while True:
        try:
            return await Spool.open(folder, settings)
        except (AppError, OSError) as error:
            throttled.warning("a spool that was left behind cannot be opened", folder=str(folder), error=repr(error))
        await asyncio.sleep(next(delays))
