"""Standalone's own children, killed: it brings them back and goes on; money is where it was."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.testkit.api import Api, eventually
from tests.testkit.books import check_audit, usage_at_rest
from tests.testkit.shapes import Shape, running


def postmaster(shape: Shape) -> int:
    return int((shape.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def simulator(shape: Shape) -> int:
    assert shape.process is not None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if b"services.provider_simulator" in command and parent == str(shape.process.pid):
                return int(entry.name)
    raise LookupError("no simulator runs")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("child", [postmaster, simulator])
async def test_killed_child_comes_back_at_the_same_address(child: Callable[[Shape], int]) -> None:
    with running("standalone") as shape:
        before = shape.output()
        async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
            first = await api.chat("Hello!")
            os.kill(child(shape), signal.SIGKILL)

            async def serves() -> bool:
                return (await api.chat("Hello!", stream=True)).whole

            await eventually(serves, within_s=60)
            second = await api.chat("Hello!")
            used = await usage_at_rest(api)
            assert used >= first.cost + second.cost
            assert shape.output() == before
        await check_audit(shape)
