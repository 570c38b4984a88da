"""Traffic over endpoints that fail, recover, flap and slow down, on a simulated clock and through two routers.

What an attempt teaches reaches the routers a second after the request ended, as in production.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from libs.clock import ManualClock
from services.router.core.circuit import MAX_COOLING_S
from services.router.core.health import Health, Outcome, Verdict
from services.router.core.wishes import CutOffs, Preferences, Wishes
from services.router.handlers import RouterHandlers
from tests.unit.router.making import MODEL, NOW_S, catalogue, endpoint, model

USAGE_DELAY_S = 1
CHEAP, MIDDLE, DEAR = "cheap", "middle", "dear"
WORLD = catalogue(model([endpoint(CHEAP, 100), endpoint(MIDDLE, 120), endpoint(DEAR, 150)]))


class Answer(NamedTuple):
    works: bool = True
    latency_ms: int = 200


Behaviour = Callable[[int], Answer]


def steady(_: int) -> Answer:
    return Answer()


def down(start_s: int, end_s: int) -> Behaviour:
    return lambda second: Answer(works=not start_s <= second < end_s)


def flapping(period_s: int, end_s: int) -> Behaviour:
    return lambda second: Answer(works=second >= end_s or second // period_s % 2 == 0)


def slow_from(start_s: int) -> Behaviour:
    return lambda second: Answer(latency_ms=4000 if second >= start_s else 200)


class Traffic:
    """Requests by the second; what they asked, and what became of them."""

    def __init__(self, per_s: int, preferences: Preferences | None = None, **behaviours: Behaviour) -> None:
        self._per_s = per_s
        self._wishes = Wishes((MODEL,), preferences=preferences or Preferences())
        self._behaviours = behaviours
        self._clock = ManualClock(NOW_S * 1000)
        self._routers = [self._router(name) for name in ("router_1", "router_2")]
        self._news: list[tuple[int, Outcome]] = []
        self.asked: list[Counter[str]] = []
        self.first: list[Counter[str]] = []
        self.failed = 0
        self.served = 0

    def _router(self, name: str) -> RouterHandlers:
        handlers = RouterHandlers(Health(seed=name), self._clock)
        handlers.offer(WORLD)
        return handlers

    def run(self, seconds: int) -> "Traffic":
        for _ in range(seconds):
            self._second(len(self.asked))
            self._clock.advance(1)
        return self

    def share(self, slug: str, start_s: int, end_s: int) -> float:
        """Of all first attempts in these seconds."""
        counts = sum(self.first[start_s:end_s], Counter[str]())
        return counts[slug] / counts.total()

    def _second(self, second: int) -> None:
        now_s = NOW_S + second
        due = [outcome for at_s, outcome in self._news if at_s <= now_s]
        self._news = [one for one in self._news if one[0] > now_s]
        for router in self._routers:
            router.learn(due)
            router.health_status()
        self.asked.append(Counter())
        self.first.append(Counter())
        for number in range(self._per_s):
            router = self._routers[number % len(self._routers)]
            plan = router.plan(self._wishes, f"gen-{second}-{number}")
            router.begin(plan)
            self.first[-1][plan.attempts[0].endpoint.provider.slug] += 1
            answers = [
                self._try(place.endpoint.id, place.endpoint.provider.slug, second) for place in plan.attempts[:1]
            ]
            for place in plan.attempts[1:]:
                if answers[-1]:
                    break
                answers.append(self._try(place.endpoint.id, place.endpoint.provider.slug, second))
            self.served += answers[-1]
            self.failed += not answers[-1]

    def _try(self, endpoint_id: str, slug: str, second: int) -> bool:
        self.asked[-1][slug] += 1
        answer = self._behaviours.get(slug, steady)(second)
        at_s = NOW_S + second
        outcome = Outcome(
            endpoint_id,
            Verdict.SUCCESS if answer.works else Verdict.FAILURE,
            at_s,
            answer.latency_ms if answer.works else 0,
            answer.latency_ms * 2 if answer.works else 0,
            20 if answer.works else 0,
            at_s,
            slug,
        )
        self._news.append((at_s + USAGE_DELAY_S, outcome))
        return answer.works


@pytest.mark.parametrize("start_s", [15, 100])
@pytest.mark.parametrize("per_s", [1, 10, 30, 50])
def test_traffic_leaves_an_endpoint_that_is_down_and_returns_when_it_is_up(per_s: int, start_s: int) -> None:
    end_s = start_s + 60
    traffic = Traffic(per_s, cheap=down(start_s, end_s)).run(end_s + 240)
    usual = traffic.share(CHEAP, 0, start_s)
    assert usual > 0.25
    assert traffic.share(CHEAP, start_s + 30, end_s) < 0.15
    first_asked = next(second for second in range(start_s, end_s) if traffic.asked[second][CHEAP])
    quiet = sum(one[CHEAP] for one in traffic.asked[first_asked + 30 : end_s])
    assert quiet <= 8, "a few find out that it is still down"
    assert traffic.share(CHEAP, end_s + MAX_COOLING_S * 6 // 5, end_s + 240) > usual * 0.7
    assert traffic.failed == 0


def test_traffic_has_left_within_seconds_when_there_is_much_of_it() -> None:
    traffic = Traffic(50, cheap=down(100, 160)).run(160)
    assert sum(one[CHEAP] for one in traffic.asked[103:130]) == 0


def test_flapping_endpoint_is_left_alone_mostly_and_costs_nobody_a_reply() -> None:
    traffic = Traffic(20, cheap=flapping(15, 600)).run(1000)
    failures = sum(one[CHEAP] for second, one in enumerate(traffic.asked[:600]) if second // 15 % 2)
    assert failures < 600 * 20 * 0.01
    assert traffic.failed == 0
    assert traffic.share(CHEAP, 800, 1000) > 0.3


def test_slow_endpoint_loses_those_who_mind() -> None:
    minding = Preferences(max_latency=CutOffs(p90=1.0))
    traffic = Traffic(20, minding, cheap=slow_from(100)).run(160)
    assert traffic.share(CHEAP, 0, 100) > 0.3
    assert traffic.share(CHEAP, 130, 160) == 0


def test_two_of_three_down_is_still_no_failure_for_callers() -> None:
    traffic = Traffic(20, cheap=down(60, 120), middle=down(80, 140)).run(300)
    assert traffic.failed == 0
    assert traffic.share(DEAR, 110, 120) > 0.95
