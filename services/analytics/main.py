"""Composes analytics: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

import socket
from contextlib import AsyncExitStack
from importlib.resources import files
from typing import Final

import asyncpg
from opentelemetry.trace import Tracer
from switchyard.analytics.v1.analytics_pb2_grpc import add_AnalyticsServiceServicer_to_server

from libs.bus.kafka import KafkaEventLog
from libs.bus.lag import watch_lag
from libs.bus.port import EventLog
from libs.bus.tracing import traced
from libs.clock import Clock, SystemClock
from libs.lifecycle import Service, run_service, stop_requested
from libs.logs import set_up_logs
from libs.metrics import Metrics
from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from libs.pg.transient import is_transient
from libs.telemetry import open_tracer
from services.analytics.consumers import GROUP, MAX_BATCH, TOPIC, UsageConsumer
from services.analytics.handlers import AnalyticsHandlers
from services.analytics.server import AnalyticsServicer
from services.analytics.settings import Settings
from services.analytics.store import PostgresRecordStore

NAME: Final = "analytics"
MIGRATIONS: Final = files("services.analytics") / "migrations"


def build(
    pool: asyncpg.Pool, event_log: EventLog, *, clock: Clock, metrics: Metrics, tracer: Tracer | None = None
) -> Service:
    """The service on top of open resources; its tables exist already."""
    handlers = AnalyticsHandlers(PostgresRecordStore(pool))
    servicer = AnalyticsServicer(handlers)
    handle = traced(UsageConsumer(handlers, clock).handle, tracer, "analytics record")

    async def consume_usage() -> None:
        await event_log.consume(TOPIC, GROUP, handle, max_batch=MAX_BATCH, is_transient=is_transient)

    return Service(
        NAME,
        add_servicers=lambda table: add_AnalyticsServiceServicer_to_server(servicer, table),
        background={
            "consume usage": consume_usage,
            "watch lag": lambda: watch_lag(event_log, TOPIC, GROUP, metrics),
        },
    )


async def run(settings: Settings) -> None:
    """One process of this service, until SIGTERM or SIGINT."""
    set_up_logs(NAME, settings.telemetry.log_level)
    stop = stop_requested()
    metrics = Metrics()

    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        pool = await stack.enter_async_context(open_pool(settings.postgres, application_name=NAME))
        await migrate(pool, schema=NAME, folder=MIGRATIONS)
        event_log = KafkaEventLog(
            settings.kafka.bootstrap_servers,
            client_id=f"{NAME}-{socket.gethostname()}",
            on_consumed=metrics.count_consumed,
        )
        stack.push_async_callback(event_log.close)
        service = build(pool, event_log, clock=SystemClock(), metrics=metrics, tracer=tracer)
        await run_service(service, settings.serving, metrics=metrics, tracer=tracer, stop=stop)
