"""The tables that a run prints, and its JSON.

Owns layout. Does not compute figures. Invariant: a figure that the load generator or the machine bounded says so.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from tests.bench.cases import Measurement
from tests.bench.goals import added_ms, goals
from tests.bench.stages import Findings, Options
from tests.bench.targets import STORES, Cores
from tests.bench.text_table import table

_MIB: Final = 1024 * 1024
_FEW: Final = 100
_FULL: Final = 0.95
_NOISE_CORES: Final = 0.1


def text(findings: Findings, options: Options, cores: Cores) -> str:
    """The whole report."""
    parts = [_how(options, cores)]
    parts += [_cases(findings, stage) for stage in findings.measurements]
    parts += [_cpu(findings), _memory(findings), _goals(findings), _noise(findings)]
    parts += ["\n".join(f"note: {note}" for note in findings.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _how(options: Options, cores: Cores) -> str:
    return (
        f"Closed loop, {options.seconds:g} s per figure after a warm-up. With more than 1 client the proxy and standalone have core "
        f"{_names(cores.gateway)} to themselves; load generator, upstream and PostgreSQL share core {_names(cores.load)}.\n"
        "With 1 client, and always in the distributed stage, the scheduler places everything. `added` is against `direct` of the "
        "same stage.\nCPU counts all from the first request until the last is settled, per reply; gateway: our own processes, "
        "PostgreSQL and Kafka apart.\n`≥`: the load generator's core was full, so the gateway may do more. `first`: first content token."
    )


def _names(cores: frozenset[int]) -> str:
    return "+".join(str(core) for core in sorted(cores))


def _cases(findings: Findings, stage: str) -> str:
    head = ("case, target", "requests/s", "p50 ms", "p99 ms", "added p50", "added p99", "first p50", "first p99",
            "added p50", "CPU µs", "PostgreSQL", "Kafka", "lag s", "load", "others", "errors")  # fmt: skip
    rows = [_row(findings, stage, one) for one in findings.measurements[stage]]
    return f"{stage} stage\n{table(head, rows)}" if rows else ""


def _row(findings: Findings, stage: str, one: Measurement) -> list[str]:
    result, case = one.result, one.case
    many = result.measured >= _FEW

    def ms(curve: Sequence[float], percentile: int) -> str:
        return f"{curve[percentile] * 1e3:.2f}" if curve[100] and (many or percentile == 50) else ""

    def added(percentile: int, *, first: bool) -> str:
        value = None if one.target == "direct" else added_ms(findings, stage, one.target, case, percentile, first=first)
        return (
            "" if value is None or not (many or percentile == 50) or (first and not case.is_stream) else f"{value:+.2f}"
        )

    return [
        f"{case.name}: {one.target}",
        ("≥ " if is_bounded(one) else "") + f"{result.per_s:,.0f}",
        ms(result.latency_s, 50),
        ms(result.latency_s, 99),
        added(50, first=False),
        added(99, first=False),
        ms(result.first_token_s, 50),
        ms(result.first_token_s, 99),
        added(50, first=True),
        # A clock tick is 10 ms: with few replies the quotient says nothing.
        f"{one.gateway_us():,.0f}" if many else "",
        *(f"{one.cpu_us[store]:,.0f}" if many and store in one.cpu_us else "" for store in STORES),
        _lag(one),
        f"{result.load_cpu_share:.0%}",
        f"{one.foreign_cores:.1f}" if one.foreign_cores > _NOISE_CORES else "",
        ", ".join(f"{count} {what}" for what, count in result.errors.items()),
    ]


def _lag(one: Measurement) -> str:
    if one.settlement is None:
        return ""
    return (
        f"{one.settlement.lag_s:.2f}" if one.settlement.lag_s is not None else f"owes {one.settlement.missing_usd} USD"
    )


def is_bounded(one: Measurement) -> bool:
    """Whether the load generator's side was full; without a core of its own only if it used a whole one."""
    cores = one.load_cores
    busy = [one.result.cores_busy.get(core, 0.0) for core in cores]
    return one.result.load_cpu_share > _FULL or (one.is_apart and bool(busy) and min(busy) > _FULL)


def _cpu(findings: Findings) -> str:
    rows = []
    for found in findings.measurements.values():
        for one in found:
            if len(one.cpu_us) > 2 and one.result.measured >= _FEW:
                shares = sorted(one.cpu_us.items(), key=lambda item: -item[1])
                rows.append([f"{one.case.name}: {one.target}", "  ".join(f"{part} {us:,.0f}" for part, us in shares)])
    return "CPU per reply by process, µs\n" + "\n".join("  ".join(row) for row in rows) if rows else ""


def _memory(findings: Findings) -> str:
    rows = []
    for kind, idle in findings.memory_idle.items():
        loaded = findings.memory_loaded.get(kind, {})
        burned = findings.idle_cores.get(kind, {})
        for part, size in idle.items():
            later = loaded.get(part)
            rows.append([
                f"{kind}: {part}", f"{size.rss / _MIB:,.0f}", f"{size.pss / _MIB:,.0f}",
                f"{later.rss / _MIB:,.0f}" if later else "", f"{later.pss / _MIB:,.0f}" if later else "",
                f"{later.peak_rss / _MIB:,.0f}" if later else "", f"{burned.get(part, 0.0):.1%}",
            ])  # fmt: skip
    head = ("memory, MiB", "RSS at rest", "PSS", "RSS after load", "PSS", "peak RSS", "CPU at rest")
    return table(head, rows) if rows else ""


def _goals(findings: Findings) -> str:
    rows = [
        [goal.what, *("" if value is None else f"{value:,.4g}" for value in (goal.found, goal.must, goal.want)), goal.unit, goal.verdict()]
        for goal in goals(findings)
    ]  # fmt: skip
    return table(("numbers to reach", "found", "must", "want", "unit", ""), rows)


def _noise(findings: Findings) -> str:
    """A warning when the machine was not ours alone."""
    every = [one for found in findings.measurements.values() for one in found]
    disturbed = [one for one in every if one.foreign_cores > _NOISE_CORES]
    if not disturbed:
        return ""
    worst = max(one.foreign_cores for one in disturbed)
    return (
        f"Other processes used up to {worst:.1f} cores during {len(disturbed)} of {len(every)} measurements (column `others`): "
        "latencies and rates of those say little, CPU is somewhat too high. `--patience 60` waits for an idle machine."
    )


def write_json(path: Path, findings: Findings, options: Options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "options": asdict(options),
        "goals": [{**asdict(goal), "verdict": goal.verdict()} for goal in goals(findings)],
        **asdict(findings),
    }
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
