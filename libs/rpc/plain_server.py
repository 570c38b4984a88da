"""The methods of a table over ordinary gRPC, for grpcurl, other languages and tests.

Owns turning errors into statuses there. Does not carry the traffic between our services: sessions do. Invariant: a
method behaves the same here as over a session.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, Self

import grpc
from grpc import aio
from opentelemetry.trace import Tracer

from libs.errors import AppError
from libs.rpc.failures import hidden
from libs.rpc.methods import Method, MethodTable
from libs.rpc.status import abort
from libs.rpc.trace import enter_trace, served_span
from libs.traceparent import TRACEPARENT


def add_plain_methods(table: MethodTable, server: aio.Server) -> None:
    """Registers every method of the table with a server."""
    services: dict[str, dict[str, Any]] = {}
    for method in table:
        service, _, name = method.path[1:].partition("/")
        services.setdefault(service, {})[name] = _handler(method, table.tracer)
    for service, handlers in services.items():
        server.add_registered_method_handlers(service, handlers)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _handler(method: Method, tracer: Tracer | None) -> Any:
    make: Callable[..., Any] = (
        grpc.unary_stream_rpc_method_handler if method.streaming else grpc.unary_unary_rpc_method_handler
    )
    run = _stream(method, tracer) if method.streaming else _unary(method, tracer)
    return make(run, request_deserializer=method.parse, response_serializer=method.serialize)


def _unary(method: Method, tracer: Tracer | None) -> Callable[..., Any]:
    async def serve(request: Any, context: "aio.ServicerContext[Any, Any]") -> Any:
        async with _Serving(method.path, tracer, context):
            return await method.handler(request, context)

    return serve


def _stream(method: Method, tracer: Tracer | None) -> Callable[..., Any]:
    async def serve(request: Any, context: "aio.ServicerContext[Any, Any]") -> AsyncGenerator[Any, None]:
        async with _Serving(method.path, tracer, context), aclosing(method.handler(request, context)) as replies:
            async for reply in replies:
                yield reply

    return serve


class _Serving(AsyncExitStack):
    """Around a servicer: enters the caller's trace, turns what it raises into a status."""

    def __init__(self, path: str, tracer: Tracer | None, context: "aio.ServicerContext[Any, Any]") -> None:
        super().__init__()
        self._path = path
        self._tracer = tracer
        self._context = context

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.push_async_exit(self._abort)
        for key, value in self._context.invocation_metadata() or ():
            if key == TRACEPARENT:
                enter_trace(str(value))
        if self._tracer is not None:
            self.enter_context(served_span(self._tracer, self._path))
        return self

    async def _abort(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, AppError):
            await abort(self._context, error)
        elif isinstance(error, Exception) and not isinstance(error, aio.AbortError):
            await abort(self._context, hidden(error, self._path))
