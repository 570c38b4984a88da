"""Back-off: delays grow, are jittered, and are capped."""

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.retry import Backoff


@given(st.floats(0.001, 5), st.floats(5, 60), st.floats(1, 4), st.floats(0, 1), st.integers(0, 2**32))
def test_delays_stay_within_jitter_and_cap(
    first_s: float, cap_s: float, factor: float, jitter: float, seed: int
) -> None:
    upper = first_s
    for delay in islice(Backoff(first_s, cap_s, factor, jitter).delays(random.Random(seed)), 30):
        assert upper * (1 - jitter) - 1e-9 <= delay <= upper + 1e-9 <= cap_s + 1e-9
        upper = min(upper * factor, cap_s)


def test_delays_without_jitter_double_up_to_the_cap() -> None:
    assert list(islice(Backoff(0.5, 3.0, 2.0, 0.0).delays(), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_two_schedules_do_not_march_in_step() -> None:
    backoff = Backoff(jitter=0.5)
    assert list(islice(backoff.delays(), 5)) != list(islice(backoff.delays(), 5))


@pytest.mark.parametrize("seed", [1, 2])
def test_schedule_repeats_for_the_same_source(seed: int) -> None:
    backoff = Backoff()
    first, second = (list(islice(backoff.delays(random.Random(seed)), 5)) for _ in range(2))
    assert first == second
