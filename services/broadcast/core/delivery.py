"""What the answer of a destination means for the traces that were sent to it.

Owns the decisions. Does not send or wait. Invariant: every status has exactly one meaning, and only what may go better
another time is tried again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto

MAX_SPANS_PER_REQUEST = 100

_WORTH_A_RETRY = frozenset({408, 425, 429})
_ABOUT_THE_BODY = frozenset({400, 413, 422})


class Verdict(Enum):
    DELIVERED = auto()
    RETRY = auto()
    DIVIDE = auto()
    """The destination minds something in the body: the halves are tried, and what stands alone is refused."""
    REFUSED = auto()


def verdict_on(status: int) -> Verdict:
    """The meaning of an HTTP status; redirects are not followed, because credentials would go along."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status >= 500 or status in _WORTH_A_RETRY:
        return Verdict.RETRY
    if status in _ABOUT_THE_BODY:
        return Verdict.DIVIDE
    return Verdict.REFUSED


def wait_s(backoff_s: float, retry_after: str | None, now_ms: int, max_s: float) -> float:
    """Seconds to wait: our own, or longer if the destination asks for it, but never more than `max_s`."""
    asked_s = retry_after_s(retry_after, now_ms) if retry_after else None
    return min(max(backoff_s, asked_s or 0.0), max_s)


def retry_after_s(text: str, now_ms: int) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110 §10.2.3); None when it is neither seconds nor a date."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds())


def parcels(sizes: Iterable[int], limit: int = MAX_SPANS_PER_REQUEST) -> Iterator[Sequence[int]]:
    """Places of consecutive records whose spans fit into one request; a record of its own if it does not fit at all."""
    parcel: list[int] = []
    spans = 0
    for place, size in enumerate(sizes):
        if parcel and spans + size > limit:
            yield parcel
            parcel, spans = [], 0
        parcel.append(place)
        spans += size
    if parcel:
        yield parcel
