"""What happened at one endpoint in the last 30 minutes, 2 hours and day, in buckets of 5 minutes.

Owns the buckets: what this router counted of each, what another one published of it, and which of the two holds. Both
count the same attempts, so that they are never added: the fuller one holds. Invariant: the sums are those of the buckets that
hold.
"""

from array import array
from typing import Final, NamedTuple

from services.router.core.sketch import Sketch
from services.router.core.snapshot import ToolRecord

BUCKET_S: Final = 300
RECENT: Final = 6
"""Buckets whose measurements are kept: half an hour, the last of which is filling."""
TWO_HOURS: Final = 24
"""Buckets whose tool calls are kept."""
DAY: Final = 288
"""Buckets whose outcomes are kept."""


class Tally:
    """What one bucket holds of one endpoint; rate limits and callers' faults are no attempts.

    Attributes:
        latency: seconds to the first event.
        throughput: tokens per second.
        tool_requests: successes whose tool calls could be judged.
        tool_failures: of them, those with a bad call.
    """

    __slots__ = ("attempts", "failures", "latency", "throughput", "tool_failures", "tool_requests")

    def __init__(
        self, attempts: int = 0, failures: int = 0, latency: Sketch | None = None, throughput: Sketch | None = None
    ) -> None:
        self.attempts = attempts
        self.failures = failures
        self.tool_requests = 0
        self.tool_failures = 0
        self.latency = latency or Sketch()
        self.throughput = throughput or Sketch()

    def add(
        self, *, failed: bool, latency_key: int | None, throughput_key: int | None, tool_calls: bool | None = None
    ) -> None:
        self.attempts += 1
        self.failures += failed
        self.tool_requests += tool_calls is not None
        self.tool_failures += tool_calls is False
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
        self.tool_requests += times * other.tool_requests
        self.tool_failures += times * other.tool_failures


class Outcomes(NamedTuple):
    attempts: int
    failures: int


class Ring:
    """Counts of the last so many buckets.

    Attributes:
        sums: of all of them.
    """

    __slots__ = ("_columns", "_head", "sums")

    def __init__(self, buckets: int, columns: int) -> None:
        """The first column is the one that says how full a bucket is."""
        self._columns = [array("I", bytes(4 * buckets)) for _ in range(columns)]
        self._head = 0
        self.sums = [0] * columns

    def advance(self, bucket: int) -> None:
        """Forgets what is older."""
        size = len(self._columns[0])
        if bucket <= self._head:
            return
        if any(self.sums):
            for number in range(max(self._head, bucket - size) + 1, bucket + 1):
                self._forget(number % size)
        self._head = bucket

    def offer(self, bucket: int, *counts: int) -> None:
        """Takes what a bucket is said to hold, if that is more than what is known of it."""
        self.advance(bucket)
        size = len(self._columns[0])
        place = bucket % size
        if bucket > self._head - size and counts > tuple([column[place] for column in self._columns]):
            self._forget(place)
            for number, count in enumerate(counts):
                self._columns[number][place] = count
                self.sums[number] += count

    def _forget(self, place: int) -> None:
        for number, column in enumerate(self._columns):
            self.sums[number] -= column[place]
            column[place] = 0


class History:
    """Attributes:
    recent: the sum over half an hour, of the buckets that hold.
    """

    __slots__ = ("_counted", "_day", "_now", "_older_tools", "_seen", "recent")

    def __init__(self) -> None:
        self._counted: dict[int, Tally] = {}
        self._seen: dict[int, Tally] = {}
        self.recent = Tally()
        self._day = Ring(DAY, 2)
        self._older_tools: Ring | None = None
        """Of buckets that are not recent any more; most endpoints are never asked with tools."""
        self._now = 0

    @property
    def day(self) -> Outcomes:
        """The sum over a day."""
        self._offer_counted()
        return Outcomes(*self._day.sums)

    @property
    def tools(self) -> ToolRecord:
        """The sum over two hours."""
        recent = self.recent
        if self._older_tools is None:
            return ToolRecord(recent.tool_requests, recent.tool_failures)
        _, requests, failures = self._older_tools.sums
        return ToolRecord(requests + recent.tool_requests, failures + recent.tool_failures)

    @property
    def tells_of_quality(self) -> bool:
        return self.recent.throughput.count > 0 or self.tools.requests > 0

    def add(
        self,
        bucket: int,
        now_bucket: int,
        *,
        failed: bool,
        latency_key: int | None,
        throughput_key: int | None,
        tool_calls: bool | None = None,
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
            for tally in (self.recent, mine):
                tally.add(failed=failed, latency_key=latency_key, throughput_key=throughput_key, tool_calls=tool_calls)
        else:
            mine.add(failed=failed, latency_key=latency_key, throughput_key=throughput_key, tool_calls=tool_calls)
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
            self._keep_tools(bucket, tally)
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
        self._offer_counted()
        self._day.advance(now_bucket)
        oldest = now_bucket - RECENT
        for bucket in [number for number in (*self._counted, *self._seen) if number <= oldest]:
            holding = self._holding(bucket)
            if holding is not None:
                self.recent.merge(holding, -1)
                self._keep_tools(bucket, holding)
            self._counted.pop(bucket, None)
            self._seen.pop(bucket, None)
        if self._older_tools is not None:
            self._older_tools.advance(now_bucket)

    def unseen(self, bucket: int) -> Tally | None:
        """What was counted here of a bucket, if nobody published as much of it."""
        mine, theirs = self._counted.get(bucket), self._seen.get(bucket)
        if mine is None or (theirs is not None and theirs.attempts >= mine.attempts):
            return None
        return mine

    def _offer_counted(self) -> None:
        for bucket, tally in self._counted.items():
            self._day.offer(bucket, tally.attempts, tally.failures)

    def _keep_tools(self, bucket: int, tally: Tally) -> None:
        if tally.tool_requests and self._older_tools is None:
            self._older_tools = Ring(TWO_HOURS, 3)
        if self._older_tools is not None:
            self._older_tools.advance(self._now)
            self._older_tools.offer(bucket, tally.attempts, tally.tool_requests, tally.tool_failures)

    def _holding(self, bucket: int) -> Tally | None:
        mine, theirs = self._counted.get(bucket), self._seen.get(bucket)
        if mine is None or theirs is None:
            return mine or theirs
        return theirs if theirs.attempts > mine.attempts else mine
