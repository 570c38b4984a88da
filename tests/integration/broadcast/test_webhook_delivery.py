"""The whole service against a real HTTP server: an event goes in at the log, a trace comes out at the webhook."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from libs.bus.memory import MemoryEventLog
from libs.bus.port import HEADER_DEAD_REASON, Record, dead_letter_topic
from libs.clock import SystemClock
from libs.lifecycle import running
from libs.metrics import Metrics
from services.broadcast.main import build, open_webhook
from services.broadcast.ports import Answer, DestinationUnreachableError
from services.broadcast.settings import DeliverySettings, WebhookSettings
from tests.testkit.analytics import TOPIC, delivered, generation_event
from tests.testkit.broadcast import generation_ids
from tests.testkit.postgres import eventually

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
QUICK: Mapping[str, Any] = {"first_delay_s": 0.01, "max_delay_s": 0.02, "attempts": 3}

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """A destination: replies from its script, the last reply for ever."""

    script: list[Reply]
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    url: str = ""

    async def receive(self, request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        self.requests.append((request.method, request.path_qs, request.headers))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        response = await reply(request)
        if response.status < 300:
            self.received += generation_ids(payload)
        return response


def status(code: int, **headers: str) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text="x", headers={k.replace("_", "-"): v for k, v in headers.items()})

    return reply


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response(status=500)


async def endless(request: web.Request) -> web.StreamResponse:
    """An answer whose body never ends."""
    response = web.StreamResponse(status=200)
    await response.prepare(request)
    await response.write(b"x")
    return response


@asynccontextmanager
async def receiving(*script: Reply) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(script))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", receiver.receive)
    async with TestServer(app, host="127.0.0.1") as server:
        receiver.url = str(server.make_url("/traces?token=hush"))
        yield receiver


def records(count: int) -> list[Record]:
    return [delivered(generation_event(f"gen-{place}"), place, TRACEPARENT).record for place in range(count)]


def webhook_at(url: str, **others: object) -> WebhookSettings:
    return WebhookSettings.model_validate({"url": url, **others})


async def run_through(url: str, published: list[Record], **settings: Any) -> list[Record]:
    """Runs the service until it has consumed everything; returns the dead letters."""
    webhook = webhook_at(url, headers={"X-Secret": "hush"})
    delivery = DeliverySettings.model_validate({**QUICK, "webhook": webhook, **settings})
    log = MemoryEventLog()
    await log.publish(published)
    async with open_webhook(delivery.webhook) as destination:
        service = build(log, destination, delivery, clock=SystemClock(), metrics=Metrics())
        async with running(service.background):
            await eventually(lambda: _caught_up(log))
    await log.close()
    return log.records(dead_letter_topic(TOPIC, "broadcast"))


async def _caught_up(log: MemoryEventLog) -> bool:
    return await log.lag(TOPIC, "broadcast") == 0


async def test_event_arrives_with_headers_and_trace_context() -> None:
    async with receiving(status(200)) as receiver:
        assert await run_through(receiver.url, records(3)) == []
    assert sorted(receiver.received) == ["gen-0", "gen-1", "gen-2"]
    [(method, path, headers)] = receiver.requests
    assert (method, path) == ("POST", "/traces?token=hush")
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Secret"] == "hush"
    assert headers["traceparent"] == TRACEPARENT


async def test_put_is_used_where_it_is_set() -> None:
    async with receiving(status(204)) as receiver:
        webhook = webhook_at(receiver.url, method="PUT")
        assert await run_through(receiver.url, records(1), webhook=webhook) == []
    assert [method for method, _, _ in receiver.requests] == ["PUT"]


async def test_destination_that_fails_twice_gets_the_trace_the_third_time() -> None:
    async with receiving(status(500), cut, status(200)) as receiver:
        assert await run_through(receiver.url, records(2)) == []
    assert len(receiver.requests) == 3
    assert sorted(receiver.received) == ["gen-0", "gen-1"]


async def test_refused_trace_becomes_a_dead_letter_with_the_reason() -> None:
    async with receiving(status(400)) as receiver:
        published = records(1)
        [dead] = await run_through(receiver.url, published)
    assert len(receiver.requests) == 1
    assert dead.value == published[0].value
    assert dead.headers[HEADER_DEAD_REASON] == "refused: HTTP 400"


async def test_destination_that_hangs_is_left_after_the_time_limit() -> None:
    async with receiving(hang) as receiver:
        dead = await run_through(receiver.url, records(1), request_timeout_s=0.05)
        assert [one.headers[HEADER_DEAD_REASON] for one in dead] == ["gave up: timed out"]
        assert len(receiver.requests) == 3


async def test_destination_that_hangs_does_not_hold_a_batch_beyond_its_time() -> None:
    async with receiving(hang) as receiver:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        dead = await run_through(receiver.url, records(2), request_timeout_s=60, give_up_after_s=0.2)
        assert loop.time() - began_s < 5.0
        assert len(dead) == 2


async def test_destination_that_is_not_there_makes_dead_letters_without_its_address() -> None:
    async with receiving(status(200)) as receiver:
        url = receiver.url
    [dead] = await run_through(url, records(1))
    assert dead.headers[HEADER_DEAD_REASON].startswith("gave up: no connection")
    assert "hush" not in str(dead.headers)
    assert "127.0.0.1" not in str(dead.headers)


async def test_redirect_is_not_followed() -> None:
    async with receiving(status(307, Location="/elsewhere"), status(200)) as receiver:
        [dead] = await run_through(receiver.url, records(1))
    assert dead.headers[HEADER_DEAD_REASON] == "refused: HTTP 307"
    assert len(receiver.requests) == 1


async def test_answer_without_an_end_counts_by_its_status() -> None:
    async with receiving(endless) as receiver, open_webhook(webhook_at(receiver.url)) as destination:
        assert destination is not None
        assert await destination.send(_empty(), traceparent="", timeout_s=5.0) == Answer(200)


async def test_retry_after_is_handed_on() -> None:
    async with (
        receiving(status(429, Retry_After="7")) as receiver,
        open_webhook(webhook_at(receiver.url)) as destination,
    ):
        assert destination is not None
        assert await destination.send(_empty(), traceparent="", timeout_s=5.0) == Answer(429, "7")


async def test_unreachable_destination_is_an_error_that_tells_no_address() -> None:
    async with receiving(cut) as receiver, open_webhook(webhook_at(receiver.url)) as destination:
        assert destination is not None
        with pytest.raises(DestinationUnreachableError) as caught:
            await destination.send(_empty(), traceparent="", timeout_s=5.0)
    assert "127.0.0.1" not in str(caught.value)


async def test_without_a_webhook_everything_is_consumed() -> None:
    log = MemoryEventLog()
    await log.publish(records(1_000))
    service = build(log, None, DeliverySettings(), clock=SystemClock(), metrics=Metrics())
    async with running(service.background):
        await eventually(lambda: _caught_up(log))
    await log.close()
    assert log.records(dead_letter_topic(TOPIC, "broadcast")) == []


def _empty() -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": []}]}]}
