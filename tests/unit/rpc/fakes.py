"""Servicers that do as the request says, and a way to wait for what they noticed."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from opentelemetry.trace import Tracer, get_current_span
from switchyard.ledger.v1.ledger_pb2 import HoldRequest, HoldResponse
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceServicer, add_LedgerServiceServicer_to_server
from switchyard.provider.v1.provider_pb2 import Chunks, GenerateRequest, GenerateResponse, Result
from switchyard.provider.v1.provider_pb2_grpc import (
    ProviderAdapterServiceServicer,
    add_ProviderAdapterServiceServicer_to_server,
)

from libs.errors import AppError, Kind
from libs.rpc.methods import MethodTable
from libs.rpc.server import RpcServer

PAYMENT = AppError(
    Kind.PAYMENT, "INSUFFICIENT_CREDITS", "Not enough credits.", {"affordable_tokens": "12"}, retry_after_s=1.5
)


class Noticed:
    """What servicers saw, in words; tests wait for it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.changed = asyncio.Event()

    def add(self, what: str) -> None:
        self.counts[what] += 1
        self.changed.set()
        self.changed = asyncio.Event()

    async def wait(self, what: str, times: int = 1) -> None:
        await self.until(lambda: self.counts[what] >= times)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await self.changed.wait()


class FakeLedger(LedgerServiceServicer):
    """`Hold` behaves as `owner` says; by default it holds what was asked for."""

    def __init__(self, noticed: Noticed) -> None:
        self.noticed = noticed
        self.release = asyncio.Event()
        self.metadata: list[dict[str, Any]] = []
        self.times_left_s: list[float] = []
        self.trace_ids: list[int] = []

    async def Hold(self, request: HoldRequest, context: Any) -> HoldResponse:  # noqa: N802
        self.metadata.append(dict(context.invocation_metadata()))
        self.times_left_s.append(context.time_remaining())
        self.noticed.add("hold")
        self.trace_ids.append(get_current_span().get_span_context().trace_id)
        match request.owner:
            case "typed":
                raise PAYMENT
            case "untyped":
                raise ValueError("the secret is 42")
            case "block":
                self.noticed.add("hold begun")
                try:
                    await self.release.wait()
                except asyncio.CancelledError:
                    self.noticed.add("hold cancelled")
                    raise
                finally:
                    self.noticed.add("hold over")
        return HoldResponse(held_nano_usd=len(request.account_id), tokens=request.tokens)


class FakeAdapter(ProviderAdapterServiceServicer):
    """`Generate` behaves as `model` says and yields `created_s` numbered chunks of `max_tokens` bytes."""

    def __init__(self, noticed: Noticed) -> None:
        self.noticed = noticed
        self.yielded = 0
        self.release = asyncio.Event()
        self.trace_ids: list[int] = []

    async def Generate(self, request: GenerateRequest, context: Any) -> AsyncIterator[GenerateResponse]:  # noqa: N802
        try:
            for index in range(request.created_s):
                self.yielded += 1
                self.trace_ids.append(get_current_span().get_span_context().trace_id)
                self.noticed.add("yielded")
                yield GenerateResponse(chunks=Chunks(sse=b"%08d" % index + b"x" * request.max_tokens))
            match request.model:
                case "typed":
                    raise PAYMENT
                case "untyped":
                    raise ValueError("the secret is 42")
                case "block":
                    self.noticed.add("blocked")
                    await self.release.wait()
                case "echo":
                    yield GenerateResponse(result=Result(json=request.body))
        finally:
            # A servicer's clean-up takes time, such as closing the provider's connection.
            await asyncio.sleep(0)
            self.noticed.add("generate over")


class Fakes:
    """Both servicers and their table."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.noticed = Noticed()
        self.ledger: FakeLedger = cast("Any", FakeLedger)(self.noticed)  # the methods left out are left out on purpose
        self.adapter: FakeAdapter = cast("Any", FakeAdapter)(self.noticed)
        self.table = MethodTable(tracer=tracer)
        add_LedgerServiceServicer_to_server(self.ledger, self.table)
        add_ProviderAdapterServiceServicer_to_server(self.adapter, self.table)

    def server(self, port: int = 0, **settings: Any) -> RpcServer:
        return RpcServer(self.table, address=f"127.0.0.1:{port}", **settings)


def number(reply: GenerateResponse) -> int:
    """The number of a chunk of `FakeAdapter`."""
    return int(reply.chunks.sse[:8])


async def serve_until_killed(port: int) -> None:
    """A process of its own: prints its port, then a line for each call that blocks."""
    fakes = Fakes()
    server = fakes.server(port)
    print(await server.start(), flush=True)
    begun = 0
    while True:
        begun += 1
        while fakes.noticed.counts["hold begun"] < begun:
            await fakes.noticed.changed.wait()
        print("hold begun", flush=True)


if __name__ == "__main__":
    asyncio.run(serve_until_killed(int(sys.argv[1])))
