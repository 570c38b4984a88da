"""The edge's HTTP application: routes, the one middleware, and how connections are accepted.

Owns what every request has in common: trace, errors, log line, metrics. Invariant: whatever happens, the caller gets the
common envelope or a closed connection, and the log one line.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, Tracer

from libs.clock import Clock
from libs.errors import AppError, Kind, internal
from libs.logs import facts
from libs.metrics import Metrics
from libs.ops import ReadinessCheck, ops_routes
from libs.traceparent import TRACEPARENT, context_of, new_span_context, parse_traceparent
from services.edge_proxy.http.account import AccountRoutes
from services.edge_proxy.http.catalogue import CatalogueRoutes
from services.edge_proxy.http.connection import MAX_HEAD_BYTES, Connection
from services.edge_proxy.http.inference import InferenceRoute
from services.edge_proxy.http.replies import GENERATION_ID, error_reply
from services.edge_proxy.ports import ClientGoneError

logger = logging.getLogger("services.edge_proxy.requests")

PREFIX: Final = "/api/v1"
KEEP_ALIVE_S: Final = 75.0
LINGERING_S: Final = 5.0
"""How long the rest of a refused body is read, so that the caller sees the refusal rather than a reset."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_application(
    *,
    inference: Mapping[str, InferenceRoute],
    catalogue: CatalogueRoutes,
    account: AccountRoutes,
    metrics: Metrics,
    check: ReadinessCheck,
    clock: Clock,
    tracer: Tracer | None,
) -> web.Application:
    requests = RequestFrame(metrics, clock, tracer)
    app = web.Application(middlewares=[web.middleware(requests)])
    app.add_routes(
        [
            *(web.post(f"{PREFIX}/{path}", route.post) for path, route in inference.items()),
            web.post(f"{PREFIX}/routing/explain", inference["chat/completions"].explain),
            *(web.post(f"{PREFIX}/routing/explain/{path}", route.explain) for path, route in inference.items()),
            web.get(f"{PREFIX}/models", catalogue.models),
            web.get(f"{PREFIX}/models/count", catalogue.count),
            web.get(f"{PREFIX}/models/user", catalogue.user_models),
            web.get(f"{PREFIX}/embeddings/models", catalogue.embedding_models),
            web.get(f"{PREFIX}/endpoints/zdr", catalogue.zdr_endpoints),
            web.get(f"{PREFIX}/providers", catalogue.providers),
            web.get(f"{PREFIX}/models/{{author}}/{{slug}}/endpoints", catalogue.endpoints),
            web.get(f"{PREFIX}/models/{{author}}/{{slug}}", catalogue.model),
            web.get(f"{PREFIX}/model/{{author}}/{{slug}}", catalogue.model),
            web.get(f"{PREFIX}/models/{{slug}}", catalogue.model),
            web.get(f"{PREFIX}/key", account.key),
            web.get(f"{PREFIX}/auth/key", account.key),
            web.get(f"{PREFIX}/credits", account.credits),
            web.get(f"{PREFIX}/generation", account.generation),
            *ops_routes(metrics, check),
        ]
    )
    return app


class RequestFrame:
    """What stands around every request."""

    def __init__(self, metrics: Metrics, clock: Clock, tracer: Tracer | None) -> None:
        self._metrics = metrics
        self._clock = clock
        self._tracer = tracer

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started_s = self._clock.monotonic_s()
        parent = parse_traceparent(request.headers.get(TRACEPARENT))
        route = _route(request)
        if self._tracer is None:
            token = otel_context.attach(context_of(parent or new_span_context()))
            span = None
        else:
            span = self._tracer.start_span(
                f"{request.method} {route}",
                context=context_of(parent) if parent else None,
                kind=SpanKind.SERVER,
                attributes={"http.request.method": request.method, "http.route": route},
            )
            token = otel_context.attach(context_of(span))
        self._metrics.requests_in_flight.inc()
        status = 499
        reply: web.StreamResponse | None = None
        try:
            reply = await self._reply(request, handler)
            status = reply.status
            return reply
        finally:
            self._metrics.requests_in_flight.dec()
            if span is not None:
                span.set_attribute("http.response.status_code", status)
                span.end()
            otel_context.detach(token)
            self._finish(request, route, reply, status, started_s)

    async def _reply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except AppError as error:
            return error_reply(error)
        except web.HTTPException as error:
            return error_reply(_of_http(error, request))
        except (ConnectionError, ClientGoneError):
            raise
        except Exception:
            logger.exception("request failed unexpectedly", extra=facts(route=_route(request)))
            if request.writer.output_size:
                raise ConnectionResetError("a reply is under way; its body must not look whole") from None
            return error_reply(internal())

    def _finish(
        self, request: web.Request, route: str, reply: web.StreamResponse | None, status: int, started_s: float
    ) -> None:
        elapsed_s = self._clock.monotonic_s() - started_s
        stream = "1" if reply is not None and reply.content_type == "text/event-stream" else "0"
        self._metrics.requests.labels(route, str(status), stream).inc()
        self._metrics.request_seconds.labels(route, stream).observe(elapsed_s)
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "request",
                extra=facts(
                    method=request.method,
                    route=route,
                    status=status,
                    stream=stream == "1",
                    duration_ms=round(elapsed_s * 1000, 1),
                    generation_id=reply.headers.get(GENERATION_ID) if reply is not None else None,
                ),
            )


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _of_http(error: web.HTTPException, request: web.Request) -> AppError:
    if error.status in {404, 405}:
        return AppError(Kind.MISSING, "ROUTE_UNKNOWN", f"No such route: {request.method} {request.path[:200]}")
    if error.status == 413:
        return AppError(Kind.TOO_LARGE, "BODY_TOO_LARGE", "The request is too large")
    return AppError(Kind.INVALID, "HTTP_INVALID", "The request is not valid HTTP")


class HttpServer:
    """Accepts connections for an application, within the limits of DESIGN §11."""

    def __init__(self, app: web.Application, host: str, port: int, *, head_limit_s: float, drain_s: float) -> None:
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=drain_s)
        self._host = host
        self._port = port
        self._head_limit_s = head_limit_s
        self._listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Listens; returns the port."""
        await self._runner.setup()
        manager = self._runner.server
        if manager is None:
            raise RuntimeError("the runner has no server")
        loop = asyncio.get_running_loop()

        def accept() -> Connection:
            return Connection(
                manager,
                head_limit_s=self._head_limit_s,
                loop=loop,
                access_log=None,
                keepalive_timeout=KEEP_ALIVE_S,
                lingering_time=LINGERING_S,
                max_line_size=MAX_HEAD_BYTES,
                max_field_size=MAX_HEAD_BYTES,
            )

        self._listener = await loop.create_server(accept, self._host, self._port, backlog=1024)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stops accepting, lets running requests finish within the drain time."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()
