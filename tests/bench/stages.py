"""The run in stages: what is up at the same time, which cases it gets, what else is looked at.

Owns the order. Does not measure (cases.py) or judge (goals.py). Invariant: whatever a shape is compared with is measured
in the same stage, minutes of a shared machine apart are no comparison.
"""

import contextlib
import http.client
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
import pytest

from tests.bench import cpu
from tests.bench.cases import ALL, PLAIN_1, PLAIN_32, STREAM_32, Bench, Case, Measurement, measure
from tests.bench.router import RouterFigures
from tests.bench.targets import UPSTREAM, Cores, Target, module, proxy, switchyard
from tests.testkit.shapes import CHECKOUT

_IDLE_S: Final = 2.0
_QUIET_S: Final = 0.5
_QUIET_CORES: Final = 0.2
_SOAK_PARTS: Final = 10
_FIRST_REPLY_LIMIT_S: Final = 30.0
_MODEL_READS: Final = 200


@dataclass(frozen=True, slots=True)
class Options:
    """Attributes:
    only: names of targets, empty: all.
    soak: requests of a soak; 0: none.
    patience_s: how long a measurement waits for a machine that others leave alone.
    """

    seconds: float = 4.0
    only: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ALL
    tracing: bool = False
    soak: int = 0
    patience_s: float = 0.0

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only


@dataclass(frozen=True, slots=True)
class SoakPoint:
    requests: int
    memory: dict[str, cpu.Memory]


