"""The numbers to reach, beside what was found. The figures are DESIGN's (docs: "numbers to reach").

Owns which measurement answers which goal. Invariant: a goal without a measurement says so instead of passing.
"""

from dataclasses import dataclass
from typing import Final

from tests.bench.adapter_chunks import MUST_US, OPENAI_SHAPED
from tests.bench.cases import PACED_1, PLAIN_1, PLAIN_32, STREAM_1, STREAM_32, Case, Measurement
from tests.bench.stages import Findings

HOT_PARTS: Final = ("edge_proxy", "router", "provider_adapter", "billing_ledger")
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Goal:
    """Less is better in all of them; None: not asked for, or not measured."""

    what: str
    unit: str
    must: float | None
    want: float | None
    found: float | None

    def verdict(self) -> str:
        if self.found is None:
            return "not measured"
        if self.must is None:
            return ""
        if self.found > self.must:
            return f"MISSED by {_excess(self.found, self.must)}"
        if self.want is None:
            return "met"
        return "wanted, met" if self.found <= self.want else f"met; {_excess(self.found, self.want)} over what we want"


def _excess(found: float, limit: float) -> str:
    return f"{(found / limit - 1) * 100:.0f} %" if limit else f"{found:g}"


def added_ms(findings: Findings, stage: str, target: str, case: Case, percentile: int, *, first: bool) -> float | None:
    """Latency, or time to first token, beyond that of calling the upstream directly in the same stage."""
    ours, direct = findings.find(stage, target, case), findings.find(stage, "direct", case)
    if not _is_usable(ours) or not _is_usable(direct):
        return None
    assert ours is not None
    assert direct is not None
    curves = [one.result.first_token_s if first else one.result.latency_s for one in (ours, direct)]
    return (curves[0][percentile] - curves[1][percentile]) * 1e3


def _is_usable(one: Measurement | None) -> bool:
    return one is not None and one.result.measured > 0


def goals(findings: Findings) -> list[Goal]:
    alone, apart = "standalone", "distributed"
    plain_32 = findings.find(alone, alone, PLAIN_32)
    memory = findings.memory_idle.get(alone, {}).get(alone)
    found = [
        Goal("CPU per plain request, standalone", "µs", 500, 200, _cpu_us(plain_32)),
        Goal("the same, distributed: edge, router, adapter, ledger", "µs", 1200, 600, _cpu_us(findings.find(apart, apart, PLAIN_32), HOT_PARTS)),
        Goal("CPU per stream of 40 events, standalone", "µs", 1000, 400, _cpu_us(findings.find(alone, alone, STREAM_32))),
    ]  # fmt: skip
    for kind, median_ms, median_want_ms, tail_ms in ((alone, 2.0, 1.0, 6.0), (apart, 3.5, 2.0, 10.0)):
        found += [
            Goal(f"added latency, {kind}, 1 client, p50", "ms", median_ms, median_want_ms, added_ms(findings, kind, kind, PLAIN_1, 50, first=False)),
            Goal(f"added latency, {kind}, 1 client, p99", "ms", tail_ms, None, added_ms(findings, kind, kind, PLAIN_1, 99, first=False)),
            Goal(f"added time to first token, {kind}, streams back to back, p50", "ms", 2.0, 1.0, added_ms(findings, kind, kind, STREAM_1, 50, first=True)),
            Goal(f"the same, {kind}, paced, 5 streams/s: caches cold", "ms", 2.0, 1.0, added_ms(findings, kind, kind, PACED_1, 50, first=True)),
        ]  # fmt: skip
    found += [
        Goal(_lag_text(plain_32), "s", 1.0, None, plain_32.settlement.lag_s if plain_32 and plain_32.settlement else None),
        Goal("second start of standalone to first reply", "s", 3.0, 1.5, findings.restart_s),
        Goal("memory of standalone at rest, PostgreSQL apart", "MiB", 250, 150, memory.rss / _MIB if memory else None),
    ]  # fmt: skip
    found += _of_router(findings)
    found += _of_adapter(findings)
    return found + [_growth(findings, kind) for kind in findings.soak]


def _of_router(findings: Findings) -> list[Goal]:
    """What the router's own issue asks for."""
    alone = findings.router
    process = findings.memory_loaded.get("distributed", {}).get("router")
    read_s = findings.models_read_s
    return [
        Goal(f"plan over the whole catalogue, {alone.endpoints if alone else 39} endpoints, p50", "µs", 150, None, alone.plan_p50_us if alone else None),
        Goal("the same, p99", "µs", 500, None, alone.plan_p99_us if alone else None),
        Goal("the same with tools, all of them graded, p50", "µs", 150, None, alone.graded_p50_us if alone else None),
        Goal("loading the catalogue", "s", 1.0, None, alone.load_s if alone else None),
        Goal("memory of the router after load", "MiB", 200, None, process.rss / _MIB if process else None),
        Goal("GET /models, all of them, p50", "ms", 5.0, None, read_s * 1e3 if read_s is not None else None),
    ]  # fmt: skip


def _of_adapter(findings: Findings) -> list[Goal]:
    """The dearer kind of chunk counts."""
    return [
        Goal(f"provider_adapter's CPU per streamed chunk, {name}", "µs", MUST_US[name in OPENAI_SHAPED], None, max(costs.values()))
        for name, costs in findings.chunks_us.items()
    ]  # fmt: skip


def _cpu_us(one: Measurement | None, parts: tuple[str, ...] = ()) -> float | None:
    return one.gateway_us(parts) if one is not None and one.result.replies else None


def _lag_text(one: Measurement | None) -> str:
    rate = f" after {one.result.per_s:,.0f} requests/s" if one is not None else ""
    return f"settlement lag, standalone{rate}"


def _growth(findings: Findings, kind: str) -> Goal:
    """Beyond the first tenth, in which caches fill. "None" is asked for; an allocator's noise is within 10 MiB."""
    first, last = findings.soak[kind][0], findings.soak[kind][-1]
    parts = [part for part in last.memory if part not in ("postgres", "kafka") and part in first.memory]
    grown = sum(last.memory[part].rss - first.memory[part].rss for part in parts) / _MIB
    return Goal(f"growth, {kind}, from {first.requests:,} to {last.requests:,} requests", "MiB", 10.0, 0.0, grown)
