"""How well endpoints and credentials do: fed by outcomes, read by plans as snapshots and by people as figures.

Owns what is known of all of them, and who is behind. Does not decide orders (plan.py does); counting is next door
(windows, history, circuit, stickiness). Invariants: memory is bounded; what a plan reads was made before, at most once a
second and for what changed alone; a standing that an outcome changes is there at once.
"""

import heapq
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from services.router.core.circuit import Breaker
from services.router.core.history import BUCKET_S, History, Tally
from services.router.core.luck import luck
from services.router.core.quality import REQUESTS, Gradebook, Quality
from services.router.core.sketch import key_of
from services.router.core.snapshot import UNKNOWN_HEALTH, Grade, HealthSnapshot, Percentiles, Standing
from services.router.core.stickiness import Served, StickySessions
from services.router.core.verdicts import Outcome, Verdict, verdict_of
from services.router.core.windows import WINDOW_S, Rolling

__all__ = [
    "UNKNOWN_HEALTH", "WINDOW_S", "Grade", "Health", "HealthSnapshot", "Outcome", "Percentiles", "Standing", "Verdict",
    "verdict_of",
]  # fmt: skip

MAX_ENDPOINTS: Final = 20_000
MAX_CREDENTIALS: Final = 5_000
REPLAY_S: Final = 600
"""How far back outcomes still say something of now; what a restarted router reads again."""
ENOUGH: Final = 100
"""Requests that an uptime is made of, at least (reference §1.3)."""
NORMAL_UPTIME: Final = 95
FALLBACK_UPTIME: Final = 80
QUIET_S: Final = 60
"""After so long without a failure a low uptime no longer puts behind: who is behind is asked too little to mend it."""
ENDPOINT_FAILURES: Final = 5
CREDENTIAL_FAILURES: Final = 3
_FORGOTTEN_PER_S: Final = 128
_MEASURED_PER_S: Final = 64
_STATUS: Final = {
    Standing.DEGRADED: -1,
    Standing.FALLBACK_ONLY: -2,
    Standing.RATE_LIMITED: -3,
    Standing.OUTAGE: -5,
    Standing.TRIPPED: -5,
}
"""The reference has these numbers (and -10) without a word about them."""


class Figures(NamedTuple):
    """What is shown of an endpoint; None where too little is known.

    Attributes:
        status: 0 when all is well.
        uptime_5m: per cent.
        latency_s: over half an hour.
    """

    status: int = 0
    uptime_5m: float | None = None
    uptime_30m: float | None = None
    uptime_1d: float | None = None
    latency_s: Percentiles | None = None
    throughput: Percentiles | None = None


NO_FIGURES: Final = Figures()


class HealthStatus(NamedTuple):
    """How much is known and how much is wrong, for operators."""

    by_standing: Mapping[Standing, int]
    cooling: int
    endpoints: int
    sessions: int


class _Endpoint:
    """What is known of one endpoint."""

    __slots__ = ("breaker", "failed_s", "forgets_s", "history", "id", "rolling")

    def __init__(self, endpoint_id: str, luck: float) -> None:
        self.id = endpoint_id
        self.failed_s = 0
        self.forgets_s = 0
        """When its history will have been looked at again; past: nobody is going to."""
        self.breaker = Breaker(ENDPOINT_FAILURES, luck)
        self.rolling = Rolling()
        self.history = History()

    def standing(self, now_s: int) -> Standing | None:
        self.breaker.window.advance(now_s)
        recent = self.breaker.window.standing
        if recent is Standing.OUTAGE:
            return recent
        if self.breaker.circuit.is_open:
            return None if self.breaker.circuit.may_try(now_s) else Standing.TRIPPED
        uptime = self._uptime_since_recovery if now_s - self.failed_s < QUIET_S else None
        if uptime is not None and uptime < FALLBACK_UPTIME:
            return Standing.FALLBACK_ONLY
        return recent or (Standing.DEGRADED if uptime is not None and uptime < NORMAL_UPTIME else None)

    @property
    def quality(self) -> Quality:
        sketch, tools = self.history.recent.throughput, self.history.tools
        speed = sketch.percentiles() if sketch.count >= REQUESTS else None
        return Quality(tools=tools) if speed is None else Quality(speed.p50, speed.count, tools)

    @property
    def _uptime_since_recovery(self) -> float | None:
        """Failures that opened the circuit have been paid for with the time that it was open."""
        return _uptime(*self.rolling.since(self.breaker.circuit.closed_s))

    @property
    def is_suspect(self) -> bool:
        """Whether time alone may change its standing."""
        return self.breaker.is_of_interest or self.rolling.failures > ENOUGH * (100 - NORMAL_UPTIME) // 100


