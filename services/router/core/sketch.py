"""Distributions in little memory: DDSketch with ddsketch's mapping and counters a tenth the size of its own.

Owns counters per key; the mapping between values and keys, and with it the promise that a percentile is within 2 % of the
true one, is the library's. Its stores are lists of floats (3.3 KB a sketch, 4 µs a value) and forget nothing; ours are arrays
of integers that can also be taken out again, as sliding windows need. Invariant: what was merged and taken out
again leaves no trace.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from ddsketch import LogarithmicMapping

from services.router.core.snapshot import Percentiles

ACCURACY: Final = 0.02
LOWEST: Final = 0.001
HIGHEST: Final = 100_000.0
_MAPPING: Final = LogarithmicMapping(ACCURACY)
_MAX_WAITING: Final = 128
GAMMA: Final = float(_MAPPING.gamma)
"""What two sketches must have in common to be merged."""


def key_of(value: float) -> int:
    """Where a value is counted; those beyond the bounds count as the bound, so that keys are few."""
    return int(_MAPPING.key(min(max(value, LOWEST), HIGHEST)))


LOWEST_KEY: Final = key_of(LOWEST)
HIGHEST_KEY: Final = key_of(HIGHEST)


class Sketch:
    """How often each key was seen.

    New keys wait in a row and are counted together: at a thousand attempts a second most fall where others did.

    Attributes:
        first_key: of the first of `counts`; both hold what does not wait any more (`settle`).
    """

    __slots__ = ("_waiting", "count", "counts", "first_key")

    def __init__(self, first_key: int = 0, counts: Iterable[int] = ()) -> None:
        """Takes counters that a sketch had.

        Raises:
            ValueError: they are none that a sketch could have.
        """
        try:
            self.counts = array("I", counts)
        except (OverflowError, TypeError) as error:
            raise ValueError("not the counters of a sketch") from error
        if self.counts and (first_key < LOWEST_KEY or first_key + len(self.counts) - 1 > HIGHEST_KEY):
            raise ValueError("counters of keys that do not exist")
        self.first_key = first_key
        self.count = sum(self.counts)
        self._waiting = array("h")

    def add(self, key: int) -> None:
        """Counts a key, sooner or later."""
        self._waiting.append(key)
        self.count += 1
        if len(self._waiting) >= _MAX_WAITING:
            self.settle()

    def take_out(self, keys: "array[int]") -> None:
        """Forgets keys that were added."""
        self.settle()
        for key, times in Counter(keys).items():
            self._put(key, -times)
        self.count -= len(keys)
        if not self.count:
            self.counts = array("I")

    def settle(self) -> None:
        """Counts what waits."""
        if self._waiting:
            for key, times in Counter(self._waiting).items():
                self._put(key, times)
            del self._waiting[:]

    def _put(self, key: int, times: int) -> None:
        place = key - self.first_key
        if not 0 <= place < len(self.counts):
            place = self._make_room(key)
        self.counts[place] += times

    def merge(self, other: "Sketch", times: int = 1) -> None:
        """Counts all that another one counted; `times` is -1 to take it out again."""
        self.settle()
        other.settle()
        for place, count in enumerate(other.counts):
            if count:
                self._put(other.first_key + place, times * count)
        self.count += times * other.count
        if not self.count:
            self.counts = array("I")

    def percentiles(self) -> Percentiles | None:
        """None when nothing was counted."""
        if not self.count:
            return None
        self.settle()
        up_to = list(accumulate(self.counts))
        p50, p75, p90, p99 = (
            float(_MAPPING.value(self.first_key + bisect_right(up_to, share * (self.count - 1))))
            for share in (0.5, 0.75, 0.9, 0.99)
        )
        return Percentiles(p50, p75, p90, p99, self.count)

    def _make_room(self, key: int) -> int:
        if not self.counts:
            self.first_key = key
            self.counts = array("I", (0,))
        elif key < self.first_key:
            self.counts = array("I", bytes(self.counts.itemsize * (self.first_key - key))) + self.counts
            self.first_key = key
        else:
            missing = key - self.first_key - len(self.counts) + 1
            self.counts.frombytes(bytes(self.counts.itemsize * missing))
        return key - self.first_key
