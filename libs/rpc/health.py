"""The standard health service, `grpc.health.v1.Health`, for Kubernetes' gRPC probes and grpcurl.

Owns the state of each service of a server. Does not decide readiness: whoever runs the server does. Invariant: a watcher
sees every change, the state at its start first. The messages have one field each and are written by hand.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import grpc
from grpc import aio

SERVICE = "grpc.health.v1.Health"
_SERVING = b"\x08\x01"
_NOT_SERVING = b"\x08\x02"
_SERVICE_UNKNOWN = b"\x08\x03"
_MAX_NAME_BYTES = 127
"""So that a length is one byte."""


class Health:
    """Health of the server itself (the empty name) and of its services, all in the same state."""

    def __init__(self, service_names: Iterable[str]) -> None:
        self._names = {"", *service_names}
        self._serving = False
        self._closed = False
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        if serving != self._serving:
            self._serving = serving
            self._tell()

    def close(self) -> None:
        """Not serving, for good: watchers are told so and let go, so that they do not hold up the server's end."""
        self._serving = False
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def add_to(self, server: aio.Server) -> None:
        handlers: dict[str, Any] = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    def _state(self, name: str) -> bytes:
        if name not in self._names:
            return _SERVICE_UNKNOWN
        return _SERVING if self._serving else _NOT_SERVING

    async def _check(self, request: bytes, context: "aio.ServicerContext[bytes, bytes]") -> bytes:
        name = _name(request)
        if name not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self._state(name)

    async def _watch(self, request: bytes, _: "aio.ServicerContext[bytes, bytes]") -> AsyncGenerator[bytes, None]:
        name = _name(request)
        while True:
            changed = self._changed
            yield self._state(name)
            if self._closed:
                return
            await changed.wait()


def _name(request: bytes) -> str:
    """Field 1, a string; anything else is a name that no service has."""
    if not request:
        return ""
    if len(request) > _MAX_NAME_BYTES + 2 or request[0] != 0x0A or request[1] != len(request) - 2:
        return "?"
    return request[2:].decode("utf-8", "replace")