@dataclass(slots=True)
class Findings:
    """All that a run found. Keys of the dicts: target, then part.

    Attributes:
        measurements: by stage.
        idle_cores: CPU that parts burn with nothing to do, in cores.
        restart_s: standalone, second start to first answered request.
        router: of the router alone.
        chunks_us: CPU of provider_adapter per streamed chunk, by format and what the chunks hold.
        models_read_s: median of reading the whole list of models from standalone.
        notes: what went wrong or was left out.
    """

    measurements: dict[str, list[Measurement]] = field(default_factory=dict)
    memory_idle: dict[str, dict[str, cpu.Memory]] = field(default_factory=dict)
    memory_loaded: dict[str, dict[str, cpu.Memory]] = field(default_factory=dict)
    idle_cores: dict[str, dict[str, float]] = field(default_factory=dict)
    restart_s: float | None = None
    router: RouterFigures | None = None
    chunks_us: dict[str, dict[str, float]] = field(default_factory=dict)
    models_read_s: float | None = None
    soak: dict[str, list[SoakPoint]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def find(self, stage: str, target: str, case: Case) -> Measurement | None:
        found = (one for one in self.measurements.get(stage, ()) if one.target == target and one.case == case)
        return next(found, None)


class Run:
    """One run over its stages."""

    def __init__(self, options: Options, cores: Cores, upstream_pid: int, upstream_port: int) -> None:
        self.options = options
        self.findings = Findings()
        self._cores = cores
        self._upstream_pid = upstream_pid
        self._port = upstream_port
        self._direct = Target("direct", upstream_port, "/v1/chat/completions", roots={UPSTREAM: [upstream_pid]})

    def standalone(self) -> None:
        """Direct, proxy and standalone side by side; then the second start."""
        with contextlib.ExitStack() as stack:
            targets = [self._direct, stack.enter_context(proxy(self._port))]
            shape = self._try_shape(stack, "standalone") if self.options.wants("standalone") else None
            chosen = [target for target in (*targets, shape) if target and self.options.wants(target.name)]
            self._cases("standalone", chosen, self.options.cases)
            if shape is not None:
                self.findings.models_read_s = _read_models(shape)
                self._soak(shape)
                self._remember_memory(shape)
                self.findings.restart_s = _restart(shape)

    def distributed(self) -> None:
        """Direct and distributed side by side, nothing bound to a core."""
        with contextlib.ExitStack() as stack:
            shape = self._try_shape(stack, "distributed")
            if shape is None:
                return
            self._cases("distributed", [self._direct, shape], self.options.cases)
            self._soak(shape)

    def chunks(self) -> None:
        """provider_adapter's decoders alone."""
        _tell("provider_adapter: streamed chunks in every format")
        made = subprocess.run(
            [sys.executable, "-m", "tests.bench.adapter_chunks", "--json"],
            cwd=CHECKOUT, capture_output=True, check=True, timeout=300,
        )  # fmt: skip
        self.findings.chunks_us = orjson.loads(made.stdout)

    def router(self) -> None:
        """The router alone, on a core of its own."""
        _tell("router: catalogue and plans")
        wait_for_quiet(self.options.patience_s)
        made = subprocess.run(
            [sys.executable, "-m", "tests.bench.router"], cwd=CHECKOUT, capture_output=True, check=True, timeout=120
        )
        self.findings.router = RouterFigures(**orjson.loads(made.stdout))

    def tracing(self) -> None:
        """Standalone without spans and with every request traced."""
        with contextlib.ExitStack() as stack:
            sink_pid, sink_port = stack.enter_context(module("trace_sink"))
            cpu.pin([sink_pid], self._cores.load)
            plain = self._try_shape(stack, "standalone")
            endpoint = {"SWITCHYARD_TELEMETRY__OTLP_ENDPOINT": f"http://127.0.0.1:{sink_port}"}
            traced = self._try_shape(stack, "standalone", "standalone, traced", **endpoint)
            if plain is None or traced is None:
                return
            self._cases("tracing", [plain, traced], (PLAIN_32, STREAM_32))

    def _try_shape(self, stack: contextlib.ExitStack, kind: str, name: str = "", **names: str) -> Target | None:
        _tell(f"starting {name or kind}")
        try:
            target = stack.enter_context(switchyard(kind, self._port, **names))
        except (pytest.fail.Exception, pytest.skip.Exception) as error:
            self.findings.notes.append(f"{kind} is not measured: {str(error)[-2000:]}")
            return None
        target.name = name = name or kind
        # One settled reply first: Kafka may still be starting when requests already work.
        measure(Bench(self._upstream_pid, self._cores.everywhere, 0.0, is_apart=False), PLAIN_1, target, requests=1)
        self.findings.memory_idle.setdefault(name, target.memory())
        before = target.cpu_s()
        time.sleep(_IDLE_S)
        after = target.cpu_s()
        self.findings.idle_cores[name] = {part: (after[part] - before.get(part, 0.0)) / _IDLE_S for part in after}
        stack.callback(self._remember_memory, target)
        self._warm_up(target)
        return target

    def _remember_memory(self, target: Target) -> None:
        self.findings.memory_loaded.setdefault(target.name, target.memory())

    def _warm_up(self, target: Target) -> None:
        """The first requests of a process pay for caches; nobody measures those."""
        bench = Bench(self._upstream_pid, self._cores.everywhere, 0.3, is_apart=False)
        for case in (PLAIN_32, STREAM_32):
            measure(bench, case, target)

    def _cases(self, stage: str, targets: Sequence[Target], cases: Sequence[Case]) -> None:
        found = self.findings.measurements.setdefault(stage, [])
        for case in cases:
            for target in targets:
                _tell(f"{stage} stage: {case.name}, {target.name}")
                wait_for_quiet(self.options.patience_s)
                with self._placed(target, is_apart=case.connections > 1 and stage != "distributed") as bench:
                    found.append(measure(bench, case, target))

    @contextlib.contextmanager
    def _placed(self, target: Target, *, is_apart: bool) -> Iterator[Bench]:
        """With `is_apart` the gateway has a core for itself; else the scheduler places everything."""
        load_cores = self._cores.load if is_apart else self._cores.everywhere
        cpu.pin([self._upstream_pid], load_cores)
        if target is not self._direct:
            (target.pin if is_apart else target.unpin)(self._cores)
        yield Bench(self._upstream_pid, load_cores, self.options.seconds, is_apart)

    def _soak(self, target: Target) -> None:
        """Memory after each tenth of many requests, plain and streamed in turn."""
        if not self.options.soak:
            return
        self._remember_memory(target)
        points = self.findings.soak.setdefault(target.name, [])
        part = max(1, self.options.soak // _SOAK_PARTS)
        with self._placed(target, is_apart=target.name != "distributed") as bench:
            for number in range(_SOAK_PARTS):
                _tell(f"soak: {number * part} of {self.options.soak}, {target.name}")
                done = measure(bench, (PLAIN_32, STREAM_32)[number % 2], target, requests=part)
                if done.result.errors:
                    self.findings.notes.append(f"soak, {target.name}: {done.result.errors}")
                points.append(SoakPoint((number + 1) * part, target.memory()))


def wait_for_quiet(patience_s: float) -> None:
    """Returns when the cores are nearly idle, or when patience ends."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        before = sum(core.busy_s for core in cpu.read_cores().values())
        time.sleep(_QUIET_S)
        if sum(core.busy_s for core in cpu.read_cores().values()) - before < _QUIET_CORES * _QUIET_S:
            return


def _read_models(target: Target) -> float:
    """Median of reading all models over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    times = []
    for _ in range(_MODEL_READS):
        began_s = time.perf_counter()
        connection.request("GET", "/api/v1/models", headers={"Authorization": f"Bearer {target.key}"})
        reply = connection.getresponse()
        assert reply.status == 200
        reply.read()
        times.append(time.perf_counter() - began_s)
    connection.close()
    return sorted(times)[_MODEL_READS // 2]


def _restart(target: Target) -> float | None:
    """Stops standalone, starts it on the same folder: seconds to the first answered request."""
    assert target.shape is not None
    _tell("second start of standalone")
    target.shape.stop()
    began_s = time.perf_counter()
    target.shape.start()
    request = urllib.request.Request(
        f"http://127.0.0.1:{target.port}{target.path}",
        data=PLAIN_32.body().encode(),
        headers={"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"},
    )
    while time.perf_counter() - began_s < _FIRST_REPLY_LIMIT_S:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as reply:
            if reply.status == 200 and reply.read():
                return time.perf_counter() - began_s
        time.sleep(0.01)
    return None


def carry_out(options: Options, cores: Cores, *, on_stage: Callable[[Findings], None]) -> Findings:
    """All stages that the options ask for; `on_stage` sees what there is after each."""
    with module("upstream") as (pid, port):
        run = Run(options, cores, pid, port)
        is_first_wanted = any(options.wants(name) for name in ("proxy", "standalone")) or options.only == ("direct",)
        stages = [run.chunks] if options.wants("chunks") else []
        stages += [run.router] if options.wants("router") else []
        stages += [run.standalone] if is_first_wanted else []
        stages += [run.distributed] if options.wants("distributed") else []
        stages += [run.tracing] if options.tracing else []
        for stage in stages:
            stage()
            on_stage(run.findings)
    return run.findings


def _tell(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()
