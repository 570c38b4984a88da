"""In which order endpoints are tried, and why each stands where it stands.

Owns order, luck and health's say in it (reference behaviour-facts §1.1–1.7, DESIGN §11). Does not drop endpoints.
Invariant: with equal seeds equal orders; nothing is added and nothing is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from services.router.core.catalogue import Endpoint
from services.router.core.health import Grade, HealthSnapshot, Percentiles, Standing
from services.router.core.luck import luck
from services.router.core.wishes import CutOffs, OwnCredential, Preferences, Sort


class Reason(StrEnum):
    """Why an attempt stands where it stands."""

    ORDER = "order"
    OWN_CREDENTIAL = "own_credential"
    STICKY = "sticky"
    FREE = "free"
    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    EXACTO = "exacto"
    SLOW = "slow"
    TOOL_CALLS = "tool_calls"
    DEGRADED = "degraded"
    RATE_LIMITED = "rate_limited"
    FALLBACK_ONLY = "fallback_only"
    OUTAGE = "outage"
    TRIPPED = "tripped"
    COOLING = "cooling"


class Place(NamedTuple):
    """One attempt: an endpoint, why it stands there, and the account's credential to use (None: the platform's own)."""

    endpoint: Endpoint
    reason: Reason
    credential: OwnCredential | None = None


Ranked = list[Place]

_TROUBLES: Final[Mapping[Standing, tuple[int, Reason]]] = {
    Standing.DEGRADED: (2, Reason.DEGRADED),
    Standing.RATE_LIMITED: (3, Reason.RATE_LIMITED),
    Standing.FALLBACK_ONLY: (4, Reason.FALLBACK_ONLY),
    Standing.OUTAGE: (5, Reason.OUTAGE),
    Standing.TRIPPED: (6, Reason.TRIPPED),
}
"""By how bad: those that are worse off come later."""
_COOLING: Final = (7, Reason.COOLING)
_SLOW: Final = (1, Reason.SLOW)

_BAD: Final[Mapping[Grade, Reason]] = {Grade.SLOW: Reason.SLOW, Grade.TOOL_CALLS: Reason.TOOL_CALLS}


def in_callers_order(fitting: Sequence[Endpoint], order: Sequence[str]) -> Ranked:
    """Those that the caller listed, as listed; health has no say."""
    listed: dict[Endpoint, None] = {}
    for name in order:
        for endpoint in fitting:
            if name in endpoint.names:
                listed.setdefault(endpoint)
    return [Place(endpoint, Reason.ORDER) for endpoint in listed]


def ranked(
    fitting: Sequence[Endpoint],
    preferences: Preferences,
    health: HealthSnapshot,
    seed: str,
    *,
    uses_tools: bool = False,
    first_tier: str = "",
    sticky: str = "",
) -> Ranked:
    """All of them, those in trouble behind the others. Takes them cheapest first, as the catalogue keeps them.

    Args:
        fitting: of one model, or of several if they are to be ranked together.
        preferences: of the caller.
        health: of all endpoints.
        seed: of the luck.
        uses_tools: quality goes before price then, unless the caller sorts.
        first_tier: the service tier whose endpoints go before all others, by throughput.
        sticky: id of the endpoint that holds the conversation in its cache; goes first unless it is in trouble.
    """
    rank = _ranking(preferences, health, seed, uses_tools=uses_tools)
    if first_tier:
        rank = _tier_first(rank, first_tier, health)
    troubles = _troubles(fitting, preferences, health)
    if not troubles:
        return _with_sticky(rank(fitting), sticky)
    groups: dict[tuple[int, Reason], list[Endpoint]] = {}
    for endpoint in fitting:
        if endpoint in troubles:
            groups.setdefault(troubles[endpoint], []).append(endpoint)
    places = _with_sticky(rank([one for one in fitting if one not in troubles]), sticky)
    for group in sorted(groups):
        places += [Place(place.endpoint, group[1]) for place in rank(groups[group])]
    return places


_Rank = Callable[[Sequence[Endpoint]], Ranked]


def _troubles(
    fitting: Sequence[Endpoint], preferences: Preferences, health: HealthSnapshot
) -> dict[Endpoint, tuple[int, Reason]]:
    """Those that go behind, each with how far and why."""
    troubles: dict[Endpoint, tuple[int, Reason]] = {}
    behind, cooling = health.behind, health.cooling
    if behind or cooling:
        for one in fitting:
            standing = behind.get(one.id)
            if standing is not None:
                troubles[one] = _TROUBLES[standing]
            elif one.provider.slug in cooling:
                troubles[one] = _COOLING
    if preferences.min_throughput is not None or preferences.max_latency is not None:
        for one in fitting:
            if one not in troubles and _misses(one.id, preferences, health):
                troubles[one] = _SLOW
    return troubles


def _misses(endpoint_id: str, preferences: Preferences, health: HealthSnapshot) -> bool:
    """Whether it is known to miss a cut-off (reference §1.2); one that nothing is known of misses none."""
    speed, wait = health.throughput.get(endpoint_id), health.latency_s.get(endpoint_id)
    return (
        preferences.min_throughput is not None
        and speed is not None
        and any(bound is not None and at < bound for bound, at in _pairs(preferences.min_throughput, speed))
    ) or (
        preferences.max_latency is not None
        and wait is not None
        and any(bound is not None and at > bound for bound, at in _pairs(preferences.max_latency, wait))
    )


def _pairs(bounds: CutOffs, measured: Percentiles) -> tuple[tuple[float | None, float], ...]:
    return (
        (bounds.p50, measured.p50),
        (bounds.p75, measured.p75),
        (bounds.p90, measured.p90),
        (bounds.p99, measured.p99),
    )


def _ranking(preferences: Preferences, health: HealthSnapshot, seed: str, *, uses_tools: bool) -> _Rank:
    sort = preferences.sort
    if sort is Sort.THROUGHPUT:
        return lambda some: _by_speed(some, health.throughput, Reason.THROUGHPUT, sign=-1)
    if sort is Sort.LATENCY:
        return lambda some: _by_speed(some, health.latency_s, Reason.LATENCY, sign=1)
    if sort is Sort.PRICE or preferences.order:
        return _by_price
    if (sort is Sort.EXACTO or uses_tools) and health.grades:
        return lambda some: _by_quality(some, health.grades, seed)
    return lambda some: _drawn(some, seed)


def _by_price(some: Sequence[Endpoint]) -> Ranked:
    return [Place(one, Reason.PRICE) for one in some]


def _by_speed(some: Sequence[Endpoint], measured: Mapping[str, Percentiles], reason: Reason, *, sign: int) -> Ranked:
    """The measured ones by their median, best first; the others follow by price."""
    known = sorted((one for one in some if one.id in measured), key=lambda one: sign * measured[one.id].p50)
    return [Place(one, reason) for one in known] + [Place(one, Reason.PRICE) for one in some if one.id not in measured]


def _tier_first(rank: _Rank, tier: str, health: HealthSnapshot) -> _Rank:
    def of_tier_first(some: Sequence[Endpoint]) -> Ranked:
        of_tier = [one for one in some if one.service_tier == tier]
        if not of_tier:
            return rank(some)
        first = _by_speed(of_tier, health.throughput, Reason.THROUGHPUT, sign=-1)
        return first + rank([one for one in some if one.service_tier != tier])

    return of_tier_first


def _by_quality(some: Sequence[Endpoint], grades: Mapping[str, Grade], seed: str) -> Ranked:
    """Good ones, those of which too little is known, then those that stand out badly (reference §1.6)."""
    good: list[Endpoint] = []
    unknown: list[Endpoint] = []
    bad: list[Endpoint] = []
    for one in some:
        grade = grades.get(one.id)
        if grade is None:
            unknown.append(one)
        elif grade is Grade.GOOD:
            good.append(one)
        else:
            bad.append(one)
    return (
        [Place(one, Reason.EXACTO) for one in _draw(good, seed)]
        + _drawn(unknown, seed)
        + [Place(one, _BAD[grades[one.id]]) for one in _draw(bad, seed)]
    )


def _drawn(some: Sequence[Endpoint], seed: str) -> Ranked:
    return [Place(one, Reason.FREE if one.is_free else Reason.PRICE) for one in _draw(some, seed)]


def _draw(some: Sequence[Endpoint], seed: str) -> list[Endpoint]:
    """Free ones first in random order; else one drawn with weight 1/price², and the others by price."""
    if not some:
        return []
    if some[0].is_free:
        free = [one for one in some if one.is_free]
        if len(free) > 1:
            free.sort(key=lambda one: luck(seed, one.id))
        return free + [one for one in some if not one.is_free]
    if len(some) == 1:
        return [some[0]]
    left = luck(seed, some[0].model) * sum(one.weight for one in some)
    first = some[-1]
    for one in some:
        left -= one.weight
        if left < 0:
            first = one
            break
    return [first] + [one for one in some if one is not first]


def _with_sticky(places: Ranked, endpoint_id: str) -> Ranked:
    if not endpoint_id:
        return places
    for index, place in enumerate(places):
        if place.endpoint.id == endpoint_id:
            return [Place(place.endpoint, Reason.STICKY), *places[:index], *places[index + 1 :]]
    return places
