"""A channel over ordinary gRPC that fails as the others do: for tools, and to compare with sessions.

Owns rebuilding `AppError` from a status. Invariant: the stubs behave as over a session, at the price of an HTTP/2 stream
for each call; only that gRPC begins a call when it is made.
"""

from collections.abc import AsyncGenerator, Generator
from typing import Any

from grpc import aio

from libs.rpc.calls import ClientMethod, MetadataPairs, StreamCall, UnaryCall, UnaryClientChannel
from libs.rpc.frames import MAX_MESSAGE_BYTES
from libs.rpc.links import CHANNEL_OPTIONS
from libs.rpc.status import app_error
from libs.traceparent import TRACEPARENT, current_traceparent

_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)


class PlainChannel(UnaryClientChannel):
    """A channel to one target.

    Args:
        peer: the service behind the target, as errors name it.
    """

    def __init__(self, target: str, *, peer: str) -> None:
        self.peer = peer
        self._channel = aio.insecure_channel(target, _OPTIONS)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def make_unary(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> UnaryCall[Any]:
        call = self._channel.unary_unary(method.path, method.serialize, method.parse)
        return _UnaryPlainCall(call(request, timeout=timeout_s, metadata=_with_trace(metadata)), self.peer)

    def make_stream(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> StreamCall[Any]:
        call = self._channel.unary_stream(method.path, method.serialize, method.parse)
        running = call(request, timeout=timeout_s, metadata=_with_trace(metadata))
        return StreamCall(_replies(running, self.peer), running.cancel)


class _UnaryPlainCall(UnaryCall[Any]):
    def __init__(self, call: "aio.UnaryUnaryCall[Any, Any]", peer: str) -> None:
        self._call = call
        self._peer = peer

    def __await__(self) -> Generator[Any, None, Any]:
        return self._run().__await__()

    async def _run(self) -> Any:
        try:
            return await self._call
        except aio.AioRpcError as error:
            raise app_error(error, self._peer) from None

    def cancel(self) -> bool:
        return self._call.cancel()


async def _replies(call: "aio.UnaryStreamCall[Any, Any]", peer: str) -> AsyncGenerator[Any, None]:
    try:
        async for reply in call:
            yield reply
    except aio.AioRpcError as error:
        raise app_error(error, peer) from None
    finally:
        call.cancel()


def _with_trace(metadata: MetadataPairs | None) -> "list[tuple[str, str | bytes]]":
    pairs = list(metadata or ())
    traceparent = current_traceparent()
    if traceparent is not None:
        pairs.append((TRACEPARENT, traceparent))
    return pairs
