"""Composes provider_adapter: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from opentelemetry.trace import Tracer
from switchyard.provider.v1.provider_pb2_grpc import add_ProviderAdapterServiceServicer_to_server

from libs.clock import Clock, SystemClock
from libs.lifecycle import Service, run_service, stop_requested
from libs.logs import set_up_logs
from libs.metrics import Metrics
from libs.telemetry import open_tracer
from services.provider_adapter.access import Access, find_access
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.credential_limits import CredentialLimits
from services.provider_adapter.credentials.table import authorizers
from services.provider_adapter.http_calls import HttpCalls, open_http_calls
from services.provider_adapter.keeper import RegistryKeeper
from services.provider_adapter.media.fetcher import MediaFetcher, open_media_fetcher
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.settings import Settings
from services.provider_adapter.token_calls import TokenCalls
from services.provider_adapter.upstream_models import UpstreamModels
from services.provider_adapter.warm_up import warm_up

NAME = "provider_adapter"


def build_registry(settings: Settings, access: Access, calls: HttpCalls | None = None) -> Registry:
    """Who is called how; `calls` are what token servers are asked over."""
    proxy = settings.proxy.get_secret_value() if settings.proxy else ""
    return Registry(
        protocols(),
        access.hosts,
        access.credentials,
        authorizers=authorizers() if calls is None else authorizers(TokenCalls(calls).ask),
        simulator_base_url=settings.simulator_base_url,
        upstream_base_url=settings.upstream_base_url,
        upstream_api_key=settings.upstream_api_key.get_secret_value() if settings.upstream_api_key else "",
        proxy=proxy,
        proxies={slug: url.get_secret_value() for slug, url in settings.proxies.items()},
    )


def build_keeper(settings: Settings, environ: Mapping[str, str], registry: Registry) -> RegistryKeeper | None:
    """Whoever looks at the overlays, if there is a folder of them."""
    if settings.overlay_dir is None:
        return None
    find = partial(find_access, settings, environ)
    return RegistryKeeper(settings.overlay_dir, registry, find, settings.overlay_interval_s)


def build(
    registry: Registry,
    calls: HttpCalls,
    *,
    clock: Clock,
    media: MediaFetcher | None = None,
    limits: CredentialLimits | None = None,
    tracer: Tracer | None = None,
    keeper: RegistryKeeper | None = None,
) -> Service:
    """The service on top of open resources."""
    attempts = Attempts(calls, clock, media, limits)
    servicer = ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, calls), tracer)
    return Service(
        NAME,
        add_servicers=lambda table: add_ProviderAdapterServiceServicer_to_server(servicer, table),
        background={} if keeper is None else {"overlay": keeper.run},
    )


async def run(settings: Settings, environ: Mapping[str, str]) -> None:
    """One process of this service, until SIGTERM or SIGINT."""
    set_up_logs(NAME, settings.telemetry.log_level)
    stop = stop_requested()
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        calls = await stack.enter_async_context(open_http_calls(settings.max_connections, settings.ca_file))
        media = await stack.enter_async_context(open_media_fetcher(settings.media))
        registry = build_registry(settings, find_access(settings, environ), calls)
        keeper = build_keeper(settings, environ, registry)
        limits = CredentialLimits(settings.max_calls_per_credential)
        clock = SystemClock()
        service = build(registry, calls, clock=clock, media=media, limits=limits, tracer=tracer, keeper=keeper)
        await warm_up(calls, registry, settings.warm_up)
        await run_service(service, settings.serving, metrics=metrics, tracer=tracer, stop=stop)
