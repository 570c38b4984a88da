"""Composes broadcast: settings, logs and telemetry, resources, constructor calls, run.

Owns who gets what. Decides nothing.
"""

import socket
from contextlib import AsyncExitStack
from typing import Final

from opentelemetry.trace import Tracer

from libs.bus.kafka import KafkaEventLog
from libs.bus.lag import watch_lag
from libs.bus.port import EventLog
from libs.clock import Clock, SystemClock
from libs.lifecycle import Service, run_service, stop_requested
from libs.logs import set_up_logs
from libs.metrics import Metrics
from libs.retry import Backoff
from libs.telemetry import open_tracer
from services.broadcast.consumers import GROUP, MAX_BATCH, TOPIC, UsageConsumer
from services.broadcast.handlers import BroadcastHandlers, Patience
from services.broadcast.ports import Destination
from services.broadcast.settings import DeliverySettings, Settings
from services.broadcast.webhook import open_webhook

__all__ = ["NAME", "build", "open_webhook", "run"]

NAME: Final = "broadcast"


def build(
    event_log: EventLog,
    destination: Destination | None,
    settings: DeliverySettings,
    *,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer | None = None,
) -> Service:
    """The service on top of open resources; without a destination it passes records over."""
    handlers = None
    if destination is not None:
        handlers = BroadcastHandlers(
            destination, patience_of(settings), service_name=settings.service_name, clock=clock, metrics=metrics
        )
    consumer = UsageConsumer(handlers, tracer)

    async def consume_usage() -> None:
        await event_log.consume(TOPIC, GROUP, consumer.handle, max_batch=MAX_BATCH)

    return Service(
        NAME,
        background={
            "consume usage": consume_usage,
            "watch lag": lambda: watch_lag(event_log, TOPIC, GROUP, metrics),
        },
    )


def patience_of(settings: DeliverySettings) -> Patience:
    return Patience(
        request_timeout_s=settings.request_timeout_s,
        attempts=settings.attempts,
        backoff=Backoff(first_s=settings.first_delay_s, cap_s=settings.max_delay_s),
        max_delay_s=settings.max_delay_s,
        give_up_after_s=settings.give_up_after_s,
    )


async def run(settings: Settings) -> None:
    """One process of this service, until SIGTERM or SIGINT."""
    set_up_logs(NAME, settings.telemetry.log_level)
    stop = stop_requested()
    metrics = Metrics()

    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(NAME, settings.telemetry))
        event_log = KafkaEventLog(
            settings.kafka.bootstrap_servers,
            client_id=f"{NAME}-{socket.gethostname()}",
            on_consumed=metrics.count_consumed,
        )
        stack.push_async_callback(event_log.close)
        destination = await stack.enter_async_context(open_webhook(settings.webhook))
        service = build(event_log, destination, settings, clock=SystemClock(), metrics=metrics, tracer=tracer)
        await run_service(service, settings.serving, metrics=metrics, tracer=tracer, stop=stop)
