"""The pure decisions about answers, waits and parcels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.core.delivery import Verdict, parcels, retry_after_s, verdict_on, wait_s

NOW_MS = 1_795_478_400_000  # Tue, 24 Nov 2026 00:00:00 GMT


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (202, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.REFUSED),
        (307, Verdict.REFUSED),
        (400, Verdict.DIVIDE),
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (405, Verdict.REFUSED),
        (408, Verdict.RETRY),
        (413, Verdict.DIVIDE),
        (422, Verdict.DIVIDE),
        (425, Verdict.RETRY),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (501, Verdict.RETRY),
        (503, Verdict.RETRY),
        (599, Verdict.RETRY),
    ],
)
def test_status_decides_what_becomes_of_a_request(status: int, verdict: Verdict) -> None:
    assert verdict_on(status) is verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 400, 999_999_999.0),
        ("Tue, 24 Nov 2026 00:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 00:00:30 -0000", 30.0),
        ("Mon, 23 Nov 2026 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("Tue, 99 Nov 2026 00:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s(text, NOW_MS) == seconds


@given(st.text(max_size=40))
def test_retry_after_may_be_anything(text: str) -> None:
    assert (retry_after_s(text, NOW_MS) or 0.0) >= 0.0
    assert 0.0 <= wait_s(1.0, text, NOW_MS, 30.0) <= 30.0


@pytest.mark.parametrize(
    ("backoff_s", "retry_after", "expected"),
    [(2.0, None, 2.0), (2.0, "1", 2.0), (2.0, "5", 5.0), (2.0, "3600", 30.0), (50.0, None, 30.0), (2.0, "x", 2.0)],
)
def test_wait_is_the_longer_one_within_its_bound(backoff_s: float, retry_after: str | None, expected: float) -> None:
    assert wait_s(backoff_s, retry_after, NOW_MS, 30.0) == expected


@given(st.lists(st.integers(1, 3)), st.integers(1, 10))
def test_parcels_hold_every_record_once_in_order_and_within_the_limit(sizes: list[int], limit: int) -> None:
    made = list(parcels(sizes, limit))
    assert [place for parcel in made for place in parcel] == list(range(len(sizes)))
    assert all(len(parcel) == 1 or sum(sizes[place] for place in parcel) <= limit for parcel in made)


def test_five_hundred_generations_are_five_requests() -> None:
    assert [len(parcel) for parcel in parcels([1] * 500)] == [100] * 5
