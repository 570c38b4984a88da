"""The gRPC door of a process: sessions, the same methods plainly, and health.

Owns listening and the order of shutdown. Does not own servicers. Invariant: on the way down health goes first, then new
calls are refused, then running ones get their grace; after `stop` nothing of a servicer runs any more.
"""

import asyncio
from collections.abc import Sequence

import grpc
from grpc import aio
from switchyard.rpc.v1.session_pb2 import OpenRequest, OpenResponse
from switchyard.rpc.v1.session_pb2_grpc import SessionServiceServicer, add_SessionServiceServicer_to_server

from libs.rpc.frames import MAX_MESSAGE_BYTES
from libs.rpc.health import Health
from libs.rpc.methods import MethodTable
from libs.rpc.plain_server import add_plain_methods
from libs.rpc.server_session import MAX_CALLS, ProtocolBrokenError, ServerSession

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a lottery
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_MAX_SESSIONS = 1024


class RpcServer:
    """Serves a table on a port.

    Args:
        address: `host:port`; port 0 is a free one.
        service_names: what health answers for beside the server itself; by default the services of the table.
        max_calls_per_session: calls at once on one session; more are refused as overloaded.
    """

    def __init__(
        self,
        table: MethodTable,
        *,
        address: str,
        service_names: Sequence[str] | None = None,
        max_calls_per_session: int = MAX_CALLS,
    ) -> None:
        self._table = table
        self._address = address
        self._health = Health(table.service_names if service_names is None else service_names)
        self._sessions = _Sessions(table, max_calls_per_session)
        self._server: aio.Server | None = None

    async def start(self) -> int:
        """Listens; returns the port.

        Raises:
            RuntimeError: the address cannot be listened on.
        """
        server = aio.server(options=_OPTIONS)
        try:
            add_plain_methods(self._table, server)
            add_SessionServiceServicer_to_server(self._sessions, server)
            self._health.add_to(server)
            port = server.add_insecure_port(self._address)
            await server.start()
        except BaseException:
            await server.stop(None)
            raise
        self._server = server
        return port

    def set_serving(self, serving: bool) -> None:
        """What health says; calls are served either way."""
        self._health.set_serving(serving)

    async def stop(self, grace_s: float) -> None:
        """Refuses new sessions and calls, lets running calls end within the grace, then cancels them. Idempotent."""
        self._health.close()
        if self._server is None:
            return
        server, self._server = self._server, None
        self._sessions.drain()
        stopping = asyncio.ensure_future(server.stop(grace_s))
        await asyncio.wait({stopping}, timeout=grace_s)
        self._sessions.end()
        await stopping


class _Sessions(SessionServiceServicer):
    def __init__(self, table: MethodTable, max_calls: int) -> None:
        self._table = table
        self._max_calls = max_calls
        self._open: set[ServerSession] = set()
        self._draining = False

    async def Open(  # type: ignore[override]  # noqa: N802 (name of the proto; generated types know generators alone)
        self,
        request_iterator: object,  # noqa: ARG002 (the session reads for itself)
        context: "aio.ServicerContext[OpenRequest, OpenResponse]",
    ) -> None:
        if self._draining or len(self._open) >= _MAX_SESSIONS:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no new sessions")
        await context.send_initial_metadata(())
        session = ServerSession(
            self._table, context.read, context.write, peer=context.peer(), max_calls=self._max_calls
        )
        self._open.add(session)
        try:
            await session.serve()
        except ProtocolBrokenError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        finally:
            self._open.discard(session)

    def drain(self) -> None:
        self._draining = True
        for session in self._open:
            session.drain()

    def end(self) -> None:
        for session in self._open:
            session.end()
