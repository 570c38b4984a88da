"""Load without pause, kill -9 after kill -9, and the same equalities at the end for every reply received in full.

Owns the rhythm of load and kills. What must hold: every completed generation has exactly one record at the cost its reply
said; credits fell by at least what replies said and exactly by what records say; the audit is clean; nothing hung.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from tests.testkit.api import Api, eventually
from tests.testkit.books import audit, check_audit, check_records
from tests.testkit.mixed_load import KINDS, REQUEST_LIMIT_S, Seen, one
from tests.testkit.shapes import Shape

CALLERS = 16
VICTIMS = (
    "edge_proxy", "router", "provider_adapter", "key_management", "billing_ledger", "analytics", "broadcast",
    "kafka", "postgres",
)  # fmt: skip
RESTART_LIMIT_S = 60.0
SETTLE_LIMIT_S = 120.0


@dataclass
class Report:
    kills: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    settled_after_s: float = 0.0

    @property
    def whole(self) -> int:
        return sum(one.whole for one in self.seen)

    def _ends(self) -> str:
        """How often which status, or which break of the connection."""
        ends = Counter("no reply" if one.reply is None else str(one.reply.status) for one in self.seen if not one.whole)
        return ", ".join(f"{end} × {count}" for end, count in ends.most_common())

    def lines(self) -> list[str]:
        slowest = max((one.seconds for one in self.seen), default=0.0)
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return [
            f"kills: {sum(self.kills.values())} ({kills})",
            f"requests: {len(self.seen)}, whole replies: {self.whole}, slowest {slowest:.1f} s",
            f"the others ended with: {self._ends()}",
            f"all of it settled {self.settled_after_s:.0f} s after the last request",
        ]


async def run_chaos(
    shape: Shape, kills: int, seed: int, say: Callable[[str], object] = lambda _: None, *, pause_s: float = 1.5
) -> Report:
    """Kills one process after another while callers go on; then everything must agree."""
    rng = random.Random(seed)
    report = Report()
    _, before = await _patient_credits(shape)
    load = Load(shape, rng, report)
    load.start()
    try:
        for number in range(kills):
            await asyncio.sleep(rng.uniform(0.5, 1.5) * pause_s)
            victim = await _kill_one(shape, rng)
            report.kills[victim] = report.kills.get(victim, 0) + 1
            say(f"{number + 1}/{kills} killed {victim}, {report.whole} of {len(report.seen)} replies whole")
            await _wait_until_it_serves(shape)
    finally:
        await load.stop()
    await _check(shape, report, before)
    return report


class Load:
    """Callers that never stop asking."""

    def __init__(self, shape: Shape, rng: random.Random, report: Report) -> None:
        self._shape = shape
        self._rng = rng
        self._report = report
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._caller(random.Random(self._rng.random()))) for _ in range(CALLERS)]

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _caller(self, rng: random.Random) -> None:
        while not self._stopping.is_set():
            try:
                output = self._shape.output()
            except (OSError, ValueError):
                await asyncio.sleep(0.05)
                continue
            base = rng.choice(output.get("api_bases") or [output["api_base"]])
            async with Api(base, output["api_key"], output["management_key"]) as api:
                for _ in range(10):
                    if self._stopping.is_set():
                        return
                    seen = await one(api, rng.choice(KINDS), rng)
                    self._report.seen.append(seen)
                    if seen.reply is None:
                        await asyncio.sleep(0.05)


async def _kill_one(shape: Shape, rng: random.Random) -> str:
    if shape.kind == "standalone":
        shape.kill()
        await asyncio.to_thread(shape.start)
        return "standalone"
    processes = shape.output()["processes"]
    victim = rng.choice([name for name in VICTIMS if processes.get(name)])
    pid = rng.choice(processes[victim])
    os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        pids = shape.output()["processes"].get(victim, [])
        return len(pids) == len(processes[victim]) and pid not in pids

    await eventually(replaced, within_s=RESTART_LIMIT_S)
    return victim


async def _wait_until_it_serves(shape: Shape) -> None:
    async def serves() -> bool:
        output = shape.output()
        async with Api(output["api_base"], output["api_key"]) as api:
            try:
                return (await api.chat("Are you there?")).status == 200
            except (OSError, ValueError):
                return False

    await eventually(serves, within_s=RESTART_LIMIT_S)


async def _patient_credits(shape: Shape) -> tuple[Decimal, Decimal]:
    """Credits, once usage stands still."""
    found: list[tuple[Decimal, Decimal]] = []

    async def still() -> bool:
        async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
            try:
                found.append(await api.credits())
            except (AssertionError, OSError, ValueError):
                return False
        return len(found) > 2 and found[-1] == found[-2] == found[-3]

    await eventually(still, within_s=120, every_s=1.0)
    return found[-1]


async def _check(shape: Shape, report: Report, before: Decimal) -> None:
    hung = [one for one in report.seen if one.seconds >= REQUEST_LIMIT_S]
    assert not hung, f"{len(hung)} requests hung: {hung[:3]}"
    promised = sum((one.reply.cost for one in report.seen if one.whole and one.reply is not None), Decimal(0))
    loop = asyncio.get_running_loop()
    since_s = loop.time()

    async def settled() -> bool:
        _, used = await _patient_credits(shape)
        report.settled_after_s = loop.time() - since_s
        return used - before >= promised

    try:
        await eventually(settled, within_s=SETTLE_LIMIT_S)
    except AssertionError:
        _, used = await _patient_credits(shape)
        waits = await asyncio.to_thread(audit, shape)
        raise AssertionError(
            f"replies said {promised}, credits fell by {used - before}\n{waits.stdout}{waits.stderr}\n{shape.tail()}"
        ) from None
    total, used = await _patient_credits(shape)
    assert total - used >= 0
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        await check_records(api, report.seen)
    await check_audit(shape)
