"""Composes every service in one process: one pool, one event log in PostgreSQL, one channel without sockets.

Owns who gets what. Decides nothing. Invariant: services do not know that they share a process.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import grpc
import uvloop
from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceStub

from libs.bus.left_behind import forward_left_behind, spools_left_behind
from libs.bus.postgres import PostgresEventLog
from libs.bus.spool import Spool, SpoolSettings
from libs.bus.topics import all_specs
from libs.clock import Clock, SystemClock
from libs.errors import AppError
from libs.lifecycle import Background, Service, running, settle_down, stop_requested, wait_for_end
from libs.logs import facts, set_up_logs
from libs.metrics import Metrics
from libs.pg.cluster import EmbeddedPostgresError
from libs.pg.embedded import EmbeddedPostgres
from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from libs.rpc.in_process import InProcessChannel
from libs.rpc.methods import MethodTable
from libs.settings import SettingsError, load
from libs.telemetry import open_tracer
from services.analytics import main as analytics
from services.billing_ledger import main as billing_ledger
from services.billing_ledger.settings import LedgerSettings
from services.billing_ledger.sweeper import SweepPolicy
from services.broadcast import main as broadcast
from services.broadcast.settings import DeliverySettings
from services.edge_proxy import main as edge_proxy
from services.edge_proxy.settings import DoorSettings
from services.key_management import main as key_management
from services.launch.bootstrap import ensure_bootstrap, offered_models
from services.launch.folder import held_folder
from services.launch.output_file import announcement, write_private
from services.launch.ports import LEFT_BEHIND_S, ensure_port_is_free
from services.launch.postgres import PostgresPart
from services.launch.settings import LaunchSettings
from services.launch.supervisor import Supervisor
from services.launch.upstream import Upstream, UpstreamKind, choose_upstream, running_simulator
from services.provider_adapter import main as provider_adapter
from services.provider_adapter.access import find_access
from services.provider_adapter.credential_limits import CredentialLimits
from services.provider_adapter.http_calls import open_http_calls
from services.provider_adapter.media.fetcher import open_media_fetcher
from services.provider_adapter.settings import Settings as AdapterSettings
from services.provider_adapter.warm_up import warm_up
from services.provider_simulator.settings import ProviderSimulatorSettings
from services.router import main as router
from services.router.settings import OwnRoutingSettings
from services.router.upstream import AdapterUpstreamModels

NAME: Final = "standalone"
PARTS_SETTINGS: Final = (
    OwnRoutingSettings, DoorSettings, LedgerSettings, DeliverySettings, AdapterSettings, ProviderSimulatorSettings,
)  # fmt: skip
"""What the parts read in this shape, beside the launcher's own."""
OUTPUT_FILE: Final = "standalone.json"
_MAX_CONNECTIONS: Final = 24
_DRAIN_S: Final = 5.0
_OFFER_LIMIT_S: Final = 30.0
_TRIM_INTERVAL_S: Final = 3600.0
logger = logging.getLogger(__name__)


def main(settings: LaunchSettings) -> int:
    """Runs until SIGTERM or SIGINT; the exit status."""
    loop_factory = uvloop.new_event_loop if settings.event_loop == "uvloop" else None
    set_up_logs(NAME, settings.telemetry.log_level)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(run(settings))
    except (SettingsError, EmbeddedPostgresError, AppError, OSError) as error:
        logger.error("cannot start", extra=facts(reason=str(error)))  # noqa: TRY400 (a message for the operator)
        return 1
    return 0


async def run(settings: LaunchSettings) -> None:
    stop = stop_requested()
    async with held_folder(settings.data_dir) as data_dir:
        await _run_on(data_dir, settings, stop)


