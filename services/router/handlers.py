"""The router's use cases: plan a request, show what is on offer, learn how attempts went, change what is on offer.

Owns which catalogue is on offer now. Does not know messages. Invariant: a catalogue is swapped whole, between requests.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from libs.clock import Clock
from libs.errors import unavailable
from services.router.core.catalogue import Catalogue
from services.router.core.health import Figures, Health, HealthStatus
from services.router.core.history import Tally
from services.router.core.listing import ModelFilter
from services.router.core.plan import Plan, make_plan
from services.router.core.stickiness import Served
from services.router.core.verdicts import Outcome
from services.router.core.wishes import Wishes
from services.router.shelf import Page, Reply, Shelf, make_shelf

_PATIENCE_S: Final = 1
"""A plan does not do the work that the publisher does once a second, unless it is late."""


class OfferDisplay:
    """Shows what a rule leaves of a catalogue."""

    def __init__(self, handlers: "RouterHandlers", rule: Callable[[Catalogue], Catalogue]) -> None:
        self._handlers = handlers
        self._rule = rule

    async def show(self, catalogue: Catalogue) -> None:
        """Makes it ready beside the loop."""
        self._handlers.put(await asyncio.to_thread(lambda: make_shelf(self._rule(catalogue))))


class RouterHandlers:
    def __init__(self, health: Health, clock: Clock) -> None:
        self._health = health
        self._clock = clock
        self._on_offer: Shelf | None = None

    @property
    def is_offering(self) -> bool:
        return self._on_offer is not None

    @property
    def on_offer(self) -> Shelf:
        """Raises AppError (unavailable) until the first catalogue is there."""
        if self._on_offer is None:
            raise unavailable("router", "The models on offer are not known yet. Please retry.")
        return self._on_offer

    def offer(self, catalogue: Catalogue) -> None:
        """Puts another catalogue on offer."""
        self.put(make_shelf(catalogue))

    def put(self, shelf: Shelf) -> None:
        """Puts what is ready on offer, between two requests."""
        self._on_offer = shelf

    def plan(self, wishes: Wishes, seed: str) -> Plan:
        return make_plan(
            wishes,
            catalogue=self.on_offer.catalogue,
            health=self._health.snapshot(self._now_s, _PATIENCE_S),
            seed=seed,
        )

    def begin(self, plan: Plan) -> None:
        """Says that this plan is about to be tried, and not merely asked about."""
        first = plan.attempts[0]
        credential = first.credential.id if first.credential is not None else first.endpoint.provider.slug
        self._health.planned(first.endpoint.id, credential, self._now_s)

    def list_models(self, wanted: ModelFilter, page: Page) -> Reply:
        now_s = self._now_s
        return self.on_offer.list_models(wanted, page, now_s, self._health.snapshot(now_s))

    def count_models(self, wanted: ModelFilter) -> int:
        return self.on_offer.count_models(wanted, self._now_s)

    def model_endpoints(self, model: str) -> bytes:
        """One model's endpoints with their figures. Raises AppError (missing) for a model that is not known."""
        return self.on_offer.model_endpoints_json(model, self.figures, self._now_s)

    def zdr_endpoints(self) -> bytes:
        """Endpoints without data retention, with their figures."""
        return self.on_offer.zdr_json(self.figures, self._now_s)

    def figures(self, endpoint_id: str) -> Figures:
        """What is measured of one endpoint."""
        return self._health.figures(endpoint_id, self._now_s)

    def learn(self, outcomes: Iterable[Outcome], served: Served | None = None) -> None:
        """Takes in how the attempts of a request went; those of a while ago too, as after a restart."""
        now_s = self._now_s
        for one in outcomes:
            self._health.learn(one, now_s)
        if served is not None:
            self._health.remember_served(served, now_s)

    def see(self, bucket: int, tallies: Iterable[tuple[str, Tally]]) -> None:
        """Takes in what a router published."""
        self._health.see(bucket, tallies, self._now_s)

    def unseen(self, bucket: int) -> Sequence[tuple[str, Tally]]:
        """What is to be published of a bucket."""
        return self._health.unseen(bucket)

    def health_status(self) -> HealthStatus:
        """How endpoints do now, for operators."""
        self._health.snapshot(self._now_s)
        return self._health.status()

    @property
    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000
