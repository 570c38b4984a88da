"""Order statistics of measured times; pure."""

from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that at least `share` of the ordered values do not exceed (nearest rank); 0 of none."""
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * round(share * 10_000) // 10_000)
    return ordered[min(len(ordered), max(1, rank)) - 1]


def percentiles(values: Sequence[float]) -> list[float]:
    """p0 to p100: 101 values, for curves and for whoever wants another percentile later."""
    ordered = sorted(values)
    return [quantile(ordered, percent / 100) for percent in range(101)]
