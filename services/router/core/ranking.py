"""In which order the endpoints of one model are tried, and why each stands where it stands.

Owns order, luck and health's say in it (reference behaviour-facts §1.1, DESIGN §11). Does not drop endpoints.
Invariant: with equal seeds equal orders; nothing is added and nothing is lost.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from services.router.core.catalogue import Endpoint
from services.router.core.health import HealthSnapshot, Percentiles
from services.router.core.wishes import Preferences, Sort


class Reason(StrEnum):
    """Why an attempt stands where it stands."""

    ORDER = "order"
    FREE = "free"
    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    OUTAGE = "outage"
    RATE_LIMITED = "rate_limited"
    DEGRADED = "degraded"
    FALLBACK_ONLY = "fallback_only"
    TRIPPED = "tripped"


Ranked = list[tuple[Endpoint, Reason]]


def luck(seed: str, label: str) -> float:
    """A number from 0 up to 1 that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{seed}\0{label}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def in_callers_order(fitting: Sequence[Endpoint], order: Sequence[str]) -> Ranked:
    """Those that the caller listed, as listed; health has no say."""
    listed: dict[Endpoint, Reason] = {}
    for name in order:
        for endpoint in fitting:
            if name in endpoint.names:
                listed.setdefault(endpoint, Reason.ORDER)
    return list(listed.items())


def ranked(fitting: Sequence[Endpoint], preferences: Preferences, health: HealthSnapshot, seed: str) -> Ranked:
    """All of them, stable ones first. Takes them cheapest first, as the catalogue keeps them."""
    rank = _ranking(preferences, health, seed)
    if not health.behind:
        return rank(fitting)
    stable = [one for one in fitting if one.id not in health.behind]
    behind = [one for one in fitting if one.id in health.behind]
    return rank(stable) + [(one, Reason(health.behind[one.id])) for one, _ in rank(behind)]


def _ranking(preferences: Preferences, health: HealthSnapshot, seed: str) -> Callable[[Sequence[Endpoint]], Ranked]:
    if preferences.sort is Sort.THROUGHPUT:
        return lambda some: _by_speed(some, health.throughput, Reason.THROUGHPUT, most_first=True)
    if preferences.sort is Sort.LATENCY:
        return lambda some: _by_speed(some, health.latency_s, Reason.LATENCY, most_first=False)
    if preferences.sort is Sort.PRICE or preferences.order:
        return _by_price
    return lambda some: _drawn(some, seed)


def _by_price(some: Sequence[Endpoint]) -> Ranked:
    return [(one, Reason.PRICE) for one in some]


def _by_speed(
    some: Sequence[Endpoint], speeds: Mapping[str, Percentiles], reason: Reason, *, most_first: bool
) -> Ranked:
    """The measured ones, best first; the others follow by price."""
    measured = [one for one in some if one.id in speeds]
    measured.sort(key=lambda one: speeds[one.id].p50, reverse=most_first)
    return [(one, reason) for one in measured] + [(one, Reason.PRICE) for one in some if one.id not in speeds]


def _drawn(some: Sequence[Endpoint], seed: str) -> Ranked:
    """Free ones first in random order; else one drawn with weight 1/price², and the others by price."""
    if not some:
        return []
    if some[0].is_free:
        free = [one for one in some if one.is_free]
        if len(free) > 1:
            free.sort(key=lambda one: luck(seed, one.id))
        return [(one, Reason.FREE) for one in free] + [(one, Reason.PRICE) for one in some if not one.is_free]
    if len(some) == 1:
        return [(some[0], Reason.PRICE)]
    left = luck(seed, some[0].model) * sum(one.weight for one in some)
    first = some[-1]
    for one in some:
        left -= one.weight
        if left < 0:
            first = one
            break
    return [(first, Reason.PRICE)] + [(one, Reason.PRICE) for one in some if one is not first]
