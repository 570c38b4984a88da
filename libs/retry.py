"""Back-off schedules: how long to wait before trying again.

Owns the arithmetic alone; sleeping and deciding what is worth a retry belong to the caller.
Invariant: delays grow, are jittered, and never exceed the cap.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter.

    Attributes:
        first_s: upper bound of the first delay.
        cap_s: upper bound of every delay.
        factor: growth between delays.
        jitter: share of each delay that is random, 0 to 1.
    """

    first_s: float = 0.2
    cap_s: float = 10.0
    factor: float = 2.0
    jitter: float = 0.5

    def delays(self, rng: random.Random | None = None) -> Iterator[float]:
        """Endless delays in seconds."""
        source = rng or random.Random()  # noqa: S311 (spreads retries, guards nothing)
        delay = self.first_s
        while True:
            yield delay * (1 - self.jitter * source.random())
            delay = min(delay * self.factor, self.cap_s)
