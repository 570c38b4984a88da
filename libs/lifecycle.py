"""The life of a process: what a service is, how it starts, runs until told to stop, and stops in order.

Owns signals, background tasks and the order of shutdown. Does not open resources: main does, on an AsyncExitStack.
Invariant: on the way down health goes first, then consumers, then the RPC server; resources close after all of them.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import Tracer

from libs.logs import facts
from libs.metrics import Metrics
from libs.ops import OpsServer, ReadinessCheck
from libs.rpc.methods import MethodTable
from libs.rpc.server import RpcServer
from libs.settings import ServingSettings

logger = logging.getLogger(__name__)

Background = Callable[[], Awaitable[None]]
"""Runs until cancelled; if it ends by itself, the process ends."""


async def always_ready() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """What `build()` of a service gives back.

    Attributes:
        name: the room's name.
        add_servicers: registers its gRPC servicers.
        background: consumers, sweepers and the like, by name.
        check: readiness.
    """

    name: str
    add_servicers: Callable[[MethodTable], None] | None = None
    background: Mapping[str, Background] = field(default_factory=dict)
    check: ReadinessCheck = always_ready


def stop_requested() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets. Call once, in main, inside the running loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event


class BackgroundFailedError(Exception):
    """A background task ended, which it never should."""


@asynccontextmanager
async def running(background: Mapping[str, Background]) -> AsyncIterator[asyncio.Future[None]]:
    """Runs the tasks for the length of the block; yields a future that fails as soon as one of them ends.

    On the way out they are cancelled together and awaited, so that each can finish what it has in hand.
    """
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    tasks = [asyncio.ensure_future(_guarded(name, task, failed)) for name, task in background.items()]
    try:
        yield failed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not failed.done():
            failed.cancel()
        elif not failed.cancelled():
            failed.exception()


async def _guarded(name: str, task: Background, failed: asyncio.Future[None]) -> None:
    try:
        await task()
    except Exception as error:
        logger.exception("background task failed", extra=facts(task=name))
        if not failed.done():
            failed.set_exception(BackgroundFailedError(f"{name}: {error!r}"))
    else:
        if not failed.done():
            failed.set_exception(BackgroundFailedError(f"{name} ended"))


def settle_down() -> None:
    """Tells the garbage collector that what is loaded by now stays; call once, when started.

    Requests leave hardly any cycles behind, so it may also look less often: with Python's own thresholds it walked the
    catalogue and all modules again and again, for some 6 % of all time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def wait_for_end(stop: asyncio.Event, failed: asyncio.Future[None]) -> None:
    """Returns when told to stop.

    Raises:
        BackgroundFailedError: a background task ended first.
    """
    stopping = asyncio.ensure_future(stop.wait())
    try:
        either: set[asyncio.Future[Any]] = {stopping, failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
    finally:
        stopping.cancel()


async def run_service(
    service: Service,
    serving: ServingSettings,
    *,
    metrics: Metrics,
    tracer: Tracer | None,
    stop: asyncio.Event,
) -> None:
    """Runs one service in a process of its own, until told to stop."""
    table = MethodTable(tracer=tracer)
    if service.add_servicers is not None:
        service.add_servicers(table)
    rpc = RpcServer(table, address=serving.rpc_address)

    async def check() -> str | None:
        return "shutdown" if stop.is_set() else await service.check()

    ops = OpsServer(metrics, check, serving.ops_host, serving.ops_port)
    try:
        async with running(service.background) as failed:
            rpc_port = await rpc.start() if service.add_servicers is not None else None
            ops_port = await ops.start()
            rpc.set_serving(True)
            settle_down()
            logger.info("started", extra=facts(rpc_port=rpc_port, ops_port=ops_port))
            await wait_for_end(stop, failed)
            logger.info("stopping")
            rpc.set_serving(False)
    finally:
        await rpc.stop(serving.drain_s)
        await ops.stop()
