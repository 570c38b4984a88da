"""Which upstream a start uses: the operator's server, providers with keys in the environment, or the simulator.

Owns this one choice, in this order (DESIGN §7). Invariant: the simulator stands in only when nothing real was given.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import orjson

from services.launch.settings import LaunchSettings, environment
from services.launch.supervisor import Supervisor

_START_LIMIT_S: Final = 20.0
_STOP_LIMIT_S: Final = 5.0
_NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})
_NOTHING_SHUT: Final[Mapping[str, Collection[str]]] = MappingProxyType({})


class UpstreamKind(Enum):
    OWN_SERVER = "upstream"
    CREDENTIALS = "credentials"
    SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Attributes:
    providers: slugs of the providers whose keys were found, as the router takes them: `slug~format` where the key does
        not open the door of a format, `slug@region` where the address of one names a region.
    """

    kind: UpstreamKind
    providers: tuple[str, ...] = ()


def choose_upstream(
    settings: LaunchSettings,
    credentials: Mapping[str, str],
    regions: Mapping[str, str] = _NOWHERE,
    shut: Mapping[str, Collection[str]] = _NOTHING_SHUT,
) -> Upstream:
    if settings.upstream_base_url:
        return Upstream(UpstreamKind.OWN_SERVER)
    if credentials:
        told = (_told(slug, regions.get(slug, ""), shut.get(slug, ())) for slug in sorted(credentials))
        return Upstream(UpstreamKind.CREDENTIALS, tuple(told))
    return Upstream(UpstreamKind.SIMULATOR)


def _told(slug: str, region: str, shut: Collection[str]) -> str:
    named = "~".join([slug, *sorted(shut)])
    return f"{named}@{region}" if region else named


class SimulatorFailedError(OSError):
    """The simulator did not start; its log says why."""


@asynccontextmanager
async def running_simulator(data_dir: Path) -> AsyncIterator[str]:
    """A simulator as a child process, for the length of the block; its base URL.

    It ends with us, however we end; if it dies before, it is started again at the same address.
    """
    part = SimulatorPart(data_dir / "provider_simulator.log")
    await part.start()
    supervisor = Supervisor(lambda: None)
    supervisor.keep_alive(part)
    try:
        yield part.base_url
    finally:
        await supervisor.stop(lambda _: 0)


class SimulatorPart:
    """The simulator for the supervisor; it chooses a free port once."""

    kind = "provider_simulator"
    name = "provider_simulator"

    def __init__(self, log_path: Path) -> None:
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self.base_url = ""

    async def start(self) -> int:
        """Returns when it listens. Fine to call while it runs.

        Raises:
            SimulatorFailedError: it does not start.
            TimeoutError: not in time.
        """
        if self._process is not None and self._process.returncode is None:
            return self._process.pid
        port = {"SWITCHYARD_PROVIDER_SIMULATOR_PORT": self.base_url.rpartition(":")[2]} if self.base_url else {}
        with self._log_path.open("ab") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.launch.child", "services.provider_simulator",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env={**environment(), **port}, start_new_session=True,
            )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                line = await process.stdout.readline()
            if not line:
                raise SimulatorFailedError(f"the simulator does not start; see {self._log_path}")
        except BaseException:
            await _end(process)
            raise
        self.base_url = str(orjson.loads(line)["base_url"])
        return process.pid

    async def wait(self) -> str:
        assert self._process is not None
        return f"exit status {await self._process.wait()}"

    async def stop(self) -> None:
        if self._process is not None:
            await _end(self._process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_LIMIT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
