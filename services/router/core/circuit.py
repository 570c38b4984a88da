"""Circuits: who fails too much is left alone for a while, then tried by one request.

Owns when a circuit opens, how long it cools, and what closes it. Pure: times and luck are arguments.
Invariant: an open circuit closes by nothing but a success of an attempt that began after it opened.
"""

from typing import Final

from services.router.core.verdicts import Verdict
from services.router.core.windows import Window

COOLING_S: Final = 30
"""Of the first opening: as long as the rule of outages remembers."""
MAX_COOLING_S: Final = 120
FORGIVING_S: Final = 600
"""Who opens again within this time after closing cools for longer."""
PROBE_S: Final = 30
"""How long a request that was sent to try may keep others from trying."""
_NO_CHANCE: Final = 4


class Circuit:
    """Closed; or open, first cooling, then half open.

    Attributes:
        openings: in a row, without a long good time between them; each doubles the time to cool.
        until_s: when cooling ends.
        closed_s: when it closed last; 0: it was never open.
    """

    __slots__ = ("_opened_s", "_probe_s", "closed_s", "openings", "until_s")

    def __init__(self) -> None:
        self.openings = 0
        self.until_s = 0
        self._opened_s: int | None = None
        self.closed_s = 0
        self._probe_s: int | None = None

    @property
    def is_open(self) -> bool:
        return self._opened_s is not None

    def may_try(self, now_s: int) -> bool:
        """Whether it is half open, and nobody tries just now."""
        return self.is_open and now_s >= self.until_s and (self._probe_s is None or now_s - self._probe_s >= PROBE_S)

    def is_forgiven(self, now_s: int) -> bool:
        return not self.is_open and now_s - self.closed_s >= FORGIVING_S

    def is_abandoned(self, now_s: int) -> bool:
        """Whether it has been half open for long, and nobody cared to try."""
        return self.is_open and now_s - self.until_s >= FORGIVING_S

    def try_now(self, now_s: int) -> None:
        """Somebody tries: nobody else does until it is known how that went."""
        self._probe_s = now_s

    def open(self, at_s: int, luck: float) -> None:
        """Opens, or opens again; `luck` from 0 to 1 keeps routers from trying all at once."""
        if self.is_forgiven(at_s):
            self.openings = 0
        cooling_s = min(MAX_COOLING_S, COOLING_S << min(self.openings, 10))
        self.openings += 1
        self._opened_s = at_s
        self.until_s = at_s + round(cooling_s * (1 + luck / 5))
        self._probe_s = None

    def hear(self, started_s: int, at_s: int, luck: float, *, succeeded: bool) -> None:
        """Takes in how an attempt went; while cooling, and of attempts from before, nothing is learned."""
        if self._opened_s is None or at_s < self.until_s or started_s <= self._opened_s:
            return
        if not succeeded:
            self.open(at_s, luck)
            return
        self._opened_s = self._probe_s = None
        self.closed_s = at_s


class Breaker:
    """A circuit, and the failures of the last 30 seconds that open it.

    Args:
        failures: so many in the window open it that are at least half of the attempts; or so many in a row, however
            slowly they come, and four times as many where others succeeded in the window.
        luck: from 0 to 1; see `Circuit.open`.
    """

    __slots__ = ("_failures", "_in_a_row", "_luck", "circuit", "window")

    def __init__(self, failures: int, luck: float) -> None:
        self._failures = failures
        self._luck = luck
        self._in_a_row = 0
        self.window = Window()
        self.circuit = Circuit()

    def record(self, verdict: Verdict, started_s: int, at_s: int) -> None:
        """Takes in an attempt from the seconds when it began and ended."""
        self.window.add(at_s, verdict)
        if verdict is Verdict.RATE_LIMITED:
            return
        failed = verdict is Verdict.FAILURE
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if self.circuit.is_open:
            self.circuit.hear(started_s, at_s, self._luck, succeeded=not failed)
        elif failed and self._is_failing:
            self.circuit.open(at_s, self._luck)

    @property
    def is_of_interest(self) -> bool:
        """Whether time alone may change something."""
        return self.circuit.is_open or self.window.is_suspect

    @property
    def _is_failing(self) -> bool:
        """Half of many; or several in a row, where among many it takes more of them to be no chance."""
        window = self.window
        if window.failures >= self._failures and window.failures * 2 >= window.attempts:
            return True
        enough = self._failures if window.failures == window.attempts else self._failures * _NO_CHANCE
        return self._in_a_row >= enough
