"""The kinds of processes that this shape alone has under supervision: our own modules, Kafka.

Owns how each is started and stopped. Invariant: children of ours end with us; a Kafka that a killed run left behind is
ended by the next start.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from libs.bus.kafka_process import KafkaProcess
from services.launch.settings import environment

_STOP_LIMIT_S: Final = 15.0


class ModulePart:
    """`python -m <module>` with a log file of its own."""

    def __init__(self, kind: str, name: str, module: str, values: Mapping[str, str], data_dir: Path) -> None:
        self.kind = kind
        self.name = name
        self._module = module
        self._values = values
        self._log_path = data_dir / "logs" / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> int:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.launch.child", self._module,
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log,
                env={**environment(), **self._values}, start_new_session=True,
            )  # fmt: skip
        return self._process.pid

    async def wait(self) -> str:
        assert self._process is not None
        return f"exit status {await self._process.wait()}"

    async def stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class KafkaPart:
    """One Kafka node; one that a killed run left on the folder is ended first, for nobody would end it with us."""

    kind = "kafka"
    name = "kafka"

    def __init__(self, node: KafkaProcess) -> None:
        self._node = node
        self._pid_file = node.data_dir / "kafka.pid"

    async def start(self) -> int:
        await asyncio.to_thread(self._end_left_behind)
        await asyncio.to_thread(self._node.start)
        assert self._node.pid is not None
        self._pid_file.write_text(f"{self._node.pid}\n")
        return self._node.pid

    async def wait(self) -> str:
        while self._node.is_running():  # noqa: ASYNC110 (a Popen tells nobody when it ends)
            await asyncio.sleep(0.1)
        return "broker gone"

    async def stop(self) -> None:
        await asyncio.to_thread(self._node.stop)

    def _end_left_behind(self) -> None:
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if str(self._node.data_dir).encode() not in command or self._node.pid == pid:
            return
        os.kill(pid, signal.SIGKILL)
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
