"""The process that owns a spool is killed in the middle of appending."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from libs.bus.memory import MemoryEventLog
from libs.bus.spool import Spool

_ROOT = Path(__file__).resolve().parents[3]
_APPENDER = """
import asyncio, sys
from pathlib import Path
from libs.bus.port import Record
from libs.bus.spool import Spool, SpoolSettings

async def append(spool, appender):
    for number in range(1_000_000):
        event_id = f"{appender}-{number}"
        await spool.append(Record("t", str(appender), b"x" * (number % 700), {"event-id": event_id}))
        sys.stdout.write(event_id + "\\n")
        sys.stdout.flush()

async def main():
    spool = await Spool.open(Path(sys.argv[1]), SpoolSettings(segment_bytes=64 * 1024))
    await asyncio.gather(*(append(spool, n) for n in range(8)))

asyncio.run(main())
"""


async def test_nothing_that_was_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for wanted in (300, 1000, 37):
        acknowledged |= await asyncio.to_thread(_append_until_killed, tmp_path, wanted)
        spool = await Spool.open(tmp_path)  # and nothing hinders the next run
        assert spool.depth.records >= len(acknowledged)
        await spool.close()
    log = MemoryEventLog()
    spool = await Spool.open(tmp_path)
    forwarding = asyncio.create_task(spool.forward(log))
    assert await spool.drain(30)
    forwarding.cancel()
    await asyncio.wait({forwarding})
    await spool.close()
    assert {r.event_id for r in log.records("t")} >= acknowledged


def _append_until_killed(folder: Path, wanted: int) -> set[str]:
    command = [sys.executable, "-c", _APPENDER, str(folder)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        deadline_s = time.monotonic() + 30
        told: list[str] = []
        for line in process.stdout:
            told.append(line.strip())
            if len(told) >= wanted:
                break
            assert time.monotonic() < deadline_s
        process.kill()
        rest = process.stdout.read()
    whole = rest[: rest.rfind("\n") + 1].split()
    return {*told, *whole}
