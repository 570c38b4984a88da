"""Small catalogues for tests: endpoints with the facts that a test is about, and plain ones otherwise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from libs.money import NanoUsdPerMillion
from services.router.core.catalogue import Catalogue, Endpoint, Model, Price, Provider
from services.router.core.health import UNKNOWN_HEALTH, Health, HealthSnapshot, Outcome, Standing, Verdict
from services.router.core.loading import load_catalogue
from services.router.core.plan import Plan, make_plan
from services.router.core.wishes import NO_PREFERENCES, Features, Preferences, Wishes

MODEL = "acme/one"
PLAIN = frozenset({"max_tokens", "temperature"})


_FILES = Path(__file__).parents[2] / "data" / "catalogue"


def small_catalogue() -> Catalogue:
    """A few real models that never change, out of files in the shape of the shipped ones."""
    return load_catalogue({one.name: one.read_bytes() for one in sorted(_FILES.glob("*.json"))})


def price(prompt: int, completion: int | None = None, **more: Any) -> Price:
    return Price(NanoUsdPerMillion(prompt), NanoUsdPerMillion(prompt if completion is None else completion), **more)


def endpoint(slug: str, prompt_price: int = 100, **facts: Any) -> Endpoint:
    provider = facts.pop("provider", None) or Provider(slug, slug.title(), collects_data=False)
    wanted: dict[str, Any] = {
        "model": MODEL,
        "provider_model_id": f"{slug}-one",
        "price": price(prompt_price),
        "context_length": 1000,
        "supported_parameters": PLAIN,
        "input_modalities": frozenset({"text"}),
    }
    return Endpoint(provider=provider, **(wanted | facts))


def model(endpoints: Sequence[Endpoint], model_id: str = MODEL, **facts: Any) -> Model:
    wanted: dict[str, Any] = {
        "name": "One",
        "description": "A model.",
        "created_s": 1,
        "tokenizer": "Other",
        "input_modalities": ("text",),
        "output_modalities": ("text",),
    }
    return Model(id=model_id, endpoints=tuple(endpoints), **(wanted | facts))


def catalogue(*models: Model) -> Catalogue:
    providers = {one.provider.slug: one.provider for each in models for one in each.endpoints}
    return Catalogue("test", providers, {one.id: one for one in models})


def plan(
    endpoints: Sequence[Endpoint],
    features: Features | None = None,
    preferences: Preferences = NO_PREFERENCES,
    health: HealthSnapshot = UNKNOWN_HEALTH,
    seed: str = "gen-1",
    **more: Any,
) -> Plan:
    wishes = Wishes((MODEL,), features or Features(), preferences, **more)
    return make_plan(wishes, catalogue=catalogue(model(endpoints)), health=health, seed=seed)


def slugs(made: Plan) -> list[str]:
    return [one.provider.slug for one, *_ in made.attempts]


def dropped(made: Plan) -> Mapping[str, str]:
    return {one.endpoint.provider.slug: str(one.constraint) for one in made.dropped}


NOW_S = 1_750_000_200
"""The start of five minutes."""
X = "x/acme/one"


def standing(health: Health, now_s: int = NOW_S, endpoint_id: str = X) -> Standing | None:
    return health.snapshot(now_s).behind.get(endpoint_id)


def record(
    health: Health,
    verdict: Verdict,
    count: int = 1,
    at_s: int = NOW_S,
    now_s: int | None = None,
    **facts: Any,
) -> None:
    """Tells of so many attempts at `X`, or at another `endpoint_id`."""
    outcome = Outcome(facts.pop("endpoint_id", X), verdict, at_s, **facts)
    for _ in range(count):
        health.learn(outcome, now_s or at_s)
