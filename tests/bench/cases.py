"""The cases and the measurement of one: load on a target, CPU and memory of its processes, settlement.

Owns what is asked and what is written down. Does not judge figures (goals.py) or show them (report.py).
Invariant: CPU per request counts everything from the first request until the last one is settled.
"""

import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Final

import orjson

from tests.bench import cpu
from tests.bench.load import Job, Result
from tests.bench.settlement import Settlement
from tests.bench.targets import STORES, UPSTREAM, Target
from tests.bench.upstream import MODEL
from tests.testkit.shapes import CHECKOUT

PROMPT: Final = (
    "You are asked for a short summary of the minutes of last week's meeting of the railway committee, in plain words, "
    "for people who were not there. Keep names and numbers as they are, leave out who spoke when, and end with the three "
    "decisions that were taken and who is to carry them out by which day. "
)
PACED: Final = "[[bench chunk_ms=5 per_write=1]]"


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load.

    Attributes:
        is_paced: a chunk every 5 ms, one per write, instead of all at once, eight per write.
    """

    name: str
    connections: int
    is_stream: bool = False
    is_paced: bool = False

    def body(self) -> str:
        content = PROMPT + (PACED if self.is_paced else "")
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
        request = {"model": MODEL, "messages": messages, "max_tokens": 128, "stream": self.is_stream}
        return orjson.dumps(request).decode()


PLAIN_1: Final = Case("plain, 1 client", 1)
PLAIN_32: Final = Case("plain, 32 clients", 32)
STREAM_1: Final = Case("stream, 1 client", 1, is_stream=True)
STREAM_32: Final = Case("stream, 32 clients", 32, is_stream=True)
PACED_1: Final = Case("paced stream, 1 client", 1, is_stream=True, is_paced=True)
PACED_32: Final = Case("paced stream, 32 clients", 32, is_stream=True, is_paced=True)
ALL: Final = (PLAIN_1, PLAIN_32, STREAM_1, STREAM_32, PACED_1, PACED_32)


@dataclass(slots=True)
class Measurement:
    """What one case did on one target.

    Attributes:
        cpu_us: CPU per reply by part, microseconds.
        foreign_cores: CPU of the machine that was spent on none of our processes, in cores; others' work is noise here.
        is_apart: the gateway had a core for itself; load generator and upstream shared `load_cores`.
    """

    case: Case
    target: str
    result: Result
    cpu_us: dict[str, float] = field(default_factory=dict)
    settlement: Settlement | None = None
    foreign_cores: float = 0.0
    is_apart: bool = False
    load_cores: tuple[str, ...] = ()

    def gateway_us(self, parts: tuple[str, ...] = ()) -> float:
        """CPU per reply of our own processes, or of some of them; PostgreSQL and Kafka apart."""
        return sum(us for part, us in self.cpu_us.items() if (part in parts if parts else part not in STORES))


@dataclass(frozen=True, slots=True)
class Bench:
    """What measurements share: where the load runs, how long, and whether the gateway has a core for itself."""

    upstream_pid: int
    load_cores: frozenset[int]
    seconds: float
    is_apart: bool


def measure(bench: Bench, case: Case, target: Target, *, requests: int = 0) -> Measurement:
    """One case on one target.

    Args:
        requests: so many instead of for a time.
    """
    job = Job(
        port=target.port,
        path=target.path,
        key=target.key,
        body=case.body(),
        connections=case.connections,
        seconds=3600.0 if requests else bench.seconds,
        warm_up_s=0.0 if requests else 0.5,
        requests=requests,
        is_stream=case.is_stream,
        wants_cost=target.credits is not None,
    )
    usage = target.credits.total_usage() if target.credits else Decimal(0)
    before = _Spent.now(bench, target)
    result = run_load(job, bench.load_cores)
    settlement = target.credits.wait_for(usage + Decimal(result.cost), result.ended_at_s) if target.credits else None
    after = _Spent.now(bench, target)
    return Measurement(
        case,
        target.name,
        result,
        cpu_us={
            part: (spent_s - before.parts[part]) / max(1, result.replies) * 1e6
            for part, spent_s in after.parts.items()
            if part in before.parts
        },
        settlement=settlement,
        foreign_cores=(after.machine_s - before.machine_s - after.ours_s + before.ours_s) / (after.at_s - before.at_s),
        is_apart=bench.is_apart,
        load_cores=tuple(str(core) for core in sorted(bench.load_cores)),
    )


def run_load(job: Job, cores: frozenset[int]) -> Result:
    """The load generator on its cores. The job goes over stdin, for it holds a key."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        cwd=CHECKOUT, input=orjson.dumps(asdict(job)), stdout=subprocess.PIPE, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    return Result(**orjson.loads(done.stdout))


@dataclass(frozen=True, slots=True)
class _Spent:
    at_s: float
    machine_s: float
    ours_s: float
    parts: dict[str, float]

    @classmethod
    def now(cls, bench: Bench, target: Target) -> "_Spent":
        parts = target.cpu_s()
        upstream_s = cpu.all_processes()[bench.upstream_pid].cpu_s
        gateway_s = sum(spent_s for part, spent_s in parts.items() if part != UPSTREAM)
        ended = os.times()
        own_s = ended.user + ended.system + ended.children_user + ended.children_system
        machine_s = sum(core.busy_s for core in cpu.read_cores().values())
        return cls(time.perf_counter(), machine_s, own_s + upstream_s + gateway_s, parts)
