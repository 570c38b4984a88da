"""Composes billing_ledger: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

from contextlib import AsyncExitStack
from importlib.resources import files

import asyncpg
from opentelemetry.trace import Tracer
from switchyard.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server

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
from services.billing_ledger.consumers import GROUP, MAX_BATCH, TOPIC, UsageConsumer
from services.billing_ledger.counters import LedgerCounters
from services.billing_ledger.handlers import NAME, LedgerHandlers
from services.billing_ledger.server import LedgerServicer
from services.billing_ledger.settings import Settings
from services.billing_ledger.store import PostgresLedgerStore
from services.billing_ledger.sweeper import Sweeper, SweepPolicy

__all__ = ["MIGRATIONS", "NAME", "build", "run"]

MIGRATIONS = files("services.billing_ledger") / "migrations"


def build(
    pool: asyncpg.Pool,
    event_log: EventLog,
    *,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer | None = None,
    sweep_policy: SweepPolicy | None = None,
) -> Service:
    """The service on top of open resources; its tables exist already."""
    handlers = LedgerHandlers(PostgresLedgerStore(pool), clock, LedgerCounters(metrics))
    servicer = LedgerServicer(handlers)
    handle = traced(UsageConsumer(handlers, clock).handle, tracer, "billing_ledger settle")
    sweeper = Sweeper(handlers, clock, sweep_policy or SweepPolicy())

    async def consume_usage() -> None:
        await event_log.consume(TOPIC, GROUP, handle, max_batch=MAX_BATCH, is_transient=is_transient)

    return Service(
        NAME,
        add_servicers=lambda table: add_LedgerServiceServicer_to_server(servicer, table),
        background={
            "consume usage": consume_usage,
            "sweep holds": sweeper.run,
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
            client_id=NAME,
            replication_factor=settings.kafka.replication_factor,
            on_consumed=metrics.count_consumed,
        )
        stack.push_async_callback(event_log.close)
        policy = SweepPolicy(max_age_s=settings.hold_max_age_s)
        service = build(pool, event_log, clock=SystemClock(), metrics=metrics, tracer=tracer, sweep_policy=policy)
        await run_service(service, settings.serving, metrics=metrics, tracer=tracer, stop=stop)
