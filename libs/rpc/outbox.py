"""The way out of one end of a session: frames queue here and leave in natural batches.

Owns the order of frames and how many may wait. Does not know calls. Invariant: whatever queued while the last write was
in flight goes out as one write; frames leave in the order in which they entered the queue.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from switchyard.rpc.v1.session_pb2 import Frame

from libs.rpc.frames import BATCH_BYTES, FRAME_OVERHEAD_BYTES, HIGH_WATER_BYTES

Write = Callable[[Sequence[Frame]], Awaitable[object]]


class Outbox:
    """A queue of frames with a high-water mark, and the loop that empties it.

    Every frame of a session gets a number when it enters the queue; `taken` is the number of the last one handed to a
    write, so everything above it certainly never left this process.
    """

    def __init__(
        self, write: Write, *, batch_bytes: int = BATCH_BYTES, high_water_bytes: int = HIGH_WATER_BYTES
    ) -> None:
        self._write = write
        self._batch_bytes = batch_bytes
        self._high_water_bytes = high_water_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[Frame, int]] = deque()
        self._queued_bytes = 0
        self._parked: deque[tuple[asyncio.Future[int], Frame, int]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._idle = True
        self._numbered = 0
        self.taken = 0

    @property
    def has_room(self) -> bool:
        """Whether a message may enter the queue now; if not it has to `park`."""
        return self._queued_bytes < self._high_water_bytes and not self._parked

    def put(self, frame: Frame, payload_bytes: int = 0) -> int:
        """Queues a frame at once, room or not (for small ones that end or steer calls); returns its number."""
        size = payload_bytes + FRAME_OVERHEAD_BYTES
        self._queue.append((frame, size))
        self._queued_bytes += size
        self._numbered += 1
        self._idle = False
        wake = self._wake
        if wake is not None:
            self._wake = None
            if not wake.done():
                wake.set_result(None)
        return self._numbered

    def park(self, frame: Frame, payload_bytes: int) -> asyncio.Future[int]:
        """Queues a frame as soon as there is room, in turn; resolves to its number.

        Whoever finishes the future first, by cancelling it for one, takes the frame back.
        """
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._parked.append((waiter, frame, payload_bytes))
        return waiter

    async def wait_drained(self) -> None:
        """Waits until the queue is below its mark. One waiter at a time."""
        if self._queued_bytes >= self._high_water_bytes:
            self._drained = self._loop.create_future()
            await self._drained

    async def wait_empty(self) -> None:
        """Waits until everything that was queued has been written. One waiter at a time."""
        if not self._idle:
            self._emptied = self._loop.create_future()
            await self._emptied

    async def run(self) -> None:
        """Writes batches until a write fails or the task is cancelled."""
        while True:
            if not self._queue:
                self._rest()
                self._wake = self._loop.create_future()
                await self._wake
            await self._write(self._take())

    def _rest(self) -> None:
        self._idle = True
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _take(self) -> list[Frame]:
        queue = self._queue
        batch = []
        room = self._batch_bytes
        while queue and room > 0:
            frame, size = queue.popleft()
            room -= size
            batch.append(frame)
        self.taken += len(batch)
        self._queued_bytes -= self._batch_bytes - room
        if self._parked:
            self._admit()
        if self._drained is not None and self._queued_bytes < self._high_water_bytes:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None
        return batch

    def _admit(self) -> None:
        while self._parked and self._queued_bytes < self._high_water_bytes:
            waiter, frame, payload_bytes = self._parked.popleft()
            if not waiter.done():
                waiter.set_result(self.put(frame, payload_bytes))