class Health:
    """Everything that a router knows of how endpoints do.

    Args:
        seed: differs between routers, so that they do not all try an endpoint again at the same moment.
    """

    def __init__(self, *, seed: str = "", max_endpoints: int = MAX_ENDPOINTS) -> None:
        self._seed = seed
        self._max_endpoints = max_endpoints
        self._endpoints: dict[str, _Endpoint] = {}
        self._suspects: dict[str, _Endpoint] = {}
        self._credentials: dict[str, Breaker] = {}
        self._due: list[tuple[int, str]] = []
        """Heap of when an endpoint has something to forget."""
        self._unmeasured: dict[str, _Endpoint] = {}
        """Whose percentiles are to be worked out anew."""
        self._behind: dict[str, Standing] = {}
        self._latency_s: dict[str, Percentiles] = {}
        self._throughput: dict[str, Percentiles] = {}
        self._gradebook = Gradebook()
        self._cooling: set[str] = set()
        self._to_try: set[str] = set()
        """Ids of endpoints, and credentials, of which a request may find out whether they work again."""
        self.sticky = StickySessions()
        self._snapshot = HealthSnapshot(sticky=self.sticky)
        self._has_news = False
        self._now_s = 0

    def learn(self, outcome: Outcome, now_s: int) -> None:
        """Takes in how an attempt ended, at the time it happened; clocks that run ahead are taken as now."""
        verdict, at_s = outcome.verdict, min(outcome.at_s, now_s)
        if outcome.credential and now_s - at_s < REPLAY_S:
            self._learn_of_credential(outcome, at_s)
        if verdict is Verdict.NOTHING:
            return
        if not outcome.is_own and (outcome.blames_credential or verdict is Verdict.RATE_LIMITED):
            return
        one = self._endpoints.get(outcome.endpoint_id) or self._remember(outcome.endpoint_id)
        if now_s - at_s < REPLAY_S and not outcome.blames_credential:
            one.breaker.record(verdict, outcome.started_s or at_s, at_s)
        if verdict is not Verdict.RATE_LIMITED:
            self._count(one, outcome, at_s, now_s)
        if one.is_suspect or one.id in self._suspects:
            self._suspects[one.id] = one
            self._settle(one, now_s)

    def snapshot(self, now_s: int, patience_s: int = 0) -> HealthSnapshot:
        """What is known now, or was so many seconds ago: who may not wait leaves it to others to let time pass."""
        if now_s > self._now_s + patience_s:
            self.advance(now_s)
        if self._has_news:
            self._has_news = False
            self._snapshot = self._snapshot._replace(behind=dict(self._behind), cooling=frozenset(self._cooling))
        return self._snapshot

    def advance(self, now_s: int) -> None:
        """Lets time pass: a bounded piece of the work that it makes."""
        self._now_s = now_s
        self.sticky.advance(now_s)
        for _ in range(_FORGOTTEN_PER_S):
            if not self._due or self._due[0][0] > now_s:
                break
            one = self._endpoints.get(heapq.heappop(self._due)[1])
            if one is not None:
                one.rolling.advance(now_s)
                self._unmeasured[one.id] = one
                self._watch(one, now_s)
        self._measure()
        for one in list(self._suspects.values()):
            self._settle(one, now_s)
            if not one.is_suspect:
                del self._suspects[one.id]
        for name, breaker in list(self._credentials.items()):
            self._settle_credential(name, breaker, now_s)

    def planned(self, endpoint_id: str, credential: str, now_s: int) -> None:
        """Says whom a request will try first: if that is to find out whether they work again, others need not."""
        if not self._to_try:
            return
        if endpoint_id in self._to_try:
            one = self._endpoints[endpoint_id]
            one.breaker.circuit.try_now(now_s)
            self._settle(one, now_s)
        if credential in self._to_try:
            breaker = self._credentials[credential]
            breaker.circuit.try_now(now_s)
            self._settle_credential(credential, breaker, now_s)

    def figures(self, endpoint_id: str, now_s: int) -> Figures:
        """What is shown of an endpoint."""
        one = self._endpoints.get(endpoint_id)
        if one is None:
            return NO_FIGURES
        one.rolling.advance(now_s)
        one.history.advance(now_s // BUCKET_S)
        standing = one.standing(now_s)
        recent, day = one.history.recent, one.history.day
        return Figures(
            0 if standing is None else _STATUS[standing],
            _uptime(one.rolling.attempts, one.rolling.failures),
            _uptime(recent.attempts, recent.failures),
            _uptime(day.attempts, day.failures),
            recent.latency.percentiles(),
            recent.throughput.percentiles(),
        )

    def see(self, bucket: int, tallies: Iterable[tuple[str, Tally]], now_s: int) -> None:
        """Takes in what a router published of a bucket."""
        for endpoint_id, tally in tallies:
            one = self._endpoints.get(endpoint_id) or self._remember(endpoint_id)
            one.history.see(bucket, now_s // BUCKET_S, tally)
            self._unmeasured[one.id] = one
            self._watch(one, now_s)

    def unseen(self, bucket: int) -> list[tuple[str, Tally]]:
        """What was counted here of a bucket and nobody published as fully."""
        found = ((one.id, one.history.unseen(bucket)) for one in self._endpoints.values())
        return [(endpoint_id, tally) for endpoint_id, tally in found if tally is not None]

    def remember_served(self, served: Served, now_s: int) -> None:
        """Ties a conversation to the endpoint that served it."""
        one = self._endpoints.get(served.endpoint_id)
        self.sticky.learn(served if one is None else served._replace(endpoint_id=one.id), now_s)

    def status(self) -> HealthStatus:
        by_standing = dict.fromkeys(Standing, 0)
        for standing in self._behind.values():
            by_standing[standing] += 1
        return HealthStatus(by_standing, len(self._cooling), len(self._endpoints), len(self.sticky))

    def _count(self, one: _Endpoint, outcome: Outcome, at_s: int, now_s: int) -> None:
        failed = outcome.verdict is Verdict.FAILURE
        if failed and at_s > one.failed_s:
            one.failed_s = at_s
        latency_key = throughput_key = None
        if outcome.latency_ms > 0:
            latency_key = key_of(outcome.latency_ms / 1000)
        if outcome.completion_tokens > 0 and outcome.total_ms > 0:
            throughput_key = key_of(outcome.completion_tokens * 1000 / outcome.total_ms)
        due_s = one.rolling.add(at_s, now_s, failed=failed, latency_key=latency_key, throughput_key=throughput_key)
        if due_s is not None:
            heapq.heappush(self._due, (due_s, one.id))
        if latency_key is not None or throughput_key is not None or outcome.tool_calls is not None:
            self._unmeasured[one.id] = one
        one.history.add(
            at_s // BUCKET_S,
            now_s // BUCKET_S,
            failed=failed,
            latency_key=latency_key,
            throughput_key=throughput_key,
            tool_calls=outcome.tool_calls,
        )
        self._watch(one, now_s)

    def _watch(self, one: _Endpoint, now_s: int) -> None:
        """Sees to it that what a history has of quality is forgotten in time."""
        if now_s < one.forgets_s:
            return
        one.history.advance(now_s // BUCKET_S)
        if one.history.tells_of_quality:
            one.forgets_s = (now_s // BUCKET_S + 1) * BUCKET_S
            heapq.heappush(self._due, (one.forgets_s, one.id))

    def _learn_of_credential(self, outcome: Outcome, at_s: int) -> None:
        breaker = self._credentials.get(outcome.credential)
        if breaker is None:
            if not outcome.blames_credential:
                return
            if len(self._credentials) >= MAX_CREDENTIALS:
                self._forget_credential(next(iter(self._credentials)))
            breaker = self._credentials[outcome.credential] = Breaker(
                CREDENTIAL_FAILURES, luck(self._seed, outcome.credential)
            )
        if outcome.blames_credential:
            verdict = Verdict.FAILURE
        elif outcome.verdict is Verdict.SUCCESS:
            verdict = Verdict.SUCCESS
        else:
            return
        breaker.record(verdict, outcome.started_s or at_s, at_s)
        self._settle_credential(outcome.credential, breaker, max(self._now_s, at_s))

    def _settle(self, one: _Endpoint, now_s: int) -> None:
        standing = one.standing(now_s)
        if standing is None and one.breaker.circuit.is_open:
            self._to_try.add(one.id)
        else:
            self._to_try.discard(one.id)
        if standing is self._behind.get(one.id):
            return
        self._has_news = True
        if standing is None:
            del self._behind[one.id]
        else:
            self._behind[one.id] = standing

    def _settle_credential(self, name: str, breaker: Breaker, now_s: int) -> None:
        breaker.window.advance(now_s)
        may_try = breaker.circuit.may_try(now_s)
        is_cooling = breaker.circuit.is_open and not may_try
        if is_cooling is not (name in self._cooling):
            self._has_news = True
        for names, belongs in ((self._to_try, may_try), (self._cooling, is_cooling)):
            if belongs:
                names.add(name)
            else:
                names.discard(name)
        is_over = not breaker.is_of_interest and not breaker.window.failures and breaker.circuit.is_forgiven(now_s)
        if is_over or breaker.circuit.is_abandoned(now_s):
            self._forget_credential(name)

    def _forget_credential(self, name: str) -> None:
        del self._credentials[name]
        self._to_try.discard(name)
        self._cooling.discard(name)
        self._has_news = True

    def _measure(self) -> None:
        """Works out some of the percentiles anew, those that have waited longest."""
        if not self._unmeasured:
            return
        for endpoint_id in list(islice(self._unmeasured, _MEASURED_PER_S)):
            one = self._unmeasured.pop(endpoint_id)
            for known, sketch in ((self._latency_s, one.rolling.latency), (self._throughput, one.rolling.throughput)):
                found = sketch.percentiles()
                if found is not None:
                    known[endpoint_id] = found
                else:
                    known.pop(endpoint_id, None)
            self._gradebook.note(one.id, one.quality)
        self._snapshot = self._snapshot._replace(
            latency_s=dict(self._latency_s), throughput=dict(self._throughput), grades=self._gradebook.grades()
        )

    def _remember(self, endpoint_id: str) -> _Endpoint:
        if len(self._endpoints) >= self._max_endpoints:
            self._forget(next(iter(self._endpoints)))
        one = self._endpoints[endpoint_id] = _Endpoint(endpoint_id, luck(self._seed, endpoint_id))
        return one

    def _forget(self, endpoint_id: str) -> None:
        for known in (
            self._endpoints, self._suspects, self._behind, self._unmeasured, self._latency_s, self._throughput,
        ):  # fmt: skip
            known.pop(endpoint_id, None)
        self._to_try.discard(endpoint_id)
        self._has_news = True
        self._gradebook.forget(endpoint_id)


def _uptime(attempts: int, failures: int) -> float | None:
    """Per cent; None of too few."""
    return None if attempts < ENOUGH else round(100 * (attempts - failures) / attempts, 3)
