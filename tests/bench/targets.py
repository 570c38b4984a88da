"""What is measured: the upstream itself, the bare proxy, and Switchyard in both shapes; each with its processes.

Owns starting, finding processes, and where they run. Does not send load. Invariant: everything started here ends here.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tests.bench import cpu
from tests.bench.settlement import Credits
from tests.testkit.shapes import CHECKOUT, Shape, running

CREDIT_USD: Final = "100000"
STORES: Final = ("postgres", "kafka")
"""Parts that no peer counts; shown apart from the gateway's own processes."""
UPSTREAM: Final = "upstream"
_START_LIMIT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Where things run. With one core everything shares it; with more, the gateway has the first for itself."""

    gateway: frozenset[int]
    load: frozenset[int]

    @property
    def everywhere(self) -> frozenset[int]:
        return self.gateway | self.load


def choose_cores() -> Cores:
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(frozenset({first}), frozenset(others or [first]))


@dataclass(slots=True)
class Target:
    """Something that answers chat requests.

    Attributes:
        roots: for each part its processes, without their children.
        credits: only Switchyard has them.
    """

    name: str
    port: int
    path: str
    key: str = "none"
    roots: dict[str, list[int]] = field(default_factory=dict)
    credits: Credits | None = None
    shape: Shape | None = None

    def parts(self) -> dict[str, list[int]]:
        """All processes by part, as they live now. PostgreSQL below a process of ours is a part of its own."""
        processes = cpu.all_processes()
        stores = {pid for name in STORES for root in self.roots.get(name, ()) for pid in cpu.tree(root, processes)}
        parts: dict[str, list[int]] = {}
        for name, roots in self.roots.items():
            for root in roots:
                for pid in cpu.tree(root, processes):
                    is_foreign = pid in stores or (name == "supervisor" and pid != root)
                    if name not in STORES and is_foreign:
                        continue
                    part = "postgres" if _is_postgres(processes[pid]) else name
                    parts.setdefault(part, []).append(pid)
        return parts

    def cpu_s(self) -> dict[str, float]:
        """CPU time by part since it started."""
        processes = cpu.all_processes()
        return {
            part: sum(processes[pid].cpu_s for pid in pids if pid in processes) for part, pids in self.parts().items()
        }

    def memory(self) -> dict[str, cpu.Memory]:
        return {part: cpu.memory(pids) for part, pids in self.parts().items()}

    def pin(self, cores: Cores) -> None:
        """The gateway on its core; PostgreSQL, which no peer has, with the load."""
        for part, pids in self.parts().items():
            cpu.pin(pids, cores.load if part in STORES else cores.gateway)

    def unpin(self, cores: Cores) -> None:
        for pids in self.parts().values():
            cpu.pin(pids, cores.everywhere)


def _is_postgres(process: cpu.ProcessStat) -> bool:
    return process.name == "postgres"


@contextlib.contextmanager
def module(name: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """A module of this folder as a process: its pid and port."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{name}", *arguments], cwd=CHECKOUT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(_START_LIMIT_S)
        process.stdout.close()


@contextlib.contextmanager
def proxy(upstream_port: int) -> Iterator[Target]:
    with module("proxy", f"http://127.0.0.1:{upstream_port}") as (pid, port):
        yield Target("proxy", port, "/v1/chat/completions", roots={"proxy": [pid]})


@contextlib.contextmanager
def switchyard(kind: str, upstream_port: int, **names: str) -> Iterator[Target]:
    """A shape, started as a user would start it, in front of our upstream."""
    base = f"http://127.0.0.1:{upstream_port}/v1"
    with running(kind, credit_usd=CREDIT_USD, SWITCHYARD_UPSTREAM_BASE_URL=base, **names) as shape:
        target = as_target(shape)
        assert target.credits is not None
        try:
            yield target
        finally:
            target.credits.close()


def as_target(shape: Shape) -> Target:
    """A running shape as its output file describes it."""
    output = shape.output()
    address = urlsplit(output["api_base"])
    assert address.port is not None
    pid = int(output["pid"])
    roots = {"standalone": [pid]} if shape.kind == "standalone" else {"supervisor": [pid], **output["processes"]}
    return Target(
        shape.kind,
        address.port,
        f"{address.path}/chat/completions",
        key=output["api_key"],
        roots=roots,
        credits=Credits(address.port, output["management_key"]),
        shape=shape,
    )
