"""What callers see while endpoints fail, recover, flap and slow down: `python -m tests.bench.failover`, two minutes.

One standalone with simulated endpoints of one model at three providers, under steady load; the simulator's dials make one of
them misbehave by the clock. Prints what was found, writes JSON and a plot under var/bench. Owns the story and the
figures. Does not draw (failover_plot.py). Invariant: attempts are the simulator's count, success is what callers got.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from tests.bench.failover_plot import draw
from tests.testkit.api import Api
from tests.testkit.shapes import CHECKOUT, Shape, running_beside

MODEL: Final = "meta-llama/llama-3.3-70b-instruct"
MINDING: Final = {"preferred_max_latency": {"p90": 1.5}}
FLAP_S: Final = 5
_GONE: Final = 0.1
"""Of its usual share: so little is left to the requests that try it."""
_BACK: Final = 0.5
_LEAST_STEP: Final = 1.05
_MUST_LEAVE_S: Final = 30
_MUST_SUCCEED: Final = 0.999


class Phase(NamedTuple):
    """What the simulator is told in these seconds; `{0}` is the cheapest provider, `{1}` the next."""

    name: str
    start_s: int
    end_s: int
    dials: str = ""


PHASES: Final = (
    Phase("steady", 0, 20),
    Phase("down", 20, 45, "fail=503 only={0}"),
    Phase("up again", 45, 90),
    Phase("flapping", 90, 105, "fail=503 only={0}"),
    Phase("slow", 105, 130, "ttft_ms=3000 only={1}"),
)
END_S: Final = PHASES[-1].end_s


class Reply(NamedTuple):
    """What one caller got."""

    at_s: float
    took_s: float
    status: int
    provider: str
    minds: bool


@dataclass
class Story:
    """Attributes:
    providers: slugs, cheapest first.
    asked: by second and provider, what the simulator was asked.
    """

    providers: Sequence[str]
    per_s: int
    replies: list[Reply] = field(default_factory=list)
    asked: list[dict[str, int]] = field(default_factory=list)

    def share(self, slug: str, start_s: int, end_s: int) -> float:
        """Of all attempts in these seconds."""
        counts: Counter[str] = sum((Counter(one) for one in self.asked[start_s:end_s]), Counter())
        return counts[slug] / max(1, counts.total())

    def served_share(self, slug: str, start_s: int, end_s: int, *, minds: bool) -> float:
        """Of the replies to one kind of callers."""
        some = [one for one in self.replies if start_s <= one.at_s < end_s and one.minds is minds]
        return sum(one.provider == slug for one in some) / max(1, len(some))

    def success(self, start_s: int = 0, end_s: int = END_S) -> float:
        some = [one for one in self.replies if start_s <= one.at_s < end_s]
        return sum(one.status == 200 for one in some) / max(1, len(some))


class Figures(NamedTuple):
    """Seconds are None where it did not happen."""

    requests: int
    success: float
    success_while_down: float
    success_while_flapping: float
    usual_share: float
    left_after_s: int | None
    back_after_s: int | None
    attempts_wasted_while_down: int
    attempts_wasted_while_flapping: int
    slow_share_of_the_minding: float
    slow_share_of_the_others: float


def figures_of(story: Story) -> Figures:
    first, second, *_ = story.providers
    steady, down, up, flapping, slow = PHASES
    usual = story.share(first, 2, steady.end_s)
    left = next(
        (at for at in range(down.start_s, down.end_s - 5) if story.share(first, at, at + 5) <= usual * _GONE), None
    )
    back = next((at for at in range(up.start_s, up.end_s - 2) if story.share(first, at, at + 3) >= usual * _BACK), None)
    return Figures(
        requests=len(story.replies),
        success=story.success(),
        success_while_down=story.success(down.start_s, down.end_s),
        success_while_flapping=story.success(flapping.start_s, flapping.end_s),
        usual_share=usual,
        left_after_s=None if left is None else left - down.start_s,
        back_after_s=None if back is None else back - up.start_s,
        attempts_wasted_while_down=sum(one.get(first, 0) for one in story.asked[down.start_s : down.end_s]),
        attempts_wasted_while_flapping=sum(
            one.get(first, 0) for at, one in enumerate(story.asked) if _is_flapped(flapping, at)
        ),
        slow_share_of_the_minding=story.served_share(second, slow.end_s - 12, slow.end_s, minds=True),
        slow_share_of_the_others=story.served_share(second, slow.end_s - 12, slow.end_s, minds=False),
    )


def dials_at(second: float, providers: Sequence[str]) -> str:
    """The directive for a request of that second; a flapping endpoint fails for 5 s, then works for 5 s."""
    phase = next((one for one in PHASES if one.start_s <= second < one.end_s), PHASES[0])
    if not phase.dials or (phase.name == "flapping" and not _is_flapped(phase, second)):
        return ""
    return f"[[sim {phase.dials.format(*providers)}]]"


def _is_flapped(phase: Phase, second: float) -> bool:
    return phase.start_s <= second < phase.end_s and (second - phase.start_s) // FLAP_S % 2 == 0


async def choose_providers(api: Api) -> dict[str, str]:
    """Names of three providers with one endpoint each and prices that differ a little, by slug, cheapest first."""
    found = (await api.get(f"/models/{MODEL}/endpoints")).body["data"]["endpoints"]
    counts = Counter(one["tag"].partition("/")[0] for one in found)
    prices = {
        one["tag"]: (3 * float(one["pricing"]["prompt"]) + float(one["pricing"]["completion"]), one["provider_name"])
        for one in found
        if counts[one["tag"]] == 1 and float(one["pricing"]["prompt"]) > 0
    }
    ordered = sorted(prices, key=lambda slug: prices[slug])
    best = min(
        (some for some in itertools.combinations(ordered, 3) if _steps(some, prices) >= _LEAST_STEP),
        key=lambda some: prices[some[2]][0] / prices[some[0]][0],
    )
    return {slug: prices[slug][1] for slug in best}


def _steps(some: Sequence[str], prices: dict[str, tuple[float, str]]) -> float:
    """The least ratio of one's price to the one before."""
    return min(prices[after][0] / prices[before][0] for before, after in itertools.pairwise(some))


