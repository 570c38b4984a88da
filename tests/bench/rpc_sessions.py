"""What a call between services costs: in process, over a session, over plain gRPC; two processes, loopback.

Run: `python tests/bench/rpc_sessions.py [callers]`; `ONLY=session` (or `in-process`, `plain`) measures one kind, `TRACE=1`
calls from within a trace. Prints calls per second and CPU per call, summed over both ends.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any, cast

import psutil
from grpc import aio
from opentelemetry.context import attach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from switchyard.ledger.v1.ledger_pb2 import HoldRequest, HoldResponse
from switchyard.ledger.v1.ledger_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from switchyard.provider.v1.provider_pb2 import Chunks, GenerateRequest, GenerateResponse
from switchyard.provider.v1.provider_pb2_grpc import (
    ProviderAdapterServiceServicer,
    ProviderAdapterServiceStub,
    add_ProviderAdapterServiceServicer_to_server,
)

from libs.rpc.in_process import InProcessChannel
from libs.rpc.methods import MethodTable
from libs.rpc.plain_channel import PlainChannel
from libs.rpc.server import RpcServer
from libs.rpc.session_channel import SessionChannel

_SECONDS = 3.0
_CHUNKS = 40
_HOLD = HoldRequest(
    generation_id="gen-1750000000-abcdefghijklmnopqrst",
    account_id="acct_0197a0b0-0000-7000-8000-000000000000",
    key_hash="0123456789abcdef" * 4,
    fixed_nano_usd=12_345,
    token_price=600_000_000,
    tokens=4096,
    minimum_tokens=1,
    owner="edge-1",
)
_GENERATE = GenerateRequest(generation_id="gen-1", stream=True, body=b'{"messages":[]}' + b" " * 1000)


class Ledger(LedgerServiceServicer):
    async def Hold(self, request: HoldRequest, context: object) -> HoldResponse:  # noqa: N802 (name of the proto)
        return HoldResponse(held_nano_usd=request.fixed_nano_usd, tokens=request.tokens)


class Adapter(ProviderAdapterServiceServicer):
    async def Generate(  # noqa: N802 (name of the proto)
        self, request: GenerateRequest, context: object
    ) -> AsyncIterator[GenerateResponse]:
        for _ in range(_CHUNKS):
            yield GenerateResponse(chunks=Chunks(sse=b"data: " + b"x" * 200 + b"\n\n"))
            await asyncio.sleep(0)


def table() -> MethodTable:
    methods = MethodTable()
    add_LedgerServiceServicer_to_server(cast("Any", Ledger)(), methods)
    add_ProviderAdapterServiceServicer_to_server(cast("Any", Adapter)(), methods)
    return methods


def serve(pipe: Connection) -> None:
    async def main() -> None:
        server = RpcServer(table(), address="127.0.0.1:0")
        pipe.send(await server.start())
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await server.stop(1.0)

    asyncio.run(main())


async def measure(name: str, call: Callable[[], Awaitable[None]], callers: int, server: psutil.Process | None) -> None:
    for _ in range(200):
        await call()
    calls = 0
    until = time.monotonic() + _SECONDS

    async def caller() -> None:
        nonlocal calls
        while time.monotonic() < until:
            await call()
            calls += 1

    begun, own, theirs = time.monotonic(), time.process_time(), _cpu_s(server)
    await asyncio.gather(*(caller() for _ in range(callers)))
    took_s = time.monotonic() - begun
    own_us, their_us = (time.process_time() - own) / calls * 1e6, (_cpu_s(server) - theirs) / calls * 1e6
    print(
        f"{name:32} {callers:4} callers {calls / took_s:9.0f} calls/s   CPU per call {own_us + their_us:7.1f} µs"
        f" (caller {own_us:.1f}, callee {their_us:.1f})"
    )


def _cpu_s(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure_channel(name: str, channel: aio.Channel, callers: int, server: psutil.Process | None) -> None:
    ledger, adapter = LedgerServiceStub(channel), ProviderAdapterServiceStub(channel)

    async def unary() -> None:
        await ledger.Hold(_HOLD, timeout=5.0)

    async def stream() -> None:
        async for _ in adapter.Generate(_GENERATE, timeout=60.0):
            pass

    await measure(f"{name}, unary", unary, callers, server)
    await measure(f"{name}, {_CHUNKS} chunks", stream, callers, server)


async def main(callers: int) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    target = f"127.0.0.1:{ours.recv()}"
    assert process.pid is not None
    server = psutil.Process(process.pid)
    only = os.environ.get("ONLY", "")
    if os.environ.get("TRACE"):
        span = SpanContext(1 << 100, 1 << 50, is_remote=False, trace_flags=TraceFlags(1))
        attach(set_span_in_context(NonRecordingSpan(span)))
    if only in {"", "in-process"}:
        await measure_channel("in process", InProcessChannel(table()), callers, None)
    if only in {"", "session"}:
        sessions = SessionChannel([target], peer="bench")
        await sessions.wait_ready(5.0)
        await measure_channel("session", sessions, callers, server)
        await measure_channel("session", sessions, 1, server)
        await sessions.close()
    if only in {"", "plain"}:
        plain = PlainChannel(target, peer="bench")
        await measure_channel("plain gRPC", plain, callers, server)
        await measure_channel("plain gRPC", plain, 1, server)
        await plain.close()
    ours.send("stop")
    process.join(5)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 32))
