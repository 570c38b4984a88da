"""What a start needs for itself alone: the data folder and the public port."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from services.launch.folder import FolderInUseError, held_folder
from services.launch.ports import PortTakenError, ensure_port_is_free


def listener(host: str) -> socket.socket:
    return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_port_that_somebody_has_is_told_before_anything_starts(host: str) -> None:
    with listener(host) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"{port}.*set PORT"):
            await ensure_port_is_free(host, port)
    await ensure_port_is_free(host, port)
    await ensure_port_is_free(host, 0)


async def test_port_that_a_killed_run_still_has_is_waited_for() -> None:
    with listener("127.0.0.1") as taken:
        port = taken.getsockname()[1]
        waiting = asyncio.create_task(ensure_port_is_free("127.0.0.1", port, patience_s=30.0))
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()
    await waiting


async def test_folder_is_made_and_held_until_the_end(tmp_path: Path) -> None:
    async with held_folder(tmp_path / "new" / "var") as folder:
        assert folder.is_dir()
        with pytest.raises(FolderInUseError, match=f"pid {os.getpid()}.*SWITCHYARD_DATA_DIR"):
            async with held_folder(folder, patience_s=0.0):
                pass
    async with held_folder(folder, patience_s=0.0):
        pass


async def test_folder_of_one_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    async with held_folder(tmp_path):
        waiting = asyncio.create_task(held_folder(tmp_path, patience_s=30.0).__aenter__())
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()
    assert await waiting == tmp_path
