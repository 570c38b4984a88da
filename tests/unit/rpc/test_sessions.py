"""What only sessions do: many calls on one stream, in pieces, to peers that come and go."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio
from switchyard.ledger.v1.ledger_pb2 import HoldRequest
from switchyard.provider.v1.provider_pb2 import GenerateRequest
from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceStub
from switchyard.rpc.v1.session_pb2 import Frame, OpenRequest, OpenResponse, Start
from switchyard.rpc.v1.session_pb2_grpc import SessionServiceStub

from libs.errors import AppError, Kind
from libs.rpc.frames import WINDOW_BYTES
from libs.rpc.session_channel import SessionChannel
from tests.unit.rpc.fakes import Fakes, number
from tests.unit.rpc.test_every_channel import generate, hold

_HOLD = "/switchyard.ledger.v1.LedgerService/Hold"
_GENERATE = "/switchyard.provider.v1.ProviderAdapterService/Generate"


@asynccontextmanager
async def channel_to(*ports: int, **settings: Any) -> AsyncIterator[SessionChannel]:
    channel = SessionChannel([f"127.0.0.1:{port}" for port in ports], peer="fakes", **settings)
    try:
        yield channel
    finally:
        await channel.close()


async def failing(call: Any) -> AppError:
    """The error that a call ends with."""
    try:
        await call
    except AppError as error:
        return error
    pytest.fail("the call did not fail")


async def free_port() -> int:
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_call_without_a_peer_is_unavailable_after_the_wait_and_was_not_sent() -> None:
    async with channel_to(await free_port(), connect_wait_s=0.2) as channel:
        error = await failing(hold(channel))
    assert (error.kind, error.reason) == (Kind.NO_ROUTE, "SERVICE_UNAVAILABLE")
    assert error.metadata == {"service": "fakes", "sent": "false"}


async def test_call_without_a_peer_waits_no_longer_than_its_own_timeout() -> None:
    async with channel_to(await free_port(), connect_wait_s=60) as channel, asyncio.timeout(10):
        error = await failing(hold(channel, timeout=0.1))
    assert error.reason == "SERVICE_UNAVAILABLE"


async def test_call_waits_for_a_peer_that_comes_up_in_time(fakes: Fakes) -> None:
    port = await free_port()
    server = fakes.server(port)
    async with channel_to(port, connect_wait_s=10) as channel:
        call = asyncio.create_task(hold(channel, tokens=3))
        await server.start()
        assert await call == 3
        await server.stop(0)


async def test_waiting_call_can_be_cancelled() -> None:
    async with channel_to(await free_port(), connect_wait_s=60) as channel:
        task = asyncio.create_task(hold(channel))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_wait_ready_without_a_peer_is_unavailable() -> None:
    async with channel_to(await free_port()) as channel:
        error = await failing(channel.wait_ready(0.1))
    assert error.reason == "SERVICE_UNAVAILABLE"


async def test_server_stopped_without_grace_fails_calls_at_once(fakes: Fakes) -> None:
    server = fakes.server()
    async with channel_to(await server.start()) as channel:
        unary = asyncio.create_task(failing(hold(channel, "block")))
        stream = asyncio.create_task(failing(_drain(generate(channel, "block", chunks=3))))
        await fakes.noticed.wait("hold begun")
        await fakes.noticed.wait("blocked")
        await server.stop(0)
        for error in (await unary, await stream):
            assert (error.kind, error.reason) == (Kind.NO_ROUTE, "PEER_LOST")
            assert error.metadata == {"service": "fakes", "sent": "true"}
        # Nothing of a servicer outlives its server.
        assert fakes.noticed.counts["hold cancelled"] == 1
        assert fakes.noticed.counts["generate over"] == 1


async def _drain(call: Any) -> None:
    async for _ in call:
        pass


async def test_killed_process_fails_calls_at_once_and_the_next_one_is_found() -> None:
    first = await _Process.start()
    async with channel_to(first.port, connect_wait_s=20) as channel:
        call = asyncio.create_task(failing(hold(channel, "block")))
        assert await first.line() == b"hold begun\n"
        first.kill()
        async with asyncio.timeout(5):
            error = await call
        assert (error.reason, error.metadata["sent"]) == ("PEER_LOST", "true")
        await first.wait()
        second = await _Process.start(first.port)
        assert await hold(channel, tokens=5) == 5
        second.kill()
        await second.wait()


class _Process:
    """A server in a process of its own, which can be killed."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    @classmethod
    async def start(cls, port: int = 0) -> "_Process":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.unit.rpc.fakes",
            str(port),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        return cls(process, int(await process.stdout.readline()))

    async def line(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    async def wait(self) -> None:
        await self._process.communicate()


async def test_channel_finds_a_peer_that_was_restarted_on_the_same_port(fakes: Fakes) -> None:
    server = fakes.server()
    port = await server.start()
    async with channel_to(port) as channel:
        for n in range(3):
            assert await _hold_as_soon_as_possible(channel, n) == n
            await server.stop(0)
            server = fakes.server(port)
            await server.start()
        assert await _hold_as_soon_as_possible(channel, 9) == 9
    await server.stop(0)


async def _hold_as_soon_as_possible(channel: SessionChannel, tokens: int) -> int:
    """A call may be on its way when its peer dies; the next one finds out."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await hold(channel, tokens=tokens)
            except AppError as error:
                assert error.reason == "PEER_LOST"  # noqa: PT017 (the loop goes on)


async def test_calls_under_way_when_a_server_drains_are_served_or_known_not_to_be_executed(fakes: Fakes) -> None:
    for _ in range(5):
        server = fakes.server()
        async with channel_to(await server.start(), connect_wait_s=0.01) as channel:
            served_before = fakes.noticed.counts["hold"]
            callers = [asyncio.create_task(_call_until_refused(channel)) for _ in range(16)]
            await fakes.noticed.wait("hold", served_before + 100)
            await server.stop(10)
            served = sum(await asyncio.gather(*callers))
        assert served == fakes.noticed.counts["hold"] - served_before


async def _call_until_refused(channel: SessionChannel) -> int:
    """How many calls were served before the first that was not."""
    served = 0
    try:
        while True:
            await hold(channel)
            served += 1
    except AppError as error:
        assert error.metadata["sent"] == "false"  # noqa: PT017 (what counts is what was served before)
    return served


async def test_calls_are_spread_over_peers_and_survive_the_loss_of_one() -> None:
    one, two = Fakes(), Fakes()
    servers = [one.server(), two.server()]
    async with channel_to(*[await server.start() for server in servers]) as channel:
        async with asyncio.timeout(10):
            while not (one.ledger.metadata and two.ledger.metadata):
                await hold(channel)
        await servers[0].stop(5)
        before = len(two.ledger.metadata)
        await asyncio.gather(*(hold(channel) for _ in range(20)))
        assert len(two.ledger.metadata) == before + 20
    await servers[1].stop(0)


async def test_calls_go_where_fewest_are_in_flight() -> None:
    busy, idle = Fakes(), Fakes()
    servers = [busy.server(), idle.server()]
    ports = [await server.start() for server in servers]
    async with channel_to(ports[0]) as channel:
        # The second peer joins while ten calls keep the first one busy.
        blocked = [asyncio.create_task(hold(channel, "block")) for _ in range(10)]
        await busy.noticed.wait("hold begun", 10)
        async with channel_to(*ports) as both:
            async with asyncio.timeout(10):
                while not idle.ledger.metadata:
                    await hold(both)
        busy.ledger.release.set()
        await asyncio.gather(*blocked)
    for server in servers:
        await server.stop(0)


async def test_draining_server_finishes_running_calls_and_takes_no_new_ones(fakes: Fakes) -> None:
    server = fakes.server()
    async with channel_to(await server.start(), connect_wait_s=0.1) as channel:
        running = asyncio.create_task(hold(channel, "block", tokens=4))
        await fakes.noticed.wait("hold begun")
        stopping = asyncio.create_task(server.stop(30))
        error = await failing(_until_refused(channel))
        assert (error.kind, error.reason, error.metadata["sent"]) == (Kind.NO_ROUTE, "SERVICE_UNAVAILABLE", "false")
        assert not running.done()
        fakes.ledger.release.set()
        assert await running == 4
        async with asyncio.timeout(5):
            await stopping


async def _until_refused(channel: SessionChannel) -> None:
    async with asyncio.timeout(10):
        while True:
            await hold(channel)


async def test_calls_beyond_the_grace_are_cancelled(fakes: Fakes) -> None:
    server = fakes.server()
    async with channel_to(await server.start()) as channel:
        running = asyncio.create_task(failing(hold(channel, "block")))
        await fakes.noticed.wait("hold begun")
        async with asyncio.timeout(5):
            await server.stop(0.1)
        assert (await running).reason == "PEER_LOST"
        assert fakes.noticed.counts["hold cancelled"] == 1


async def test_idle_server_stops_long_before_its_grace(fakes: Fakes) -> None:
    server = fakes.server()
    async with channel_to(await server.start()) as channel:
        await hold(channel)
        async with asyncio.timeout(5):
            await server.stop(60)


async def test_closed_channel_fails_its_calls_and_stops_the_servicers(port: int, fakes: Fakes) -> None:
    async with channel_to(port) as channel:
        running = asyncio.create_task(failing(hold(channel, "block")))
        await fakes.noticed.wait("hold begun")
    assert (await running).reason == "PEER_LOST"
    await fakes.noticed.wait("hold cancelled")
    assert (await failing(hold(channel))).reason == "SERVICE_UNAVAILABLE"


async def test_channels_in_one_process_do_not_mind_one_another(port: int) -> None:
    async with channel_to(port) as one, channel_to(port) as two:
        assert await hold(one, tokens=1) == 1
        await one.close()
        assert await hold(two, tokens=2) == 2


async def test_name_that_dns_resolves_is_connected_to(port: int) -> None:
    channel = SessionChannel([f"dns:///localhost:{port}"], peer="fakes", connect_wait_s=10)
    assert await hold(channel, tokens=6) == 6
    await channel.close()


async def test_small_calls_pass_while_large_messages_are_under_way(session_channel: SessionChannel) -> None:
    body = os.urandom(5_000_000)
    stub = ProviderAdapterServiceStub(session_channel)

    async def send_and_get_back() -> None:
        call = stub.Generate(GenerateRequest(model="echo", body=body))
        assert [reply.result.json async for reply in call] == [body]

    large = [asyncio.create_task(send_and_get_back()) for _ in range(4)]
    small = 0
    while not any(task.done() for task in large):
        await hold(session_channel)
        small += 1
    await asyncio.gather(*large)
    assert small > 5


async def test_producer_stops_when_the_window_is_full_and_goes_on_as_it_is_read(port: int, fakes: Fakes) -> None:
    async with channel_to(port, window_bytes=100_000) as channel:
        replies = aiter(generate(channel, chunks=1000, size=9_900))
        assert number(await anext(replies)) == 0
        await fakes.noticed.until(lambda: fakes.adapter.yielded >= 10)
        for _ in range(10):
            await hold(channel)  # what the producer was going to do it has done by then
        assert fakes.adapter.yielded <= 12
        assert [number(reply) async for reply in replies] == list(range(1, 1000))


async def test_message_larger_than_the_window_passes(port: int) -> None:
    async with channel_to(port, window_bytes=1000) as channel:
        assert [number(reply) async for reply in generate(channel, chunks=5, size=300_000)] == [0, 1, 2, 3, 4]


async def test_calls_beyond_the_limit_of_a_session_are_refused_as_overload(fakes: Fakes) -> None:
    server = fakes.server(max_calls_per_session=3)
    async with channel_to(await server.start()) as channel:
        running = [asyncio.create_task(hold(channel, "block", tokens=n)) for n in range(3)]
        await fakes.noticed.wait("hold begun", 3)
        error = await failing(hold(channel))
        assert (error.kind, error.reason, error.metadata["sent"]) == (Kind.OVERLOADED, "TOO_MANY_CALLS", "false")
        fakes.ledger.release.set()
        assert await asyncio.gather(*running) == [0, 1, 2]
        assert await hold(channel, tokens=8) == 8
    await server.stop(0)


@asynccontextmanager
async def raw_session(port: int) -> "AsyncIterator[aio.StreamStreamCall[OpenRequest, OpenResponse]]":
    """The stream itself, for peers that do what ours never would."""
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield SessionServiceStub(channel).Open()


async def frames_of(stream: "aio.StreamStreamCall[OpenRequest, OpenResponse]") -> list[Frame]:
    batch = await stream.read()
    assert isinstance(batch, OpenResponse)
    return list(batch.frames)


async def test_call_id_used_twice_ends_the_session_and_its_calls(port: int, fakes: Fakes) -> None:
    async with raw_session(port) as stream:
        call = Frame(
            call_id=1,
            start=Start(method=_HOLD),
            payload=HoldRequest(owner="block").SerializeToString(),
            has_payload=True,
            end=True,
        )
        await stream.write(OpenRequest(frames=[call]))
        await fakes.noticed.wait("hold begun")
        await stream.write(OpenRequest(frames=[call]))
        assert await stream.code() == grpc.StatusCode.FAILED_PRECONDITION
    await fakes.noticed.wait("hold cancelled")


async def test_call_cancelled_in_the_batch_that_begins_it_leaves_nothing_behind(fakes: Fakes) -> None:
    server = fakes.server(max_calls_per_session=1)
    async with raw_session(await server.start()) as stream:
        request = HoldRequest(owner="block").SerializeToString()
        for call_id in range(1, 20):
            start = Frame(call_id=call_id, start=Start(method=_HOLD), payload=request, has_payload=True, end=True)
            await stream.write(OpenRequest(frames=[start, Frame(call_id=call_id, cancel=True)]))
        last = Frame(call_id=20, start=Start(method=_HOLD), has_payload=True, end=True)
        await stream.write(OpenRequest(frames=[last]))
        [frame] = await frames_of(stream)
        assert (frame.call_id, frame.end, frame.HasField("error")) == (20, True, False)
    await server.stop(0)


async def test_malformed_request_is_invalid(port: int) -> None:
    async with raw_session(port) as stream:
        start = Frame(call_id=1, start=Start(method=_HOLD), payload=b"\xff", has_payload=True, end=True)
        await stream.write(OpenRequest(frames=[start]))
        [frame] = await frames_of(stream)
        assert (frame.error.kind, frame.error.reason) == ("invalid", "REQUEST_MALFORMED")


async def test_request_that_never_ends_is_given_up_at_its_deadline(port: int) -> None:
    async with raw_session(port) as stream:
        start = Frame(call_id=1, start=Start(method=_HOLD, timeout_ms=50), payload=b"\x0a", has_payload=True, more=True)
        await stream.write(OpenRequest(frames=[start]))
        [frame] = await frames_of(stream)
        assert (frame.error.kind, frame.error.reason) == ("timeout", "DEADLINE_EXCEEDED")


async def test_frames_of_unknown_calls_are_ignored(port: int) -> None:
    async with raw_session(port) as stream:
        stray = [Frame(call_id=7, cancel=True), Frame(call_id=8, credit_bytes=5), Frame(call_id=9, payload=b"x")]
        start = Frame(call_id=1, start=Start(method=_HOLD), has_payload=True, end=True)
        await stream.write(OpenRequest(frames=[*stray, start]))
        [frame] = await frames_of(stream)
        assert (frame.call_id, frame.end) == (1, True)


async def test_consumer_that_gives_no_credit_gets_no_more_than_it_allowed(port: int, fakes: Fakes) -> None:
    async with raw_session(port) as stream:
        request = GenerateRequest(created_s=1000, max_tokens=1000).SerializeToString()
        start = Frame(
            call_id=1,
            start=Start(method=_GENERATE),
            payload=request,
            has_payload=True,
            end=True,
            credit_bytes=WINDOW_BYTES,
        )
        await stream.write(OpenRequest(frames=[start]))
        received = 0
        while received < WINDOW_BYTES:
            received += sum(len(frame.payload) for frame in await frames_of(stream))
        assert received < WINDOW_BYTES + 1100
        assert fakes.adapter.yielded < WINDOW_BYTES / 1000 + 1
