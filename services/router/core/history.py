"""What happened at one endpoint in the last 30 minutes and in the last day, in buckets of 5 minutes.

Owns the buckets: what this router counted of each, what another one published of it, and which of the two holds. Both
count the same attempts, so that they are never added: the fuller one holds. Invariant: the sums over 30 minutes and
over a day are those of the buckets that hold.
"""

from array import array
from typing import Final

from services.router.core.sketch import Sketch

BUCKET_S: Final = 300
RECENT: Final = 6
"""Buckets whose measurements are kept: half an hour, the last of which is filling."""
DAY: Final = 288
"""Buckets whose outcomes are kept."""


class Tally:
    """What one bucket holds of one endpoint; rate limits and callers' faults are no attempts.

    Attributes:
        latency: seconds to the first event.
        throughput: tokens per second.
    """

    __slots__ = ("attempts", "failures", "latency", "throughput")

    def __init__(
        self, attempts: int = 0, failures: int = 0, latency: Sketch | None = None, throughput: Sketch | None = None
    ) -> None:
        self.attempts = attempts
        self.failures = failures
        self.latency = latency or Sketch()
        self.throughput = throughput or Sketch()

    def add(self, *, failed: bool, latency_key: int | None, throughput_key: int | None) -> None:
        self.attempts += 1
        self.failures += failed
        if latency_key is not None:
            self.latency.add(latency_key)
        if throughput_key is not None:
            self.throughput.add(throughput_key)

    def merge(self, other: "Tally", times: int = 1) -> None:
        """`times` is -1 to take it out again."""
        self.attempts += times * other.attempts
        self.failures += times * other.failures
        self.latency.merge(other.latency, times)
        self.throughput.merge(other.throughput, times)


class Day:
    """Outcomes of the last 288 buckets, and their sums."""

    __slots__ = ("_attempts", "_failures", "_head", "attempts", "failures")

    def __init__(self) -> None:
        self._attempts = array("I", bytes(4 * DAY))
        self._failures = array("I", bytes(4 * DAY))
        self._head = 0
        self.attempts = 0
        self.failures = 0

    def advance(self, bucket: int) -> None:
        """Forgets what is older than a day."""
        for number in range(max(self._head, bucket - DAY) + 1, bucket + 1):
            self._put(number % DAY, 0, 0)
        self._head = max(self._head, bucket)

    def offer(self, bucket: int, attempts: int, failures: int) -> None:
        """Takes what a bucket is said to hold, if that is more than what is known of it."""
        self.advance(bucket)
        place = bucket % DAY
        if bucket > self._head - DAY and attempts > self._attempts[place]:
            self._put(place, attempts, failures)

    def _put(self, place: int, attempts: int, failures: int) -> None:
        self.attempts += attempts - self._attempts[place]
        self.failures += failures - self._failures[place]
        self._attempts[place] = attempts
        self._failures[place] = failures


class History:
    """Attributes:
    recent: the sum over half an hour, of the buckets that hold.
    """

    __slots__ = ("_counted", "_day", "_now", "_seen", "recent")

    def __init__(self) -> None:
        self._counted: dict[int, Tally] = {}
        self._seen: dict[int, Tally] = {}
        self.recent = Tally()
        self._day = Day()
        self._now = 0

    @property
    def day(self) -> Day:
        """The sum over a day."""
        for bucket, tally in self._counted.items():
            self._day.offer(bucket, tally.attempts, tally.failures)
        return self._day

    def add(
        self, bucket: int, now_bucket: int, *, failed: bool, latency_key: int | None, throughput_key: int | None
    ) -> None:
        """Counts one attempt; what is older than half an hour is not counted."""
        self.advance(now_bucket)
        if bucket <= now_bucket - RECENT:
            return
        mine = self._counted.get(bucket)
        if mine is None:
            mine = self._counted[bucket] = Tally()
        theirs = self._seen.get(bucket)
        if theirs is None or theirs.attempts <= mine.attempts:
            self.recent.add(failed=failed, latency_key=latency_key, throughput_key=throughput_key)
            mine.add(failed=failed, latency_key=latency_key, throughput_key=throughput_key)
        else:
            mine.add(failed=failed, latency_key=latency_key, throughput_key=throughput_key)
            if mine.attempts == theirs.attempts:
                self.recent.merge(theirs, -1)
                self.recent.merge(mine)

    def see(self, bucket: int, now_bucket: int, tally: Tally) -> None:
        """Takes in what another router, or an earlier life of this one, says that a bucket holds."""
        self.advance(now_bucket)
        if not now_bucket - DAY < bucket <= now_bucket:
            return
        self._day.offer(bucket, tally.attempts, tally.failures)
        if bucket <= now_bucket - RECENT:
            return
        seen, mine = self._seen.get(bucket), self._counted.get(bucket)
        if seen is not None and seen.attempts >= tally.attempts:
            return
        before = self._holding(bucket)
        if mine is not None and mine.attempts >= tally.attempts:
            self._seen[bucket] = Tally(tally.attempts, tally.failures)
            return
        self._seen[bucket] = tally
        if before is not None:
            self.recent.merge(before, -1)
        self.recent.merge(tally)

    def advance(self, now_bucket: int) -> None:
        """Forgets measurements older than half an hour, and outcomes older than a day."""
        if now_bucket <= self._now:
            return
        self._now = now_bucket
        self.day.advance(now_bucket)
        oldest = now_bucket - RECENT
        for bucket in [number for number in (*self._counted, *self._seen) if number <= oldest]:
            holding = self._holding(bucket)
            if holding is not None:
                self.recent.merge(holding, -1)
            self._counted.pop(bucket, None)
            self._seen.pop(bucket, None)

    def unseen(self, bucket: int) -> Tally | None:
        """What was counted here of a bucket, if nobody published as much of it."""
        mine, theirs = self._counted.get(bucket), self._seen.get(bucket)
        if mine is None or (theirs is not None and theirs.attempts >= mine.attempts):
            return None
        return mine

    def _holding(self, bucket: int) -> Tally | None:
        mine, theirs = self._counted.get(bucket), self._seen.get(bucket)
        if mine is None or theirs is None:
            return mine or theirs
        return theirs if theirs.attempts > mine.attempts else mine
