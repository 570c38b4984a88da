"""UTC calendar windows of key spend, as keys derived from time: nothing is ever reset.

Owns their names. Does not own what was spent in them.
Invariant: a moment belongs to exactly one window of each length; days begin at 00:00 UTC, weeks on Monday.
"""

from datetime import date, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

TOTAL: Final = "total"
"""The window that never ends."""

MS_PER_DAY: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1)
_KNOWN_DAYS: Final = 64


class Reset(Enum):
    """How often the limit of a key begins anew; the value is the word for people."""

    NEVER = "total"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class DayWindows(NamedTuple):
    """The windows that a day belongs to, `TOTAL` apart."""

    daily: str
    weekly: str
    monthly: str


def day_of(moment_ms: int) -> int:
    """Days since 1970-01-01, in UTC."""
    return moment_ms // MS_PER_DAY


@lru_cache(maxsize=_KNOWN_DAYS)
def windows_of_day(day: int) -> DayWindows:
    """Such as `d:2026-11-24`, `w:2026-11-23`, `m:2026-11`.

    Raises:
        OverflowError: the day is beyond the calendar.
    """
    this = _EPOCH + timedelta(days=day)
    monday = this - timedelta(days=this.weekday())
    return DayWindows(f"d:{this.isoformat()}", f"w:{monday.isoformat()}", f"m:{this.isoformat()[:7]}")


def window_of(reset: Reset, moment_ms: int) -> str:
    """The window of a limit at a moment."""
    if reset is Reset.NEVER:
        return TOTAL
    windows = windows_of_day(day_of(moment_ms))
    if reset is Reset.DAILY:
        return windows.daily
    return windows.weekly if reset is Reset.WEEKLY else windows.monthly
