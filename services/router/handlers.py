"""The router's use cases: plan a request, show what is on offer, learn how attempts went, change what is on offer.

Owns which catalogue is on offer now. Does not know messages. Invariant: a catalogue is swapped whole, between requests.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from libs.clock import Clock
from libs.errors import AppError, Kind, unavailable
from services.router.core.catalogue import Catalogue
from services.router.core.health import Health
from services.router.core.plan import Plan, make_plan
from services.router.core.public_shapes import model_endpoints, models_list
from services.router.core.wishes import Features, Preferences
from services.router.ports import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class OnOffer:
    """One catalogue with its public list, ready to be sent."""

    catalogue: Catalogue
    models_json: bytes
    etag: str
    endpoints_json: dict[str, bytes] = field(default_factory=dict)
    """By model id, made when first asked for; at most one per model."""


class RouterHandlers:
    def __init__(self, health: Health, clock: Clock) -> None:
        self._health = health
        self._clock = clock
        self._on_offer: OnOffer | None = None

    @property
    def is_offering(self) -> bool:
        return self._on_offer is not None

    @property
    def on_offer(self) -> OnOffer:
        """Raises AppError (unavailable) until the first catalogue is there."""
        if self._on_offer is None:
            raise unavailable("router", "The models on offer are not known yet. Please retry.")
        return self._on_offer

    def offer(self, catalogue: Catalogue) -> None:
        """Puts another catalogue on offer."""
        content = orjson.dumps(models_list(catalogue))
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._on_offer = OnOffer(catalogue, content, etag)

    def plan(self, models: Sequence[str], features: Features, preferences: Preferences, seed: str) -> Plan:
        return make_plan(
            models,
            features,
            preferences,
            catalogue=self.on_offer.catalogue,
            health=self._health.snapshot(self._clock.now_ms() // 1000),
            seed=seed,
        )

    def endpoints_json(self, name: str) -> bytes:
        """Raises AppError (missing) for a model that is not known."""
        on_offer = self.on_offer
        model = on_offer.catalogue.by_name.get(name)
        if model is None:
            raise AppError(Kind.MISSING, "MODEL_UNKNOWN", f"{name[:200]} is not a valid model ID")
        ready = on_offer.endpoints_json.get(model.id)
        if ready is None:
            ready = on_offer.endpoints_json[model.id] = orjson.dumps(model_endpoints(model))
        return ready

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Takes in how attempts ended; those of a while ago too, as after a restart."""
        now_s = self._clock.now_ms() // 1000
        for one in outcomes:
            self._health.record(one.endpoint_id, one.verdict, one.at_s, now_s)
            if one.latency_ms or one.completion_tokens:
                self._health.record_speed(one.endpoint_id, one.latency_ms, one.completion_tokens, one.total_ms)
