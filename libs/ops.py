"""The operator's door of a process: /healthz, /readyz, /metrics.

Owns these three routes. Does not decide readiness: a check given by main does. Invariant: liveness never depends on
another process.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from libs.metrics import Metrics

ReadinessCheck = Callable[[], Awaitable[str | None]]
"""None when ready, else what it waits for."""


def ops_routes(metrics: Metrics, check: ReadinessCheck) -> list[web.RouteDef]:
    """The routes, for an application of their own or for the edge's."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        waiting_for = await check()
        if waiting_for is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "waiting", "for": waiting_for}, status=503)

    async def expose(_: web.Request) -> web.Response:
        body = generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", expose)]


class OpsServer:
    """A small HTTP server for these routes."""

    def __init__(self, metrics: Metrics, check: ReadinessCheck, host: str, port: int) -> None:
        app = web.Application()
        app.add_routes(ops_routes(metrics, check))
        self._runner = web.AppRunner(app, access_log=None)
        self._host = host
        self._port = port

    async def start(self) -> int:
        """Listens; returns the port."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()
