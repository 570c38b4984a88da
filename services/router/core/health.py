"""How well endpoints do: a sliding window of outcomes, and running means of speed, per endpoint.

Owns what counts as a failure and when an endpoint goes behind. Does not decide orders (plan.py does).
Times are those of the events, in wall-clock seconds, since they come from other machines and from the past after a
restart. Invariant: an update costs the same whatever came before, and memory is bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

WINDOW_S = 30
OUTAGE_FAILURES = 3
SHARE = 5
"""An endpoint goes behind when at least one in this many attempts went wrong (DESIGN §11)."""
MAX_ENDPOINTS = 20_000
_NEWEST_WEIGHT = 0.2


class Verdict(StrEnum):
    """What an attempt says about its endpoint."""

    SUCCESS = "success"
    FAILURE = "failure"
    RATE_LIMITED = "rate_limited"
    NOTHING = "nothing"
    """The caller's fault, or nobody's."""


_VERDICT_OF_CLASS: Mapping[str, Verdict] = {
    "authentication": Verdict.FAILURE,
    "insufficient_credits": Verdict.FAILURE,
    "not_found": Verdict.FAILURE,
    "overloaded": Verdict.FAILURE,
    "timeout": Verdict.FAILURE,
    "upstream": Verdict.FAILURE,
    "rate_limited": Verdict.RATE_LIMITED,
    "invalid_request": Verdict.NOTHING,
    "context_length_exceeded": Verdict.NOTHING,
    "content_policy": Verdict.NOTHING,
    "permission": Verdict.NOTHING,
    "request_too_large": Verdict.NOTHING,
}
"""By error class (reference wire facts §0); the status decides for any other."""


class Standing(StrEnum):
    """Why an endpoint is behind; the worst that holds."""

    OUTAGE = "outage"
    RATE_LIMITED = "rate_limited"
    DEGRADED = "degraded"
    """Uptime from 80 % to below 95 %."""
    FALLBACK_ONLY = "fallback_only"
    """Uptime below 80 %."""
    TRIPPED = "tripped"
    """The circuit is open."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `count` measurements."""

    p50: float
    p75: float
    p90: float
    p99: float
    count: int


class ToolRecord(NamedTuple):
    """How requests with tools went of late."""

    requests: int
    failures: int
    """Of them, those with a call that is no JSON, of no known tool, or against its schema."""


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class HealthSnapshot(NamedTuple):
    """What a plan sees, by endpoint id unless said otherwise.

    Attributes:
        latency_s: seconds to the first event, over the last 5 minutes; those that were measured alone.
        throughput: completion tokens per second of the whole time, over the last 5 minutes.
        cooling: credentials that are not to be used now: a provider's slug for the platform's own, or the id of an
            account's.
        sticky: which endpoint holds the prompt cache of a conversation, by session key.
    """

    behind: Mapping[str, Standing] = _NONE
    latency_s: Mapping[str, Percentiles] = _NONE
    throughput: Mapping[str, Percentiles] = _NONE
    tool_calls: Mapping[str, ToolRecord] = _NONE
    cooling: frozenset[str] = frozenset()
    sticky: Mapping[str, str] = _NONE


UNKNOWN_HEALTH = HealthSnapshot()


def verdict_of(*, succeeded: bool, status: int, error_class: str) -> Verdict:
    """The reference's rule (§1.3): failures are 401, 402, 404, 5xx, time-outs and broken streams."""
    if succeeded:
        return Verdict.SUCCESS
    return _VERDICT_OF_CLASS.get(error_class) or _verdict_of_status(status)


def _verdict_of_status(status: int) -> Verdict:
    if status == 429:
        return Verdict.RATE_LIMITED
    if status in {0, 401, 402, 404, 408} or status >= 500:
        return Verdict.FAILURE
    return Verdict.NOTHING


