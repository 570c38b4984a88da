"""What processes and cores cost, read from /proc: CPU time, memory, trees; and where they may run.

Owns reading and pinning. Does not know what the processes are for. Invariant: a tree's CPU time never falls, because
children that ended are counted at their parent.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A line of /proc/PID/stat. `cpu_s` includes children that ended and were waited for."""

    pid: int
    name: str
    parent: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """One core since boot, seconds. `busy_s`: by processes and the kernel; `stolen_s`: taken by the hypervisor."""

    busy_s: float
    stolen_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `rss` counts shared pages in full, `pss` each process's share of them; `peak_rss` since its start."""

    rss: int
    pss: int
    peak_rss: int


def parse_stat(line: str) -> ProcessStat:
    """Fields of proc(5); the name may hold blanks and brackets."""
    start, end = line.index("("), line.rindex(")")
    fields = line[end + 2 :].split()
    ticks = sum(int(field) for field in fields[11:15])
    return ProcessStat(int(line[:start]), line[start + 1 : end], int(fields[1]), ticks / _TICKS_PER_S)


def parse_cores(text: str) -> dict[int, CoreTimes]:
    """The `cpuN` lines of /proc/stat."""
    cores = {}
    for line in text.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _iowait, irq, softirq, stolen = (
                int(field) / _TICKS_PER_S for field in fields[:8]
            )
            cores[int(name[3:])] = CoreTimes(user + nice + system + irq + softirq, stolen)
    return cores


def parse_sizes(text: str) -> dict[str, int]:
    """Lines such as `VmRSS:   1234 kB`, in bytes."""
    sizes = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            sizes[name] = int(words[0]) * 1024
    return sizes


def read_cores() -> dict[int, CoreTimes]:
    return parse_cores((_PROC / "stat").read_text())


def all_processes() -> dict[int, ProcessStat]:
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                found[int(folder.name)] = parse_stat((folder / "stat").read_text())
    return found


def tree(root: int, processes: dict[int, ProcessStat]) -> list[int]:
    """The process and all below it; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, waiting = [], [root] if root in processes else []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, ())
    return found


def memory(pids: Iterable[int]) -> Memory:
    rss = pss = peak = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            sizes = parse_sizes((_PROC / str(pid) / "status").read_text())
            rss += sizes.get("VmRSS", 0)
            peak += sizes.get("VmHWM", 0)
            pss += parse_sizes((_PROC / str(pid) / "smaps_rollup").read_text()).get("Pss", 0)
    return Memory(rss, pss, peak)


def pin(pids: Iterable[int], cores: Iterable[int]) -> None:
    """Binds every thread of the processes; those they start later inherit it."""
    where = set(cores)
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in (_PROC / str(pid) / "task").iterdir():
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread.name), where)
