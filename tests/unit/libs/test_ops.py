"""The operator's door: liveness, readiness, metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from libs.metrics import Metrics
from libs.ops import OpsServer


class Check:
    """Readiness that can be set."""

    waiting_for: str | None = None

    async def __call__(self) -> str | None:
        return self.waiting_for


@asynccontextmanager
async def opened(metrics: Metrics, check: Check) -> AsyncIterator[aiohttp.ClientSession]:
    server = OpsServer(metrics, check, "127.0.0.1", 0)
    port = await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        await server.stop()


async def test_readiness_says_what_it_waits_for_and_liveness_does_not_care() -> None:
    check = Check()
    async with opened(Metrics(), check) as session:
        async with session.get("/readyz") as reply:
            assert (reply.status, await reply.json()) == (200, {"status": "ready"})
        check.waiting_for = "router"
        async with session.get("/readyz") as reply:
            assert (reply.status, await reply.json()) == (503, {"status": "waiting", "for": "router"})
        async with session.get("/healthz") as reply:
            assert reply.status == 200


async def test_metrics_are_exposed_for_prometheus() -> None:
    metrics = Metrics()
    metrics.tokens.labels("alpha", "prompt").inc(5)
    async with opened(metrics, Check()) as session, session.get("/metrics") as reply:
        text = await reply.text()
        assert reply.content_type == "text/plain"
    assert 'switchyard_tokens_total{kind="prompt",provider="alpha"} 5.0' in text


async def test_server_that_stopped_can_be_stopped_again() -> None:
    server = OpsServer(Metrics(), Check(), "127.0.0.1", 0)
    await server.start()
    await server.stop()
    await server.stop()


def test_two_processes_worth_of_metrics_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    one.overdrafts.inc()
    assert other.registry.get_sample_value("switchyard_overdrafts_total") == 0.0
