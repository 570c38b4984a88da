"""Clocks."""

from libs.clock import ManualClock, SystemClock


def test_manual_clock_moves_only_when_told_and_both_its_times_together() -> None:
    clock = ManualClock(now_ms=1_000)
    assert (clock.now_ms(), clock.monotonic_s()) == (1_000, 0.0)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic_s()) == (2_500, 1.5)


def test_system_clock_tells_unix_milliseconds_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now_ms() > 1_700_000_000_000
    times = [clock.monotonic_s() for _ in range(100)]
    assert times == sorted(times)
