"""Composes key_management: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

from contextlib import AsyncExitStack
from importlib.resources import files

import asyncpg
from switchyard.keys.v1.keys_pb2_grpc import add_KeyManagementServiceServicer_to_server

from libs.clock import Clock, SystemClock
from libs.lifecycle import Service, run_service, stop_requested
from libs.logs import set_up_logs
from libs.metrics import Metrics
from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from libs.telemetry import open_tracer
from services.key_management.handlers import KeyHandlers
from services.key_management.server import KeyManagementServicer
from services.key_management.settings import Settings
from services.key_management.store import PostgresKeyStore

NAME = "key_management"
MIGRATIONS = files("services.key_management") / "migrations"


def build(pool: asyncpg.Pool, *, clock: Clock, metrics: Metrics) -> Service:
    """The service on top of open resources; its tables exist already."""
    handlers = KeyHandlers(PostgresKeyStore(pool), clock)
    servicer = KeyManagementServicer(handlers, metrics)
    return Service(NAME, add_servicers=lambda table: add_KeyManagementServiceServicer_to_server(servicer, table))


async def run(settings: Settings) -> None:
    """One process of this service, until SIGTERM or SIGINT."""
    set_up_logs(NAME, settings.telemetry.log_level)
    stop = stop_requested()
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        pool = await stack.enter_async_context(open_pool(settings.postgres, application_name=NAME))
        await migrate(pool, schema=NAME, folder=MIGRATIONS)
        service = build(pool, clock=SystemClock(), metrics=metrics)
        await run_service(service, settings.serving, metrics=metrics, tracer=tracer, stop=stop)
