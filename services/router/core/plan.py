"""The plan: which endpoints to try for a request, in which order, and why not the others.

Owns the story from model names to attempts; the rules are next door (constraints, ranking). Pure: catalogue, health and
seed are arguments. Invariant: an attempt passed every hard constraint of its request.
"""

from collections.abc import Sequence
from typing import NamedTuple

from libs.errors import AppError, Kind
from services.router.core.catalogue import Catalogue, Endpoint, Model
from services.router.core.constraints import PRIVACY, Constraint, dropped_by, prefer_supporting
from services.router.core.health import HealthSnapshot
from services.router.core.ranking import Ranked, in_callers_order, ranked
from services.router.core.wishes import Features, Preferences

MAX_MODELS = 32
MAX_ATTEMPTS = 8
"""Of one model, beyond what the caller listed: a hold covers the dearest planned attempt, and nobody waits for a ninth."""
_SHOWN_ID_LENGTH = 200


class Dropped(NamedTuple):
    endpoint: Endpoint
    constraint: Constraint


class Plan(NamedTuple):
    """What to try, in order, each with its reason; never empty.

    `strategy` is the public word for how the model was found: direct, alias or fallback (reference §22).
    """

    attempts: Ranked
    dropped: list[Dropped]
    strategy: str


def make_plan(
    models: Sequence[str],
    features: Features,
    preferences: Preferences,
    *,
    catalogue: Catalogue,
    health: HealthSnapshot,
    seed: str,
) -> Plan:
    """Plans one request: models in the order in which they are to be tried; equal seeds make equal plans.

    Raises:
        AppError: MODEL_MISSING, MODEL_UNKNOWN or TOO_MANY_MODELS (invalid); NO_ENDPOINTS (missing).
    """
    attempts: Ranked = []
    dropped: list[Dropped] = []
    for model in find_models(models, catalogue):
        attempts += _plan_model(model, features, preferences, health, seed, dropped)
    if not attempts:
        raise no_endpoints(models, dropped, features)
    return Plan(attempts, dropped, _strategy(models, catalogue))


def _strategy(models: Sequence[str], catalogue: Catalogue) -> str:
    if len(models) > 1:
        return "fallback"
    return "direct" if models[0] in catalogue.models else "alias"


def find_models(names: Sequence[str], catalogue: Catalogue) -> list[Model]:
    """The models of these names, each once.

    Raises:
        AppError: there is no name, there are too many, or one is not known.
    """
    if not names:
        raise AppError(Kind.INVALID, "MODEL_MISSING", "No model was given: set `model` or `models`")
    if len(names) > MAX_MODELS:
        raise AppError(Kind.INVALID, "TOO_MANY_MODELS", f"`models` may name at most {MAX_MODELS} models")
    found: dict[Model, None] = {}
    for name in names:
        model = catalogue.by_name.get(name)
        if model is None:
            shown = name[:_SHOWN_ID_LENGTH]
            raise AppError(
                Kind.INVALID,
                "MODEL_UNKNOWN",
                f"{shown} is not a valid model ID",
                {"availability": "model_not_found", "requested_models": shown},
            )
        found[model] = None
    return list(found)


def _plan_model(
    model: Model,
    features: Features,
    preferences: Preferences,
    health: HealthSnapshot,
    seed: str,
    dropped: list[Dropped],
) -> Ranked:
    fitting: list[Endpoint] = []
    for endpoint in model.endpoints:
        constraint = dropped_by(endpoint, features, preferences)
        if constraint is None:
            fitting.append(endpoint)
        else:
            dropped.append(Dropped(endpoint, constraint))
    if features.uses_tools or features.uses_response_format:
        fitting, unsupporting = prefer_supporting(fitting, features)
        dropped += [Dropped(*one) for one in unsupporting]
    if preferences.order:
        return _with_order(fitting, preferences, health, seed, dropped)
    attempts = ranked(fitting, preferences, health, seed)
    if not preferences.allow_fallbacks:
        dropped += [Dropped(one, Constraint.ALLOW_FALLBACKS) for one, _ in attempts[1:]]
        del attempts[1:]
    return _first(attempts, MAX_ATTEMPTS)


def _with_order(
    fitting: Sequence[Endpoint], preferences: Preferences, health: HealthSnapshot, seed: str, dropped: list[Dropped]
) -> Ranked:
    listed = in_callers_order(fitting, preferences.order)
    taken = {endpoint for endpoint, _ in listed}
    others = [endpoint for endpoint in fitting if endpoint not in taken]
    if not preferences.allow_fallbacks:
        dropped += [Dropped(endpoint, Constraint.ALLOWED_PROVIDERS) for endpoint in others]
        return listed
    return listed + _first(ranked(others, preferences, health, seed), max(0, MAX_ATTEMPTS - len(listed)))


def _first(attempts: Ranked, count: int) -> Ranked:
    """So many of them in their order: one of each provider goes before a second one, for providers fail as a whole."""
    if len(attempts) <= count:
        return attempts
    seen: set[str] = set()
    again: list[int] = []
    chosen: list[int] = []
    for place, (endpoint, _) in enumerate(attempts):
        slug = endpoint.provider.slug
        (again if slug in seen else chosen).append(place)
        seen.add(slug)
    return [attempts[place] for place in sorted((chosen + again)[:count])]


def no_endpoints(models: Sequence[str], dropped: Sequence[Dropped], features: Features) -> AppError:
    """The error of an empty plan, which names what emptied it (reference §5.4)."""
    names = ", ".join(model[:_SHOWN_ID_LENGTH] for model in models)
    constraints = list(dict.fromkeys(one.constraint for one in dropped))
    metadata = {"requested_models": ",".join(models)}
    if not constraints:
        metadata["availability"] = "no_endpoints"
        return AppError(Kind.MISSING, "NO_ENDPOINTS", f"No endpoints found for {names}.", metadata)
    if constraints == [Constraint.OPERATION]:
        metadata["availability"] = "wrong_endpoint"
        return AppError(
            Kind.INVALID,
            "WRONG_ENDPOINT",
            f"{names} cannot be used here: it does not do {features.operation}.",
            metadata,
        )
    excluded_by = ", ".join(constraints)
    metadata["availability"] = "privacy_restricted" if PRIVACY.issuperset(constraints) else "constraint_filtered"
    metadata["excluded_by"] = ",".join(constraints)
    message = f"No endpoints of {names} fit this request; all were excluded by: {excluded_by}."
    if Constraint.CONTEXT_LENGTH in constraints:
        longest = max(one.endpoint.context_length for one in dropped)
        wanted = features.prompt_tokens + (features.max_tokens or 0)
        message += f" The maximum context length is {longest} tokens; about {wanted} were asked for."
    return AppError(Kind.MISSING, "NO_ENDPOINTS", message, metadata)
