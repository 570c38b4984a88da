"""The methods that a process serves, whoever calls them: sessions, plain gRPC or its own process.

Owns the table that generated `add_…Servicer_to_server` functions fill. Does not run or listen to anything.
Invariant: one path, one method; a table is filled before it is served and never changes afterwards.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from grpc import aio
from opentelemetry.trace import Tracer


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a servicer.

    Attributes:
        path: `/package.Service/Method`.
        handler: `async def (request, context)`, an async generator when `streaming`.
        parse: makes the request from bytes; raises `DecodeError` or `ValueError` when they are malformed.
        serialize: makes bytes of a response.
    """

    path: str
    handler: Callable[[Any, Any], Any]
    streaming: bool
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]


class MethodTable(aio.Server):
    """Stands where generated code expects a server, and collects what it is given.

    Args:
        tracer: makes a SERVER span of every call; None makes no spans.
    """

    def __init__(self, *, tracer: Tracer | None = None) -> None:
        self.tracer = tracer
        self._methods: dict[str, Method] = {}

    def find(self, path: str) -> Method | None:
        return self._methods.get(path)

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    @property
    def service_names(self) -> list[str]:
        """Full names of the services in the table."""
        return sorted({path[1:].partition("/")[0] for path in self._methods})

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
    ) -> None:
        """Called by generated code.

        Raises:
            ValueError: a path is taken, or a method streams requests, which nothing here carries.
        """
        for name, handler in method_handlers.items():
            path = f"/{service_name}/{name}"
            if path in self._methods:
                raise ValueError(f"{path} is served already")
            if handler.request_streaming:
                raise ValueError(f"{path} streams requests; only unary requests are carried")
            run = handler.unary_stream if handler.response_streaming else handler.unary_unary
            assert run is not None
            assert handler.request_deserializer is not None
            assert handler.response_serializer is not None
            self._methods[path] = Method(
                path, run, handler.response_streaming, handler.request_deserializer, handler.response_serializer
            )

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Ignored: generated code registers the same methods by name as well."""

    def add_insecure_port(self, address: str) -> NoReturn:
        raise NotImplementedError("a method table does not listen; RpcServer does")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> NoReturn:
        raise NotImplementedError("a method table does not listen; RpcServer does")

    async def start(self) -> None:
        raise NotImplementedError("a method table does not run; RpcServer does")

    async def stop(self, grace: float | None) -> None:
        raise NotImplementedError("a method table does not run; RpcServer does")

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 (grpc's signature)
        raise NotImplementedError("a method table does not run; RpcServer does")
