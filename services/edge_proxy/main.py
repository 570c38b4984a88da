"""Composes edge_proxy: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

import asyncio
import logging
import socket
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import grpc
from opentelemetry.trace import Tracer
from switchyard.routing.v1.routing_pb2 import ModelFilter

from libs.bus.kafka import KafkaEventLog
from libs.bus.left_behind import forward_left_behind
from libs.bus.port import EventLog
from libs.bus.spool import Spool, SpoolSettings
from libs.bus.topics import all_specs
from libs.clock import Clock, SystemClock
from libs.errors import AppError
from libs.ids import prefixed_id
from libs.lifecycle import Background, running, settle_down, stop_requested, wait_for_end
from libs.logs import Throttled, facts, set_up_logs
from libs.metrics import Metrics
from libs.ops import OpsServer
from libs.rpc.session_channel import SessionChannel
from libs.telemetry import open_tracer
from libs.tokens import TokenCounter
from services.edge_proxy.authentication import Authenticator
from services.edge_proxy.clients import AdapterClient, AnalyticsClient, KeysClient, LedgerClient, RouterClient
from services.edge_proxy.handlers import Generations
from services.edge_proxy.http.account import AccountRoutes
from services.edge_proxy.http.app import HttpServer, build_application
from services.edge_proxy.http.body import BodyLimits
from services.edge_proxy.http.catalogue import CatalogueRoutes
from services.edge_proxy.http.dialects import DIALECTS
from services.edge_proxy.http.inference import InferenceRoute
from services.edge_proxy.ports import Ledger
from services.edge_proxy.settings import HttpSettings, Settings
from services.edge_proxy.usage_log import SpooledUsageLog

NAME: Final = "edge_proxy"
_LEASE_RETRY_S: Final = 2.0
_FLUSH_S: Final = 5.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channels:
    """One channel per service behind the edge."""

    key_management: grpc.aio.Channel
    router: grpc.aio.Channel
    billing_ledger: grpc.aio.Channel
    provider_adapter: grpc.aio.Channel
    analytics: grpc.aio.Channel


@dataclass(frozen=True, slots=True)
class EdgeProxy:
    """What `build` gives back: an HTTP server to start, and what runs beside it."""

    server: HttpServer
    background: dict[str, Background]
    spool: Spool
    leftovers: "Leftovers"

    async def stop(self) -> None:
        """Lets requests end, then what they left behind, then the spool's forwarding, each in bounded time."""
        await self.server.stop()
        await self.leftovers.finish()
        if not await self.spool.drain(_FLUSH_S):
            logger.warning("usage waits in the spool", extra=facts(records=self.spool.depth.records))


class Leftovers:
    """Coroutines that outlive the request that began them; awaited at shutdown."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def finish(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AppError):
            logger.error("work left over from a request failed", exc_info=error)


def build(
    channels: Channels,
    spool: Spool,
    event_log: EventLog,
    leftovers: Leftovers,
    *,
    http: HttpSettings,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer | None,
    drain_s: float,
) -> EdgeProxy:
    """The edge on top of open resources."""
    owner = prefixed_id("edge", clock.now_ms())
    router, ledger = RouterClient(channels.router), LedgerClient(channels.billing_ledger)
    authenticator = Authenticator(KeysClient(channels.key_management), clock)
    counter = TokenCounter()
    generations = Generations(
        router=router,
        ledger=ledger,
        adapter=AdapterClient(channels.provider_adapter),
        usage_log=SpooledUsageLog(spool, metrics),
        counter=counter,
        clock=clock,
        metrics=metrics,
        owner=owner,
        spawn=leftovers.spawn,
    )
    limits = BodyLimits(http.body_max_bytes, http.body_idle_limit_s, http.body_limit_s)
    app = build_application(
        inference={
            path: InferenceRoute(dialect, authenticator, generations, counter, limits, http.keep_alive_comment_s)
            for path, dialect in DIALECTS.items()
        },
        catalogue=CatalogueRoutes(authenticator, router, clock),
        account=AccountRoutes(authenticator, ledger, AnalyticsClient(channels.analytics)),
        metrics=metrics,
        check=_ready_check(router),
        clock=clock,
        tracer=tracer,
    )
    metrics.spool_records.set_function(lambda: spool.depth.records)
    metrics.spool_bytes.set_function(lambda: spool.depth.bytes)
    return EdgeProxy(
        HttpServer(app, http.host, http.port, head_limit_s=http.head_limit_s, drain_s=drain_s),
        {"lease": lambda: _renew_lease(ledger, owner), "spool": lambda: spool.forward(event_log)},
        spool,
        leftovers,
    )


def _ready_check(router: RouterClient) -> Any:
    async def check() -> str | None:
        try:
            await router.count_models(ModelFilter())
        except AppError:
            return "router"
        return None

    return check


async def _renew_lease(ledger: Ledger, owner: str) -> None:
    """Keeps this process's holds alive in the ledger."""
    throttled = Throttled(logger)
    while True:
        try:
            wait_s = await ledger.renew_lease(owner)
        except AppError as error:
            throttled.warning("lease not renewed", reason=error.reason)
            wait_s = _LEASE_RETRY_S
        await asyncio.sleep(wait_s)


