"""Composes the router: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceStub
from switchyard.routing.v1.routing_pb2 import TimeLimits
from switchyard.routing.v1.routing_pb2_grpc import add_RouterServiceServicer_to_server

from libs.bus.kafka import KafkaEventLog
from libs.bus.port import EventLog
from libs.bus.topics import HEALTH, all_specs
from libs.clock import Clock, SystemClock
from libs.ids import prefixed_id
from libs.lifecycle import Background, Service, run_service, stop_requested
from libs.logs import facts, set_up_logs
from libs.metrics import Metrics
from libs.rpc.session_channel import SessionChannel
from libs.settings import SettingsError
from libs.telemetry import open_tracer
from services.router.catalogue_files import read_catalogue
from services.router.consumers import HealthObserver, UsageObserver
from services.router.convert import PlanMessages
from services.router.core.catalogue import Catalogue
from services.router.core.fields import CatalogueError
from services.router.core.health import Health
from services.router.core.luck import luck
from services.router.core.offer import Offer, offer_providers
from services.router.handlers import OfferDisplay, RouterHandlers
from services.router.keeper import CatalogueKeeper, Display, OverlayFolder
from services.router.ports import UpstreamModels
from services.router.publisher import HealthPublisher
from services.router.server import RouterServicer
from services.router.settings import RoutingSettings, Settings
from services.router.upstream import AdapterUpstreamModels, UpstreamWatcher

__all__ = ["NAME", "build", "read_catalogue", "run"]

NAME = "router"
logger = logging.getLogger(__name__)


def build(
    event_log: EventLog,
    catalogue: Catalogue,
    routing: RoutingSettings,
    *,
    upstream: UpstreamModels | None,
    clock: Clock,
    metrics: Metrics,
) -> Service:
    """The service on top of open resources; `upstream` is needed with offer=upstream alone.

    Raises:
        SettingsError: the providers are not known, or an overlay is wrong.
    """
    router_id = prefixed_id("router", clock.now_ms())
    handlers = RouterHandlers(Health(seed=router_id), clock)
    keeper = CatalogueKeeper(
        catalogue,
        OverlayFolder(routing.overlay_dir),
        clock,
        drops_ended=routing.offer is Offer.CREDENTIALS,
        interval_s=routing.overlay_interval_s,
    )
    catalogue = _first(keeper)
    display: Display
    servicer = RouterServicer(handlers, PlanMessages(time_limits(routing)), metrics)
    publisher = HealthPublisher(
        handlers, event_log, clock, metrics, router_id=router_id, luck=luck(router_id, "health")
    )
    background: dict[str, Background] = {
        "usage": UsageObserver(handlers, event_log, clock).run,
        "health": HealthObserver(handlers, event_log, clock).run,
        "publisher": publisher.run,
    }
    if routing.offer is Offer.UPSTREAM:
        if upstream is None:
            raise ValueError("offer=upstream needs someone to ask for its models")
        watcher = UpstreamWatcher(upstream, handlers, catalogue, routing.upstream_terms, routing.upstream_interval_s)
        background["upstream"] = watcher.run
        display = watcher
    else:
        rule = _whole
        if routing.offer is Offer.CREDENTIALS:
            known_providers(catalogue, routing.provider_slugs)
            rule = partial(
                offer_providers,
                slugs=routing.provider_slugs,
                regions=routing.provider_regions,
                shut=routing.shut_formats,
            )
        display = OfferDisplay(handlers, rule)
        handlers.offer(rule(catalogue))
    background["catalogue"] = partial(keeper.run, display)

    async def check() -> str | None:
        return None if handlers.is_offering else "provider_adapter"

    return Service(
        NAME,
        add_servicers=lambda table: add_RouterServiceServicer_to_server(servicer, table),
        background=background,
        check=check,
    )


def _first(keeper: CatalogueKeeper) -> Catalogue:
    try:
        return keeper.load()
    except CatalogueError as error:
        raise SettingsError(f"overlay: {error}") from None


def _whole(catalogue: Catalogue) -> Catalogue:
    """The simulator stands in for every endpoint."""
    return catalogue


def known_providers(catalogue: Catalogue, slugs: Sequence[str]) -> frozenset[str]:
    """Those of them that the catalogue has; a credential for any other is of no use here.

    Raises:
        SettingsError: it has none of them.
    """
    known = frozenset(slugs) & frozenset(catalogue.providers)
    unknown = sorted(frozenset(slugs) - known)
    if not known:
        raise SettingsError(f"providers: none of them is in the catalogue: {', '.join(unknown)}")
    if unknown:
        logger.warning("providers are not in the catalogue", extra=facts(providers=unknown))
    return known


def time_limits(routing: RoutingSettings) -> TimeLimits:
    return TimeLimits(
        connect_ms=round(routing.connect_s * 1000),
        first_event_ms=round(routing.first_event_s * 1000),
        idle_ms=round(routing.idle_s * 1000),
        total_ms=round(routing.total_s * 1000),
    )


async def run(settings: Settings) -> None:
    """One process of this service, until SIGTERM or SIGINT."""
    set_up_logs(NAME, settings.telemetry.log_level)
    stop = stop_requested()
    metrics = Metrics()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        event_log = KafkaEventLog(
            settings.kafka.bootstrap_servers, client_id=NAME, replication_factor=settings.kafka.replication_factor
        )
        stack.push_async_callback(event_log.close)
        upstream: UpstreamModels | None = None
        if settings.offer is Offer.UPSTREAM:
            channel = SessionChannel(settings.adapter_targets, peer="provider_adapter")
            stack.push_async_callback(channel.close)
            upstream = AdapterUpstreamModels(ProviderAdapterServiceStub(channel))
        service = build(event_log, read_catalogue(), settings, upstream=upstream, clock=clock, metrics=metrics)
        background = {**service.background, "topics": lambda: _create_topics(event_log)}
        service = replace(service, background=background)
        await run_service(service, settings.serving, metrics=metrics, tracer=tracer, stop=stop)


async def _create_topics(event_log: KafkaEventLog) -> None:
    """The producer of a topic creates it, once the log is there."""
    await event_log.ensure_topics(all_specs([HEALTH]))
    await asyncio.Event().wait()
