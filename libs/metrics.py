"""Every metric of the product, in one typed list: name, meaning, unit, labels.

Owns names and buckets. Does not own exposition (libs/ops does). Invariant: every label is a bounded set; ids, keys and
free text are never labels.
"""

from typing import Self

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics import MetricWrapperBase

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class _Remembering(MetricWrapperBase):
    """A metric that remembers its children: the library looks one up in several microseconds, and takes a lock."""

    def labels(self, *values: str) -> Self:  # type: ignore[override]  # (names of labels are never given here)
        children: dict[tuple[str, ...], Self] = self.__dict__.setdefault("_remembered", {})
        child = children.get(values)
        if child is None:
            child = children[values] = super().labels(*values)
        return child


class Counter(_Remembering, prometheus_client.Counter):
    pass


class Histogram(_Remembering, prometheus_client.Histogram):
    pass


class Metrics:
    """The metrics of one process; services in one process share one instance."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._edge()
        self._ledger()
        self._events()
        self._others()

    def _edge(self) -> None:
        self.requests = Counter(
            "switchyard_requests_total",
            "HTTP requests by route, status and whether the reply streamed.",
            ["route", "status", "stream"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "switchyard_request_seconds",
            "Time from the request's head to the last byte of the reply.",
            ["route", "stream"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            "switchyard_first_token_seconds",
            "Time from the request's head to the first content event.",
            ["provider"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tokens = Counter(
            "switchyard_tokens_total",
            "Tokens billed or counted, by kind (prompt, completion).",
            ["provider", "kind"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "switchyard_attempts_total",
            "Attempts at endpoints by provider and outcome (succeeded, abandoned, or the class of the failure).",
            ["provider", "outcome"],
            registry=self.registry,
        )
        self.requests_in_flight = Gauge(
            "switchyard_requests_in_flight", "Inference requests being served now.", registry=self.registry
        )
        self.usage_in_review = Counter(
            "switchyard_usage_in_review_total",
            "Generations whose usage is absurd and waits for a person.",
            registry=self.registry,
        )

    def _ledger(self) -> None:
        self.holds = Counter(
            "switchyard_holds_total",
            "Hold decisions by outcome (granted, capped, refused_credit, refused_key_limit, settled_before, swept, voided).",
            ["outcome"],
            registry=self.registry,
        )
        self.hold_seconds = Histogram(
            "switchyard_hold_seconds", "Time to decide a hold.", buckets=_SECONDS, registry=self.registry
        )
        self.settlements = Counter(
            "switchyard_settlements_total",
            "Settled generations by outcome (charged, free, review, duplicate).",
            ["outcome"],
            registry=self.registry,
        )
        self.settlement_lag_seconds = Histogram(
            "switchyard_settlement_lag_seconds",
            "Time from recording usage to settling it.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.overdrafts = Counter(
            "switchyard_overdrafts_total", "Settlements that took a balance below zero.", registry=self.registry
        )

    def _events(self) -> None:
        self.spool_records = Gauge(
            "switchyard_spool_records", "Records in the spool that the event log has not taken.", registry=self.registry
        )
        self.spool_bytes = Gauge(
            "switchyard_spool_bytes", "Bytes in the spool that the event log has not taken.", registry=self.registry
        )
        self.spool_append_seconds = Histogram(
            "switchyard_spool_append_seconds",
            "Time until an appended record is durable.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.consumed = Counter(
            "switchyard_consumed_total",
            "Records consumed by group and outcome (handled, dead).",
            ["group", "outcome"],
            registry=self.registry,
        )
        self.consumer_lag = Gauge(
            "switchyard_consumer_lag", "Records that a group has not handled yet.", ["group"], registry=self.registry
        )

    def count_consumed(self, group: str, handled: int, dead: int) -> None:
        """For event logs, as their `on_consumed`."""
        self.consumed.labels(group, "handled").inc(handled)
        self.consumed.labels(group, "dead").inc(dead)

    def _others(self) -> None:
        self.plan_seconds = Histogram(
            "switchyard_plan_seconds",
            "Time to plan a request.",
            buckets=(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.1),
            registry=self.registry,
        )
        self.endpoints_behind = Gauge(
            "switchyard_endpoints_behind",
            "Endpoints that are tried after the others, by standing (outage, tripped, degraded, …).",
            ["standing"],
            registry=self.registry,
        )
        self.endpoints_known = Gauge(
            "switchyard_endpoints_known",
            "Endpoints of whose health the router knows something.",
            registry=self.registry,
        )
        self.credentials_cooling = Gauge(
            "switchyard_credentials_cooling", "Credentials that providers refuse and that rest.", registry=self.registry
        )
        self.sticky_sessions = Gauge(
            "switchyard_sticky_sessions", "Conversations that are tied to an endpoint.", registry=self.registry
        )
        self.deliveries = Counter(
            "switchyard_deliveries_total",
            "Traces delivered to destinations by outcome (delivered, retried, dead).",
            ["outcome"],
            registry=self.registry,
        )
        self.authentications = Counter(
            "switchyard_authentications_total",
            "Keys looked up by outcome (found, refused).",
            ["outcome"],
            registry=self.registry,
        )
