"""Runs the simulator in a process of its own.

Owns the process: logs, signals, the announcement of the address. Invariant: the only line on standard output is
`{"base_url": …}`, written when the simulator listens.
"""

import asyncio
import logging
import signal
import sys

import orjson
import uvloop

from libs.logs import facts, set_up_logs
from libs.settings import load_or_exit
from services.provider_simulator.core.catalogue import CatalogueError
from services.provider_simulator.server import RunningSimulator, build, start
from services.provider_simulator.settings import ProviderSimulatorSettings

__all__ = ["ProviderSimulatorSettings", "RunningSimulator", "build", "main", "run", "start"]

logger = logging.getLogger(__name__)


async def run(settings: ProviderSimulatorSettings) -> None:
    """Listens until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = await start(settings)
    logger.info("started", extra=facts(base_url=simulator.base_url))
    sys.stdout.write(orjson.dumps({"base_url": simulator.base_url}).decode() + "\n")
    sys.stdout.flush()
    await stop.wait()
    logger.info("stopping")
    await simulator.stop()


def main() -> None:
    settings = load_or_exit(ProviderSimulatorSettings)
    set_up_logs("provider_simulator", settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except (CatalogueError, OSError) as error:
        logger.error("cannot start", extra=facts(reason=str(error)))  # noqa: TRY400 (a message for the operator)
        sys.exit(1)
