"""What happened at one endpoint in the last 30 seconds, and in the last 5 minutes.

Owns counting what is recent and forgetting what is not. Does not judge. Times are those of the events, in wall-clock
seconds, since they come from other machines and from the past after a restart. Invariant: an update costs the same
whatever came before.
"""

from array import array
from typing import Final

from services.router.core.sketch import Sketch
from services.router.core.snapshot import Standing
from services.router.core.verdicts import Verdict

WINDOW_S: Final = 30
OUTAGE_FAILURES: Final = 3
SHARE: Final = 5
"""An endpoint goes behind when at least one in this many attempts went wrong (DESIGN §11)."""
SLICE_S: Final = 30
SLICES: Final = 10


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


class _Slice:
    """Half a minute; measurements as the keys of a sketch, one by one, since they are few and must be taken out again."""

    __slots__ = ("attempts", "failures", "latencies", "throughputs")

    def __init__(self) -> None:
        self.attempts = 0
        self.failures = 0
        self.latencies = array("h")
        self.throughputs = array("h")


class Rolling:
    """The last 5 minutes: ten slices of half a minute, of which the newest is still filling.

    Attributes:
        latency: seconds to the first event.
        throughput: tokens per second.
    """

    __slots__ = ("_slices", "attempts", "failures", "latency", "throughput")

    def __init__(self) -> None:
        self._slices: dict[int, _Slice] = {}
        self.attempts = 0
        self.failures = 0
        self.latency = Sketch()
        self.throughput = Sketch()

    def add(
        self, at_s: int, now_s: int, *, failed: bool, latency_key: int | None = None, throughput_key: int | None = None
    ) -> int | None:
        """Counts one attempt. Returns when something will have to be forgotten, if that is news."""
        number = at_s // SLICE_S
        if number <= now_s // SLICE_S - SLICES:
            return None
        one = self._slices.get(number)
        is_new = one is None
        if one is None:
            one = self._slices[number] = _Slice()
        one.attempts += 1
        one.failures += failed
        self.attempts += 1
        self.failures += failed
        if latency_key is not None:
            one.latencies.append(latency_key)
            self.latency.add(latency_key)
        if throughput_key is not None:
            one.throughputs.append(throughput_key)
            self.throughput.add(throughput_key)
        return (number + SLICES) * SLICE_S if is_new else None

    def since(self, moment_s: int) -> tuple[int, int]:
        """Attempts and failures after that moment, as far as slices tell."""
        first = moment_s // SLICE_S + 1
        slices = [one for number, one in self._slices.items() if number >= first]
        return sum(one.attempts for one in slices), sum(one.failures for one in slices)

    def advance(self, now_s: int) -> None:
        """Forgets slices that are over."""
        oldest = now_s // SLICE_S - SLICES
        for number in [number for number in self._slices if number <= oldest]:
            one = self._slices.pop(number)
            self.attempts -= one.attempts
            self.failures -= one.failures
            self.latency.take_out(one.latencies)
            self.throughput.take_out(one.throughputs)
