"""The router alone: loading the catalogue, planning over it, and the memory both take.

Owns these figures. `python -m tests.bench.router` prints them as JSON; the bench runs it as a process of its own, since memory
and a cold start can be measured in no other. Invariant: the model is the one with the most endpoints, and every plan has its own seed.
"""

import gc
import resource
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from libs.clock import SystemClock
from services.router.catalogue_files import read_catalogue
from services.router.core.catalogue import Model
from services.router.core.health import Health, Outcome, Verdict
from services.router.core.wishes import Features, Wishes
from services.router.handlers import RouterHandlers

_PLANS: Final = 20_000
_REPLIES: Final = 220
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class RouterFigures:
    """Attributes:
    endpoints: of the model that was planned.
    graded_p50_us: of plans with tools while every endpoint's quality is known.
    rss: bytes, with the catalogue ready to be shown.
    """

    load_s: float
    endpoints: int
    plan_p50_us: float
    plan_p99_us: float
    auto_p50_us: float
    graded_p50_us: float
    rss: int


def measure() -> RouterFigures:
    started = time.perf_counter()
    catalogue = read_catalogue()
    load_s = time.perf_counter() - started
    health, clock = Health(), SystemClock()
    handlers = RouterHandlers(health, clock)
    handlers.offer(catalogue)
    model = max(catalogue.models.values(), key=lambda one: len(one.endpoints))
    gc.collect()
    gc.freeze()
    plain = _plans(handlers, Wishes((model.id,), Features(prompt_tokens=500, max_tokens=500)), _PLANS)
    auto = _plans(handlers, Wishes(("switchyard/auto",), Features(prompt_tokens=500)), _PLANS // 10)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    _make_known(health, model, clock.now_ms() // 1000)
    with_tools = Features(prompt_tokens=500, max_tokens=500, uses_tools=True)
    graded = _plans(handlers, Wishes((model.id,), with_tools), _PLANS // 2)
    return RouterFigures(
        load_s,
        len(model.endpoints),
        plain[len(plain) // 2],
        plain[len(plain) * 99 // 100],
        auto[len(auto) // 2],
        graded[len(graded) // 2],
        rss,
    )


def _make_known(health: Health, model: Model, now_s: int) -> None:
    """Every endpoint answered often enough; every fourth one's tool calls are bad."""
    for place, endpoint in enumerate(model.endpoints):
        good = Outcome(
            endpoint.id, Verdict.SUCCESS, now_s, 200, 1000, 50, now_s, endpoint.provider.slug, tool_calls=True
        )
        bad = good._replace(tool_calls=False)
        for number in range(_REPLIES):
            health.learn(bad if place % 4 == 0 and number % 2 else good, now_s)
    health.advance(now_s)


def _plans(handlers: RouterHandlers, wishes: Wishes, count: int) -> list[float]:
    """Microseconds of each, sorted."""
    times = []
    for number in range(count):
        started = time.perf_counter()
        handlers.plan(wishes, f"gen-{number}")
        times.append((time.perf_counter() - started) * 1e6)
    return sorted(times)


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(asdict(measure())).decode() + "\n")
