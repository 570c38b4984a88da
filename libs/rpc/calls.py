"""What stubs hand to callers: the same kinds of call whichever channel carries them.

Owns what every channel of this package has in common. Does not carry anything. Invariant: a call begins when it is
awaited or iterated, not before; one that is never awaited never happens. It fails with `AppError` and nothing else.
"""

# ruff: noqa: ARG002 (signatures are grpc's)

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

import grpc
from grpc import aio

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
MetadataPairs = aio.Metadata | Sequence[tuple[str, str | bytes]]
Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]

_NOT_OFFERED = "not offered here: errors arrive as AppError, and replies have no metadata"


class _Call(aio.Call):
    """The parts of grpc's call that nobody here needs."""

    def cancelled(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def done(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def time_remaining(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def add_done_callback(self, callback: Callable[[Any], None]) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def initial_metadata(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def trailing_metadata(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def code(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def details(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def wait_for_connection(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)


class UnaryCall(_Call, aio.UnaryUnaryCall[Any, ResponseT], Generic[ResponseT]):
    """A call with one reply; `await` it once. Channels say how to `cancel` it from elsewhere."""


class StreamCall(_Call, aio.UnaryStreamCall[Any, ResponseT], Generic[ResponseT]):
    """A call with many replies; iterate it once.

    To leave early: `cancel()`, or `aclose()`, which also waits for the callee in the same process to finish; dropping
    the iterator does the same a little later.
    """

    def __init__(self, iterator: AsyncGenerator[ResponseT, None], cancel: Callable[[], bool]) -> None:
        self._iterator = iterator
        self._cancel = cancel

    def __aiter__(self) -> AsyncIterator[ResponseT]:
        return self._iterator

    async def read(self) -> object | ResponseT:
        """The next reply, `grpc.aio.EOF` after the last."""
        try:
            return await self._iterator.__anext__()
        except StopAsyncIteration:
            return aio.EOF

    def cancel(self) -> bool:
        """Ends the call; whoever waits for it gets `CancelledError`. False: it had ended before."""
        return self._cancel()

    async def aclose(self) -> None:
        await self._iterator.aclose()


class UnaryMethod(aio.UnaryUnaryMultiCallable[Any, ResponseT], Generic[ResponseT]):
    """A stub's method with one reply; `begin(request, timeout_s, metadata)` makes its calls."""

    def __init__(self, begin: Callable[[Any, float | None, MetadataPairs | None], UnaryCall[ResponseT]]) -> None:
        self._begin = begin

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: MetadataPairs | None = None,
        credentials: object = None,
        wait_for_ready: bool | None = None,
        compression: object = None,
    ) -> UnaryCall[ResponseT]:
        return self._begin(request, timeout, metadata)


class StreamMethod(aio.UnaryStreamMultiCallable[Any, ResponseT], Generic[ResponseT]):
    """A stub's method with many replies; `begin(request, timeout_s, metadata)` makes its calls."""

    def __init__(self, begin: Callable[[Any, float | None, MetadataPairs | None], StreamCall[ResponseT]]) -> None:
        self._begin = begin

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: MetadataPairs | None = None,
        credentials: object = None,
        wait_for_ready: bool | None = None,
        compression: object = None,
    ) -> StreamCall[ResponseT]:
        return self._begin(request, timeout, metadata)


@dataclass(frozen=True, slots=True)
class ClientMethod:
    """What a stub tells a channel about one of its methods."""

    path: str
    serialize: Serializer
    parse: Deserializer


class UnaryClientChannel(aio.Channel):
    """A channel whose methods take one request each; a subclass says how calls of a method are made."""

    @abstractmethod
    def make_unary(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> UnaryCall[Any]: ...

    @abstractmethod
    def make_stream(
        self, method: ClientMethod, request: Any, timeout_s: float | None, metadata: MetadataPairs | None
    ) -> StreamCall[Any]: ...

    def unary_unary(
        self,
        method: str,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = None,
    ) -> UnaryMethod[Any]:
        """Called by generated code."""
        assert request_serializer is not None
        assert response_deserializer is not None
        return UnaryMethod(partial(self.make_unary, ClientMethod(method, request_serializer, response_deserializer)))

    def unary_stream(
        self,
        method: str,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = None,
    ) -> StreamMethod[Any]:
        """Called by generated code."""
        assert request_serializer is not None
        assert response_deserializer is not None
        return StreamMethod(partial(self.make_stream, ClientMethod(method, request_serializer, response_deserializer)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> NoReturn:
        raise NotImplementedError("wait for channel_ready() instead")

    def stream_unary(
        self,
        method: str,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = None,
    ) -> NoReturn:
        raise NotImplementedError(f"{method} streams requests; only unary requests are carried")

    def stream_stream(
        self,
        method: str,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = None,
    ) -> NoReturn:
        raise NotImplementedError(f"{method} streams requests; only unary requests are carried")