class Window:
    """Counts of the last `WINDOW_S` seconds, in buckets of one second."""

    __slots__ = ("_buckets", "_head_s", "attempts", "failures", "limited")

    def __init__(self) -> None:
        self._buckets = [(0, 0, 0)] * WINDOW_S
        self._head_s = 0
        self.attempts = 0
        self.failures = 0
        self.limited = 0

    def advance(self, now_s: int) -> None:
        """Forgets what is older than the window."""
        if now_s <= self._head_s:
            return
        for second in range(max(self._head_s, now_s - WINDOW_S) + 1, now_s + 1):
            attempts, failures, limited = self._buckets[second % WINDOW_S]
            self.attempts -= attempts
            self.failures -= failures
            self.limited -= limited
            self._buckets[second % WINDOW_S] = (0, 0, 0)
        self._head_s = now_s

    def add(self, at_s: int, verdict: Verdict) -> None:
        """Counts one outcome; what is older than the window is not counted."""
        self.advance(at_s)
        if at_s <= self._head_s - WINDOW_S:
            return
        is_limited = verdict is Verdict.RATE_LIMITED
        is_failure = verdict is Verdict.FAILURE
        attempts, failures, limited = self._buckets[at_s % WINDOW_S]
        self._buckets[at_s % WINDOW_S] = (attempts + (not is_limited), failures + is_failure, limited + is_limited)
        self.attempts += not is_limited
        self.failures += is_failure
        self.limited += is_limited

    @property
    def is_suspect(self) -> bool:
        """Whether it may be behind now, or become so when older successes are forgotten."""
        return self.failures >= OUTAGE_FAILURES or self.limited > 0

    @property
    def standing(self) -> Standing | None:
        if self.failures >= OUTAGE_FAILURES and self.failures * SHARE >= self.attempts:
            return Standing.OUTAGE
        if self.limited and self.limited * SHARE >= self.attempts + self.limited:
            return Standing.RATE_LIMITED
        return None


class Health:
    """The health of all endpoints, fed by outcomes, read as snapshots."""

    def __init__(self, max_endpoints: int = MAX_ENDPOINTS) -> None:
        self._max_endpoints = max_endpoints
        self._windows: dict[str, Window] = {}
        self._suspects: dict[str, Window] = {}
        self._latency_s: dict[str, Percentiles] = {}
        self._throughput: dict[str, Percentiles] = {}
        self._snapshot = HealthSnapshot({}, self._latency_s, self._throughput)
        self._snapshot_s = -1

    def record(self, endpoint_id: str, verdict: Verdict, at_s: int, now_s: int) -> None:
        """Counts one outcome at the time it happened; clocks that run ahead are taken as now."""
        if verdict is Verdict.NOTHING:
            return
        window = self._windows.get(endpoint_id)
        if window is None:
            if len(self._windows) >= self._max_endpoints:
                self._forget(next(iter(self._windows)))
            window = self._windows[endpoint_id] = Window()
        window.add(min(at_s, now_s), verdict)
        if window.is_suspect:
            self._suspects[endpoint_id] = window
            self._snapshot_s = -1

    def record_speed(self, endpoint_id: str, latency_ms: int, tokens: int, total_ms: int) -> None:
        """Takes in one success: time to the first event, and completion tokens over the whole time."""
        if endpoint_id not in self._windows:
            return
        if latency_ms > 0:
            _blend_in(self._latency_s, endpoint_id, latency_ms / 1000)
        if tokens > 0 and total_ms > 0:
            _blend_in(self._throughput, endpoint_id, tokens * 1000 / total_ms)

    def snapshot(self, now_s: int) -> HealthSnapshot:
        """What is known now. `behind` is a mapping of its own; the speeds go on living."""
        if self._snapshot_s == now_s or not self._suspects:
            return self._snapshot
        behind: dict[str, Standing] = {}
        for endpoint_id, window in list(self._suspects.items()):
            window.advance(now_s)
            standing = window.standing
            if standing is not None:
                behind[endpoint_id] = standing
            if not window.is_suspect:
                del self._suspects[endpoint_id]
        self._snapshot = HealthSnapshot(behind, self._latency_s, self._throughput)
        self._snapshot_s = now_s
        return self._snapshot

    def _forget(self, endpoint_id: str) -> None:
        del self._windows[endpoint_id]
        self._suspects.pop(endpoint_id, None)
        self._latency_s.pop(endpoint_id, None)
        self._throughput.pop(endpoint_id, None)
        self._snapshot = HealthSnapshot({}, self._latency_s, self._throughput)
        self._snapshot_s = -1


def _blend_in(measured: dict[str, Percentiles], endpoint_id: str, value: float) -> None:
    """A running mean stands for every percentile."""
    old = measured.get(endpoint_id)
    mean = value if old is None else old.p50 + _NEWEST_WEIGHT * (value - old.p50)
    measured[endpoint_id] = Percentiles(mean, mean, mean, mean, 1 if old is None else old.count + 1)