async def _run_on(data_dir: Path, settings: LaunchSettings, stop: asyncio.Event) -> None:
    output = data_dir / OUTPUT_FILE
    left_behind = output.exists()
    output.unlink(missing_ok=True)
    await ensure_port_is_free(settings.host, settings.port, patience_s=LEFT_BEHIND_S if left_behind else 0.0)
    metrics, clock = Metrics(), SystemClock()
    access = find_access(load(AdapterSettings), os.environ)
    upstream = choose_upstream(settings, access.credentials, access.regions, access.shut)
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        simulator: str | None = None
        if upstream.kind is UpstreamKind.SIMULATOR:
            simulator = await stack.enter_async_context(running_simulator(data_dir))
        dsn = await stack.enter_async_context(_postgres(settings, data_dir))
        pool = await stack.enter_async_context(open_pool(dsn, application_name=NAME, max_size=_MAX_CONNECTIONS))
        await _migrate(pool)
        event_log = PostgresEventLog(pool, on_consumed=metrics.count_consumed)
        stack.push_async_callback(event_log.close)
        await event_log.ensure_topics(all_specs())
        spools = data_dir / "spool"
        spool = await Spool.open(spools)
        stack.push_async_callback(spool.close)
        table = MethodTable(tracer=tracer)
        channel = InProcessChannel(table)
        adapter_settings = load(AdapterSettings, {"simulator_base_url": simulator})
        calls = await stack.enter_async_context(
            open_http_calls(adapter_settings.max_connections, adapter_settings.ca_file)
        )
        media = await stack.enter_async_context(open_media_fetcher(adapter_settings.media))
        registry = provider_adapter.build_registry(adapter_settings, access, calls)
        delivery = load(DeliverySettings)
        webhook = await stack.enter_async_context(broadcast.open_webhook(delivery.webhook))
        services = [
            key_management.build(pool, clock=clock, metrics=metrics),
            router.build(
                event_log,
                router.read_catalogue(),
                load(OwnRoutingSettings, _offer(upstream)),
                upstream=AdapterUpstreamModels(ProviderAdapterServiceStub(channel)),
                clock=clock,
                metrics=metrics,
            ),
            provider_adapter.build(
                registry,
                calls,
                clock=clock,
                media=media,
                limits=CredentialLimits(adapter_settings.max_calls_per_credential),
                tracer=tracer,
                keeper=provider_adapter.build_keeper(adapter_settings, os.environ, registry),
            ),
            billing_ledger.build(
                pool,
                event_log,
                clock=clock,
                metrics=metrics,
                tracer=tracer,
                sweep_policy=SweepPolicy(max_age_s=load(LedgerSettings).hold_max_age_s),
            ),
            analytics.build(pool, event_log, clock=clock, metrics=metrics, tracer=tracer),
            broadcast.build(event_log, webhook, delivery, clock=clock, metrics=metrics, tracer=tracer),
        ]
        leftovers = edge_proxy.Leftovers()
        stack.push_async_callback(leftovers.finish)
        edge = edge_proxy.build(
            edge_proxy.Channels(channel, channel, channel, channel, channel), spool, event_log, leftovers,
            http=load(DoorSettings).http.model_copy(update={"host": settings.host, "port": settings.port}),
            clock=clock, metrics=metrics, tracer=tracer, drain_s=_DRAIN_S,
        )  # fmt: skip
        await warm_up(calls, registry, adapter_settings.warm_up)
        background = _join(services, table, edge)
        of_edges = spools_left_behind(spools, in_use=[spools])
        background["left behind"] = lambda: forward_left_behind(of_edges, event_log, SpoolSettings())
        background["trim"] = lambda: _trim(event_log, clock)
        async with running(background) as failed:
            port = await edge.server.start()
            await _announce(settings, port, channel, simulator, output)
            stack.callback(output.unlink, missing_ok=True)
            settle_down()
            await wait_for_end(stop, failed)
            output.unlink(missing_ok=True)
            await edge.stop()


@asynccontextmanager
async def _postgres(settings: LaunchSettings, data_dir: Path) -> AsyncIterator[str]:
    """A DSN: the operator's, or that of an embedded server that is kept running for the length of the block."""
    if settings.postgres_dsn is not None:
        yield settings.postgres_dsn.get_secret_value()
        return
    server = EmbeddedPostgres(data_dir / "postgres")
    await server.start()
    supervisor = Supervisor(lambda: None)
    supervisor.keep_alive(PostgresPart(server))
    try:
        yield server.dsn
    finally:
        await supervisor.stop(lambda _: 0)


async def _migrate(pool: asyncpg.Pool) -> None:
    for room in (key_management, billing_ledger, analytics):
        await migrate(pool, schema=room.NAME, folder=room.MIGRATIONS)


async def _trim(event_log: PostgresEventLog, clock: Clock) -> None:
    """Removes records that every group has handled and whose time is up, once an hour."""
    while True:
        for spec in all_specs():
            try:
                await event_log.trim(spec.name, before_ms=clock.now_ms() - spec.retention_hours * 3_600_000)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                logger.warning("event log not trimmed", extra=facts(topic=spec.name, reason=type(error).__name__))
        await asyncio.sleep(_TRIM_INTERVAL_S)


def _offer(upstream: Upstream) -> dict[str, Any]:
    """The router's settings for this upstream."""
    if upstream.kind is UpstreamKind.CREDENTIALS:
        return {"offer": upstream.kind.value, "providers": upstream.providers}
    return {"offer": upstream.kind.value}


def _join(services: list[Service], table: MethodTable, edge: edge_proxy.EdgeProxy) -> dict[str, Background]:
    """Registers all servicers in one table; all background work by name."""
    background = {f"edge_proxy {name}": work for name, work in edge.background.items()}
    for service in services:
        if service.add_servicers is not None:
            service.add_servicers(table)
        background.update({f"{service.name} {name}": work for name, work in service.background.items()})
    return background


async def _announce(
    settings: LaunchSettings, port: int, channel: grpc.aio.Channel, simulator: str | None, output: Path
) -> None:
    """Writes the output file once a chat completion would work, and says so."""
    models = await offered_models(channel, _OFFER_LIMIT_S)
    keys = await ensure_bootstrap(channel, channel, settings.data_dir.absolute(), settings.bootstrap_credit)
    base = f"http://{settings.host}:{port}"
    content = {
        "api_base": f"{base}/api/v1",
        "api_key": keys.api_key,
        "management_key": keys.management_key,
        "pid": os.getpid(),
        "simulator_base": simulator,
        "metrics": [f"{base}/metrics"],
    }
    write_private(output, content)
    sys.stdout.write(announcement(content, models[0], output))
    sys.stdout.flush()
