"""Natural batching, and how much may wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from switchyard.rpc.v1.session_pb2 import Frame, OpenRequest, Start

from libs.rpc.methods import MethodTable
from libs.rpc.outbox import Outbox
from libs.rpc.server_session import ServerSession


class SlowWriter:
    """Takes batches one at a time, each when told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._permits = asyncio.Semaphore(0)
        self._written: asyncio.Queue[None] = asyncio.Queue()

    async def write(self, frames: Sequence[Frame]) -> None:
        await self._permits.acquire()
        self.batches.append([frame.call_id for frame in frames])
        self._written.put_nowait(None)

    async def let(self, batches: int) -> None:
        """Lets that many writes happen and waits for them."""
        async with asyncio.timeout(5):
            for _ in range(batches):
                self._permits.release()
                await self._written.get()


@pytest.fixture
async def writer() -> SlowWriter:
    return SlowWriter()


@pytest.fixture
async def outbox(writer: SlowWriter) -> AsyncIterator[Outbox]:
    outbox = Outbox(writer.write, batch_bytes=1000, high_water_bytes=1000)
    running = asyncio.create_task(outbox.run())
    yield outbox
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_frames_that_queue_during_a_write_leave_as_one(outbox: Outbox, writer: SlowWriter) -> None:
    outbox.put(Frame(call_id=1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [outbox.put(Frame(call_id=n)) for n in (2, 3, 4)] == [2, 3, 4]
    assert outbox.taken == 1
    await writer.let(2)
    assert writer.batches == [[1], [2, 3, 4]]
    assert outbox.taken == 4


async def test_batch_is_bounded(outbox: Outbox, writer: SlowWriter) -> None:
    for n in range(1, 6):
        outbox.put(Frame(call_id=n), payload_bytes=500)
    await writer.let(3)
    assert writer.batches == [[1, 2], [3, 4], [5]]


async def test_parked_frames_enter_in_turn_as_room_comes(outbox: Outbox, writer: SlowWriter) -> None:
    outbox.put(Frame(call_id=1), payload_bytes=2000)
    parked = [outbox.park(Frame(call_id=n), 900) for n in (2, 3, 4, 5)]
    parked[1].cancel()
    assert not outbox.has_room
    assert not any(waiter.done() for waiter in parked if not waiter.cancelled())
    await writer.let(3)
    assert [await parked[0], await parked[2], await parked[3]] == [2, 3, 4]
    assert writer.batches == [[1], [2, 4], [5]]


async def test_peer_that_sends_without_reading_is_not_read_any_more() -> None:
    reads = 0

    async def read() -> OpenRequest:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return OpenRequest(frames=[Frame(call_id=reads * 100 + n, start=Start(method="/none")) for n in range(100)])

    stuck = asyncio.Event()

    async def write(_: object) -> None:
        await stuck.wait()

    session = ServerSession(MethodTable(), read, write, peer="hostile")
    serving = asyncio.create_task(session.serve())
    for _ in range(1000):
        await asyncio.sleep(0)
    # Each refusal counts as 64 bytes or more, and a quarter of a MiB may wait.
    assert reads < 100
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
