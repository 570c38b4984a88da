"""A child ends with its parent, however the parent dies."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import signal, sys, time

def end(*_):
    print("told to end", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print(" ".join(sys.argv[1:]), __name__, flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some_program.py").write_text(PROGRAM)
    return tmp_path


@asynccontextmanager
async def child(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.launch.child", "some_program", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


async def test_module_runs_as_main_with_its_arguments(folder: Path) -> None:
    async with child(folder, "a", "b") as process:
        assert await line_of(process) == "a b __main__"


async def test_child_is_told_to_end_when_the_pipe_closes(folder: Path) -> None:
    async with child(folder) as process:
        await line_of(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await line_of(process) == "told to end"
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_child_ends_when_its_parent_is_killed(folder: Path) -> None:
    parent_program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'services.launch.child', 'some_program'],"
        " stdin=subprocess.PIPE)\n"
        "print('parent', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent_program, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
    )  # fmt: skip
    try:
        said = {await line_of(parent), await line_of(parent)}
        assert said == {"parent", "__main__"}
    finally:
        parent.kill()
    assert await line_of(parent) == "told to end"
    assert await line_of(parent) == ""
    await parent.wait()
