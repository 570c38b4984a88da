"""The load generator, a process of its own: reads a Job as JSON from stdin, writes a Result as JSON to stdout.

A closed loop: each connection sends its next request when the reply to the last is complete. Owns timing and the check
of replies. Invariant: every reply is read in full and judged; a wrong one is an error, never a latency.
"""

import asyncio
import gc
import re
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Final, cast

import orjson
import uvloop

from tests.bench.cpu import read_cores
from tests.bench.http_reader import BadReplyError, ReplyReader
from tests.bench.quantiles import percentiles
from tests.bench.upstream import CHUNKS, WORD

_MAX_ERRORS: Final = 200
_GRACE_S: Final = 45.0
_COST: Final = re.compile(rb'"cost":([0-9.]+)')
_now_s = time.monotonic
"""The same clock in every process of the machine."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, and for how long.

    Attributes:
        requests: stop after so many; 0: no bound but the time.
        wants_cost: a reply without `usage.cost` is an error.
    """

    port: int
    path: str
    key: str
    body: str
    connections: int
    seconds: float
    warm_up_s: float = 0.5
    requests: int = 0
    is_stream: bool = False
    wants_cost: bool = False


@dataclass(slots=True)
class Result:
    """What came of it. Times in seconds; percentiles are p0 to p100 of replies begun and ended in the window.

    Attributes:
        replies: all that were right, warm-up included.
        measured: those in the window.
        ended_at_s: monotonic clock when the last reply was complete.
        cost: exact sum of `usage.cost` over all replies, decimal USD.
        load_cpu_share: CPU of this process in the window, in cores.
        cores_busy: of each core in the window, 0 to 1, whoever used it.
        core_stolen: the largest share that the hypervisor took of a core.
    """

    replies: int = 0
    measured: int = 0
    window_s: float = 0.0
    ended_at_s: float = 0.0
    latency_s: list[float] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    cost: str = "0"
    load_cpu_share: float = 0.0
    cores_busy: dict[str, float] = field(default_factory=dict)
    core_stolen: float = 0.0

    @property
    def per_s(self) -> float:
        return self.measured / self.window_s if self.window_s else 0.0


class Tally:
    """What all connections of a run saw, and when they should stop."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.window_from_s = _now_s() + job.warm_up_s
        self.window_to_s = self.window_from_s + job.seconds
        self.sent = self.replies = 0
        self.latencies_s: list[float] = []
        self.first_tokens_s: list[float] = []
        self.costs: Counter[bytes] = Counter()
        self.errors: Counter[str] = Counter()

    @property
    def goes_on(self) -> bool:
        job = self.job
        return (
            _now_s() < self.window_to_s
            and (not job.requests or self.sent < job.requests)
            and self.errors.total() < _MAX_ERRORS
        )

    def judge(self, reply: ReplyReader, sent_s: float, first_token_s: float) -> None:
        ended_s = _now_s()
        problem, cost = check(reply, is_stream=self.job.is_stream, wants_cost=self.job.wants_cost)
        if problem:
            self.errors[problem] += 1
            return
        self.replies += 1
        self.costs[cost] += 1
        if sent_s >= self.window_from_s and ended_s <= self.window_to_s:
            self.latencies_s.append(ended_s - sent_s)
            if first_token_s:
                self.first_tokens_s.append(first_token_s - sent_s)

    @property
    def cost(self) -> Decimal:
        return sum((Decimal(text.decode()) * count for text, count in self.costs.items()), Decimal(0))


def check(reply: ReplyReader, *, is_stream: bool, wants_cost: bool) -> tuple[str, bytes]:
    """What is wrong with a reply, or an empty text; and its cost as it was printed."""
    body = reply.body
    if reply.status != 200:
        return f"status {reply.status}", b"0"
    if body.count(WORD) != CHUNKS:
        return "wrong text", b"0"
    if is_stream and not body.endswith(b"data: [DONE]\n\n"):
        return "no [DONE]", b"0"
    usage = body.rfind(b'"usage":{')
    if usage < 0:
        return "no usage", b"0"
    cost = _COST.search(body, usage)
    if cost is None:
        return ("no cost" if wants_cost else ""), b"0"
    return "", cost[1]


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None
        self._sent_s = self._first_token_s = 0.0
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        self._send()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            is_complete = reader.feed(data)
        except BadReplyError as error:
            self._end(str(error))
            return
        if not self._first_token_s and self._tally.job.is_stream and WORD in reader.body:
            self._first_token_s = _now_s()
        if is_complete:
            self._tally.judge(reader, self._sent_s, self._first_token_s)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection closed")

    def _send(self) -> None:
        assert self._transport is not None
        if not self._tally.goes_on:
            self._end("")
            return
        self._tally.sent += 1
        self._reader.reset()
        self._first_token_s = 0.0
        self._sent_s = _now_s()
        self._transport.write(self._request)

    def _end(self, problem: str) -> None:
        if self.ended.done():
            return
        if problem:
            self._tally.errors[problem] += 1
        self.ended.set_result(not problem)
        if self._transport is not None:
            self._transport.close()


async def keep_calling(tally: Tally, request: bytes) -> None:
    """One caller for the whole run; connects again when the connection breaks."""
    loop = asyncio.get_running_loop()
    while tally.goes_on:
        try:
            _, caller = await loop.create_connection(lambda: Caller(tally, request), "127.0.0.1", tally.job.port)
        except OSError:
            tally.errors["cannot connect"] += 1
            await asyncio.sleep(0.01)
            continue
        await caller.ended


def request_bytes(job: Job) -> bytes:
    body = job.body.encode()
    head = (
        f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\nAuthorization: Bearer {job.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(job: Job) -> Result:
    tally = Tally(job)
    request = request_bytes(job)
    watch = asyncio.ensure_future(_watch(tally))
    callers = [asyncio.ensure_future(keep_calling(tally, request)) for _ in range(job.connections)]
    _, unfinished = await asyncio.wait(callers, timeout=job.warm_up_s + job.seconds + _GRACE_S)
    if unfinished:
        tally.errors["unfinished"] += len(unfinished)
    result = Result(
        replies=tally.replies,
        measured=len(tally.latencies_s),
        ended_at_s=_now_s(),
        latency_s=percentiles(tally.latencies_s),
        first_token_s=percentiles(tally.first_tokens_s),
        errors=dict(tally.errors),
        cost=f"{tally.cost:f}",
    )
    if job.requests:
        watch.cancel()
        result.window_s = _now_s() - tally.window_from_s
    else:
        result.window_s = job.seconds
        result.load_cpu_share, result.cores_busy, result.core_stolen = await watch
    return result


async def _watch(tally: Tally) -> tuple[float, dict[str, float], float]:
    """CPU in the window: ours in cores, of each core, and what was stolen."""
    await asyncio.sleep(tally.window_from_s - _now_s())
    began_s, cpu_s, before = _now_s(), time.process_time(), read_cores()
    await asyncio.sleep(tally.window_to_s - _now_s())
    window_s, cpu_s, after = _now_s() - began_s, time.process_time() - cpu_s, read_cores()
    busy = {str(core): (after[core].busy_s - before[core].busy_s) / window_s for core in after}
    stolen = max((after[core].stolen_s - before[core].stolen_s) / window_s for core in after)
    return cpu_s / window_s, busy, stolen


def main() -> None:
    job = Job(**orjson.loads(sys.stdin.buffer.read()))
    gc.freeze()
    gc.disable()  # nothing here makes cycles; a pause would be measured as the other side's
    result = uvloop.run(run(job))
    sys.stdout.buffer.write(orjson.dumps(asdict(result)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
