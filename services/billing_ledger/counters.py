"""The ledger's counts as Prometheus metrics.

Owns the mapping from outcomes to labels; libs/metrics owns the names. Invariant: one increment per batch and outcome.
"""

from collections import Counter
from collections.abc import Sequence

from libs.metrics import Metrics
from services.billing_ledger.core.admission import HoldDecision, HoldOutcome
from services.billing_ledger.core.settlements import SettlementOutcome


class LedgerCounters:
    """Implements `ports.LedgerMetrics`."""

    def __init__(self, metrics: Metrics) -> None:
        self._holds = {outcome: metrics.holds.labels(outcome.name.lower()) for outcome in HoldOutcome}
        self._voided = metrics.holds.labels("voided")
        self._swept = metrics.holds.labels("swept")
        self._hold_seconds = metrics.hold_seconds
        self._settlements = {
            outcome.value: metrics.settlements.labels(outcome.name.lower()) for outcome in SettlementOutcome
        }
        self._duplicates = metrics.settlements.labels("duplicate")
        self._overdrafts = metrics.overdrafts
        self._lag_seconds = metrics.settlement_lag_seconds

    def held(self, decisions: Sequence[HoldDecision], longest_s: float) -> None:
        """Observes the time of the batch's first caller, who waited longest."""
        self._hold_seconds.observe(longest_s)
        for outcome, count in Counter(decision.outcome for decision in decisions).items():
            self._holds[outcome].inc(count)

    def voided(self, count: int) -> None:
        self._voided.inc(count)

    def swept(self, count: int) -> None:
        self._swept.inc(count)

    def settled(self, outcomes: Sequence[int], duplicates: int, overdrafts: int, lag_s: float | None) -> None:
        """Observes the lag of the batch's oldest event."""
        for outcome, count in Counter(outcomes).items():
            self._settlements[outcome].inc(count)
        self._duplicates.inc(duplicates)
        self._overdrafts.inc(overdrafts)
        if lag_s is not None:
            self._lag_seconds.observe(lag_s)
