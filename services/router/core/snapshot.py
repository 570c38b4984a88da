"""What a plan sees of the world's health.

Owns these shapes. Does not measure (health.py does). Invariant: a snapshot never changes, its sticky sessions excepted,
which are looked up one at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple


class Standing(StrEnum):
    """Why an endpoint is behind; the worst that holds."""

    OUTAGE = "outage"
    RATE_LIMITED = "rate_limited"
    DEGRADED = "degraded"
    """Uptime from 80 % to below 95 %."""
    FALLBACK_ONLY = "fallback_only"
    """Uptime below 80 %."""
    TRIPPED = "tripped"
    """The circuit is open."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `count` measurements."""

    p50: float
    p75: float
    p90: float
    p99: float
    count: int


class ToolRecord(NamedTuple):
    """Replies that called tools, of late, and of them those with a call that is no JSON, of no known tool, or against
    its schema.
    """

    requests: int = 0
    failures: int = 0


class Grade(StrEnum):
    """How an endpoint compares with its model's others, as far as enough is known; quality.py says how."""

    GOOD = "good"
    SLOW = "slow"
    """Its throughput stands out badly."""
    TOOL_CALLS = "tool_calls"
    """The validity of its tool calls does."""


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class HealthSnapshot(NamedTuple):
    """What a plan sees, by endpoint id unless said otherwise.

    Attributes:
        latency_s: seconds to the first event, over the last 5 minutes; those that were measured alone.
        throughput: completion tokens per second of the whole time, over the last 5 minutes.
        grades: of those of whom enough is known.
        cooling: credentials that are not to be used now: a provider's slug for the platform's own, or the id of an
            account's.
        sticky: which endpoint holds the prompt cache of a conversation, by its session key, a slash and the model.
    """

    behind: Mapping[str, Standing] = _NONE
    latency_s: Mapping[str, Percentiles] = _NONE
    throughput: Mapping[str, Percentiles] = _NONE
    grades: Mapping[str, Grade] = _NONE
    cooling: frozenset[str] = frozenset()
    sticky: Mapping[str, str] = _NONE


UNKNOWN_HEALTH = HealthSnapshot()
