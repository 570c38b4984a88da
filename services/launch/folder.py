"""The data folder: one Switchyard at a time, in whichever shape.

Owns the folder's lock. Invariant: whoever comes second is refused before it has touched anything; the lock dies with its
process, so that nothing needs clearing away after a kill -9.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

_LOCK_FILE: Final = "switchyard.lock"
_PATIENCE_S: Final = 5.0
"""For one that is just ending."""


class FolderInUseError(OSError):
    """Another Switchyard runs on the folder; the message says which."""


@asynccontextmanager
async def held_folder(data_dir: Path, *, patience_s: float = _PATIENCE_S) -> AsyncIterator[Path]:
    """Makes the folder if need be and keeps it for the length of the block; its absolute path.

    Raises:
        FolderInUseError: another Switchyard runs on it.
        OSError: it cannot be made or written.
    """
    folder, lock = _open(data_dir)
    try:
        await _take(lock, folder, patience_s)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield folder
    finally:
        os.close(lock)


def _open(data_dir: Path) -> tuple[Path, int]:
    folder = data_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder, os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


async def _take(lock: int, folder: Path, patience_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if loop.time() >= deadline_s:
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
                raise FolderInUseError(
                    f"another Switchyard (pid {holder or 'unknown'}) runs on {folder}; "
                    "set SWITCHYARD_DATA_DIR to another folder"
                ) from None
            await asyncio.sleep(0.05)
        else:
            return