async def play(shape: Shape, per_s: int) -> Story:
    """Two minutes of load."""
    async with Api(shape.api_base, shape.api_key) as api, aiohttp.ClientSession() as session:
        names = await choose_providers(api)
        story = Story(list(names), per_s)
        slugs = {name: slug for slug, name in names.items()}
        started_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_watch(session, shape.simulator_base, story, started_s))
            for number in _ticks(per_s):
                await asyncio.sleep(max(0.0, started_s + number / per_s - time.monotonic()))
                tasks.create_task(_ask(api, story, slugs, started_s, minds=number % 2 == 0))
            await watch
        return story


def _ticks(per_s: int) -> Iterator[int]:
    return iter(range(END_S * per_s))


async def _ask(api: Api, story: Story, slugs: dict[str, str], started_s: float, *, minds: bool) -> None:
    at_s = time.monotonic() - started_s
    provider: dict[str, Any] = {"only": list(story.providers), **(MINDING if minds else {})}
    try:
        reply = await api.chat(f"Hello {dials_at(at_s, story.providers)}", model=MODEL, provider=provider)
        status, served_by = reply.status, slugs.get((reply.body or {}).get("provider", ""), "")
    except (aiohttp.ClientError, TimeoutError, ValueError):
        status, served_by = 0, ""
    story.replies.append(Reply(at_s, time.monotonic() - started_s - at_s, status, served_by, minds))


async def _watch(session: aiohttp.ClientSession, base: str, story: Story, started_s: float) -> None:
    """Asks the simulator once a second what it was asked."""
    before: dict[str, int] = {}
    for second in itertools.count(1):
        await asyncio.sleep(max(0.0, started_s + second - time.monotonic()))
        async with session.get(f"{base}/sim/stats") as reply:
            found = (await reply.json())["providers"]
        now = {slug: found.get(slug, {}).get(MODEL, {}).get("asked", 0) for slug in story.providers}
        story.asked.append({slug: now[slug] - before.get(slug, 0) for slug in now})
        before = now
        if second >= END_S:
            return


def report(story: Story, found: Figures) -> str:
    def verdict(*, met: bool) -> str:
        return "met" if met else "MISSED"

    lines = [
        ("success, all of it", f"{found.success:.3%}", verdict(met=found.success >= _MUST_SUCCEED)),
        ("success while one of three is down", f"{found.success_while_down:.3%}",
         verdict(met=found.success_while_down >= _MUST_SUCCEED)),
        ("success while one of three flaps", f"{found.success_while_flapping:.3%}",
         verdict(met=found.success_while_flapping >= _MUST_SUCCEED)),
        ("traffic left the failing endpoint after", _seconds(found.left_after_s),
         verdict(met=found.left_after_s is not None and found.left_after_s <= _MUST_LEAVE_S)),
        ("traffic came back after", _seconds(found.back_after_s), verdict(met=found.back_after_s is not None)),
        ("its usual share", f"{found.usual_share:.0%}", ""),
        ("attempts wasted in 25 s of being down", str(found.attempts_wasted_while_down), ""),
        ("attempts wasted in 15 s of flapping", str(found.attempts_wasted_while_flapping), ""),
        ("slow endpoint's share of callers who mind", f"{found.slow_share_of_the_minding:.0%}", ""),
        ("and of those who do not", f"{found.slow_share_of_the_others:.0%}", ""),
    ]  # fmt: skip
    head = f"{found.requests} requests at {story.per_s}/s over {', '.join(story.providers)} ({MODEL})"
    return "\n".join([head, *(f"  {name:<45} {value:>9}  {judged}" for name, value, judged in lines)])


def _seconds(value: int | None) -> str:
    return "never" if value is None else f"{value} s"


async def _run(per_s: int) -> Story:
    async with running_beside("standalone", credit_usd="1000") as shape:
        return await play(shape, per_s)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failover", description=__doc__)
    parser.add_argument("--rate", type=int, default=30, help="requests per second (default 30)")
    parser.add_argument("--json", type=Path, default=CHECKOUT / "var" / "bench" / "failover.json")
    chosen = parser.parse_args()
    story = asyncio.run(_run(chosen.rate))
    found = figures_of(story)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({"figures": found._asdict(), **asdict(story)}, indent=1))
    draw(chosen.json.with_suffix(".png"), story, PHASES)
    sys.stdout.write(f"{report(story, found)}\n\n{chosen.json}\n{chosen.json.with_suffix('.png')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
