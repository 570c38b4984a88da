"""How the endpoints of one model compare where requests carry tools ("Auto Exacto", reference behaviour-facts §1.6).

Owns the grades. Does not measure (history.py does) and does not order (ranking.py does). Invariant: an endpoint is
graded by its model's others, never by itself: fewer than four providers say nothing.

Two signals, each of endpoints that were asked often enough: throughput (the median of 100 requests in 30 minutes, at
least) and the share of good tool calls (200 replies with calls in 2 hours, at least). A signal that fewer than four
providers have says nothing about anybody. An endpoint stands out badly when it lies far below the median in a signal
that speaks; it is good when a signal that speaks knows it and none finds it bad. What one signal does not know is not
held against an endpoint that the other one knows: tool calls are learnt of from requests with tools alone, and an
endpoint that had to wait for them behind the good ones would never get any. So, too, does one that was put behind
come back: two hours later its tool calls are forgotten, its throughput is not.

How far is far is told by the peers: sigma is their median absolute deviation, made comparable with a standard
deviation. Where more than half of them agree it is zero, and who is a hair below would be bad. So sigma is never less than
a difference that means something (5 % of the speed; one call in a hundred), nor than what chance does to a share of so few
replies. One that is really bad is beyond all three, for its own figure has no weight in a median.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from statistics import median
from typing import Final, NamedTuple

from services.router.core.snapshot import Grade, ToolRecord

PROVIDERS: Final = 4
REQUESTS: Final = 100
TOOL_REQUESTS: Final = 200
SPEED_SIGMAS: Final = 1.5
TOOL_SIGMAS: Final = 2.0
LEAST_SPEED_SIGMA: Final = 0.05
"""Of the median; a sketch tells speeds apart by 4 %."""
LEAST_TOOL_SIGMA: Final = 0.01
_MAD_TO_SIGMA: Final = 1.4826


class Quality(NamedTuple):
    """What is measured of an endpoint.

    Attributes:
        throughput: the median over 30 minutes, of so many `requests`.
        tools: over 2 hours.
    """

    throughput: float = 0.0
    requests: int = 0
    tools: ToolRecord = ToolRecord()


def provider_of(endpoint_id: str) -> str:
    """Ids are `provider/model#variant`."""
    return endpoint_id.partition("/")[0]


def model_of(endpoint_id: str) -> str:
    return endpoint_id.partition("/")[2].partition("#")[0]


def grades(known: Mapping[str, Quality]) -> dict[str, Grade]:
    """The grades of one model's endpoints, by id; those of whom too little is known have none."""
    if len(known) < PROVIDERS:
        return {}
    speeds = {one: quality.throughput for one, quality in known.items() if quality.requests >= REQUESTS}
    tools = {one: quality.tools for one, quality in known.items() if quality.tools.requests >= TOOL_REQUESTS}
    shares = {one: 1 - record.failures / record.requests for one, record in tools.items()}

    def speed_sigma(_: str, middle: float) -> float:
        return LEAST_SPEED_SIGMA * middle

    def tool_sigma(endpoint_id: str, middle: float) -> float:
        return max(LEAST_TOOL_SIGMA, sqrt(middle * (1 - middle) / tools[endpoint_id].requests))

    found = _graded(speeds, SPEED_SIGMAS, speed_sigma, Grade.SLOW)
    for endpoint_id, grade in _graded(shares, TOOL_SIGMAS, tool_sigma, Grade.TOOL_CALLS).items():
        if grade is not Grade.GOOD or endpoint_id not in found:
            found[endpoint_id] = grade
    return found


class Gradebook:
    """The grades of all endpoints, in step with what is measured of them."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Quality]] = {}
        """By model, then by endpoint."""
        self._grades: dict[str, dict[str, Grade]] = {}
        """The same way."""
        self._stale: set[str] = set()

    def note(self, endpoint_id: str, quality: Quality) -> None:
        """Takes in what is measured now; it moves the middle for the model's others, too."""
        model = model_of(endpoint_id)
        self._known.setdefault(model, {})[endpoint_id] = quality
        self._stale.add(model)

    def forget(self, endpoint_id: str) -> None:
        """Takes out an endpoint that is not heard of any more."""
        model = model_of(endpoint_id)
        known = self._known.get(model, {})
        known.pop(endpoint_id, None)
        if not known:
            self._known.pop(model, None)
        self._stale.add(model)

    def grades(self) -> dict[str, Grade]:
        """By endpoint; worked out anew for models of which there is news."""
        for model in self._stale:
            found = grades(self._known.get(model, {}))
            if found:
                self._grades[model] = found
            else:
                self._grades.pop(model, None)
        self._stale.clear()
        return {one: grade for found in self._grades.values() for one, grade in found.items()}


def _graded(
    figures: Mapping[str, float], sigmas: float, least_sigma: Callable[[str, float], float], bad: Grade
) -> dict[str, Grade]:
    if len({provider_of(one) for one in figures}) < PROVIDERS:
        return {}
    middle = median(figures.values())
    spread = _MAD_TO_SIGMA * median(abs(figure - middle) for figure in figures.values())
    return {
        one: bad if figure < middle - sigmas * max(spread, least_sigma(one, middle)) else Grade.GOOD
        for one, figure in figures.items()
    }