def _channel(targets: str, peer: str, tracer: Tracer | None) -> SessionChannel:
    return SessionChannel([target.strip() for target in targets.split(",")], peer=peer, tracer=tracer)


async def run(settings: Settings) -> None:
    """One process of this service, until SIGTERM or SIGINT."""
    set_up_logs(NAME, settings.telemetry.log_level)
    stop = stop_requested()
    metrics = Metrics()
    peers = settings.peers
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        event_log = KafkaEventLog(
            settings.kafka.bootstrap_servers,
            client_id=f"{NAME}-{socket.gethostname()}",
            replication_factor=settings.kafka.replication_factor,
        )
        stack.push_async_callback(event_log.close)
        limits = SpoolSettings(max_bytes=settings.spool.max_bytes, sync=settings.spool.sync)
        spool = await Spool.open(settings.spool.folder, limits)
        stack.push_async_callback(spool.close)
        channels = Channels(
            key_management=_channel(peers.key_management, "key_management", tracer),
            router=_channel(peers.router, "router", tracer),
            billing_ledger=_channel(peers.billing_ledger, "billing_ledger", tracer),
            provider_adapter=_channel(peers.provider_adapter, "provider_adapter", tracer),
            analytics=_channel(peers.analytics, "analytics", tracer),
        )
        for name in Channels.__slots__:
            channel = getattr(channels, name)
            channel.start()
            stack.push_async_callback(channel.close)
        leftovers = Leftovers()
        stack.push_async_callback(leftovers.finish)
        drain_s = settings.serving.drain_s
        edge = build(
            channels, spool, event_log, leftovers, http=settings.http, clock=SystemClock(), metrics=metrics,
            tracer=tracer, drain_s=drain_s,
        )  # fmt: skip
        edge.background["topics"] = lambda: _create_topics(event_log)
        edge.background["left behind"] = lambda: forward_left_behind(settings.spool.left_behind, event_log, limits)
        await serve(edge, metrics, settings, stop)


async def _create_topics(event_log: KafkaEventLog) -> None:
    """The producer of a topic creates it, and the dead-letter topics of its consumers, once the log is there."""
    await event_log.ensure_topics(all_specs())
    await asyncio.Event().wait()


async def serve(edge: EdgeProxy, metrics: Metrics, settings: Settings, stop: asyncio.Event) -> None:
    async def check() -> str | None:
        return "shutdown" if stop.is_set() else None

    ops = OpsServer(metrics, check, settings.serving.ops_host, settings.serving.ops_port)
    try:
        async with running(edge.background) as failed:
            port = await edge.server.start()
            ops_port = await ops.start()
            settle_down()
            logger.info("started", extra=facts(port=port, ops_port=ops_port))
            await wait_for_end(stop, failed)
            await edge.stop()
    finally:
        await ops.stop()
