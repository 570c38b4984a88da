"""The plan: which endpoints to try for a request, in which order, and why not the others.

Owns the story from model names to attempts; the rules are next door (names, routers, constraints, ranking, own_credentials).
Pure: catalogue, health and seed are arguments. Invariant: an attempt passed every hard constraint of its request.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from libs.errors import AppError, Kind
from services.router.core.catalogue import Catalogue, Endpoint, Model
from services.router.core.constraints import Constraint, divide, of_flex_tier, prefer_supporting
from services.router.core.health import HealthSnapshot
from services.router.core.names import Named, RouterModel, read_name, with_shortcuts
from services.router.core.own_credentials import with_own
from services.router.core.ranking import Place, Ranked, in_callers_order, ranked
from services.router.core.refusals import no_endpoints
from services.router.core.routers import allows, choose
from services.router.core.wishes import NO_POLICY, NO_PREFERENCES, Features, Preferences, Sort, Wishes

MAX_MODELS = 32
MAX_ATTEMPTS = 8
"""Of one model, beyond what the caller listed: a hold covers the dearest planned attempt, and nobody waits for a ninth."""


class Dropped(NamedTuple):
    endpoint: Endpoint
    constraint: Constraint


class Plan(NamedTuple):
    """What to try, in order, each with its reason; never empty.

    Attributes:
        attempts: in the order in which they are to be tried.
        dropped: what else was looked at, each with what forbids it.
        strategy: the public word for how the model was found: direct, alias, latest, fallback, auto or free (reference §22).
        router: the slug of the router model that chose; empty: none did.
        passed_over: whole rankings of which only the first were taken.
    """

    attempts: Ranked
    dropped: list[Dropped]
    strategy: str
    router: str = ""
    passed_over: Sequence[Place] = ()

    @property
    def unplanned(self) -> list[Dropped]:
        """All that was looked at and will not be tried."""
        planned = {place.endpoint for place in self.attempts}
        cut = dict.fromkeys(place.endpoint for place in self.passed_over if place.endpoint not in planned)
        return [Dropped(one, Constraint.ATTEMPT_LIMIT) for one in cut] + self.dropped


class EmptyPlanError(AppError):
    """Nothing is left to try; `dropped` says why not."""

    def __init__(self, error: AppError, dropped: list[Dropped]) -> None:
        super().__init__(error.kind, error.reason, error.message, error.metadata)
        self.dropped = dropped


class _Asked(NamedTuple):
    """One model with what holds for it: the request's wishes and what its name adds."""

    model: Model
    features: Features
    preferences: Preferences


def make_plan(wishes: Wishes, *, catalogue: Catalogue, health: HealthSnapshot, seed: str) -> Plan:
    """Plans one request; equal seeds make equal plans.

    Raises:
        AppError: MODEL_MISSING, MODEL_UNKNOWN, TOO_MANY_MODELS or WRONG_ENDPOINT (invalid); NO_ENDPOINTS or
            FREE_VARIANT_ENDED (missing); REGION_RESTRICTED (forbidden).
    """
    names = wishes.models or tuple(filter(None, (wishes.policy.default_model,)))
    named = _read_names(names, catalogue)
    asked, router = _asked(named, wishes, catalogue, seed)
    planning = _Planning(wishes, health, seed)
    if wishes.preferences.over_all_models and len(asked) > 1:
        attempts = planning.together(asked)
    else:
        attempts = [place for one in asked for place in planning.alone(one)]
    if not attempts:
        drops = [(one.endpoint, one.constraint) for one in planning.dropped]
        raise EmptyPlanError(no_endpoints(names, [one.model for one in asked], drops, wishes), planning.dropped)
    return Plan(attempts, planning.dropped, _strategy(named), router, planning.passed_over)


def _read_names(names: Sequence[str], catalogue: Catalogue) -> list[Named]:
    if not names:
        raise AppError(Kind.INVALID, "MODEL_MISSING", "No model was given: set `model` or `models`")
    if len(names) > MAX_MODELS:
        raise AppError(Kind.INVALID, "TOO_MANY_MODELS", f"`models` may name at most {MAX_MODELS} models")
    return [read_name(name, catalogue) for name in names]


def _asked(named: Iterable[Named], wishes: Wishes, catalogue: Catalogue, seed: str) -> tuple[list[_Asked], str]:
    """The models, each once, and the router model that chose some of them."""
    features, preferences = _with_tier(wishes.features, wishes.preferences)
    asked: dict[Model, _Asked] = {}
    router = ""
    for name, target, shortcuts in named:
        its_features, its_preferences = with_shortcuts(features, preferences, shortcuts)
        if isinstance(target, RouterModel):
            router = name
            its_wishes = wishes._replace(features=its_features, preferences=its_preferences)
            models = choose(target, its_wishes, catalogue, seed)
        else:
            models = [target]
        for model in models:
            asked.setdefault(model, _Asked(model, its_features, its_preferences))
    return list(asked.values()), router


def _with_tier(features: Features, preferences: Preferences) -> tuple[Features, Preferences]:
    """What a service tier means (reference §1.7)."""
    tier = features.service_tier
    if not tier:
        return features, preferences
    sort = Sort.PRICE if tier == "flex" and preferences.sort is None else preferences.sort
    return features, preferences._replace(tiers=preferences.tiers | {tier}, sort=sort)


def _strategy(named: Sequence[Named]) -> str:
    if len(named) > 1:
        return "fallback"
    name, target, _ = named[0]
    if isinstance(target, RouterModel):
        return target.value
    if name.startswith("~"):
        return "latest"
    bare = name if name == target.id else name.partition(":")[0]
    return "direct" if bare == target.id else "alias"


class _Planning:
    """One plan on its way; `dropped` and `passed_over` grow."""

    def __init__(self, wishes: Wishes, health: HealthSnapshot, seed: str) -> None:
        self._wishes = wishes
        self._health = health
        self._seed = seed
        self.dropped: list[Dropped] = []
        self.passed_over: Ranked = []

    def alone(self, asked: _Asked) -> Ranked:
        """The attempts of one model."""
        fitting = self._fitting(asked, asked.model.endpoints)
        places = self._ranked(fitting, asked, self._sticky(asked))
        if not self._wishes.credentials:
            return places
        return self._with_own(places, [asked])

    def together(self, asked: Sequence[_Asked]) -> Ranked:
        """One ranking over all models; the shortcuts of a name choose among its own endpoints alone."""
        fitting = [endpoint for one in asked for endpoint in self._fitting(one, one.model.endpoints)]
        fitting.sort(key=lambda one: (one.blend, one.id))
        wishes = self._wishes
        whole = _Asked(asked[0].model, wishes.features, wishes.preferences)
        return self._with_own(self._ranked(fitting, whole, ""), asked)

    def _fitting(self, asked: _Asked, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """What passes the hard rules and then the soft ones."""
        _, features, preferences = asked
        policy = self._wishes.policy
        whole = self._dropped_whole(asked)
        if whole is not None:
            self.dropped += [Dropped(one, whole) for one in endpoints]
            return []
        fitting, others = divide(endpoints, features, preferences, policy)
        self.dropped += [Dropped(*one) for one in others]
        if features.service_tier == "flex":
            fitting, others = of_flex_tier(fitting)
            self.dropped += [Dropped(*one) for one in others]
        if features.uses_tools or features.uses_response_format or "verbosity" in features.parameters:
            fitting, others = prefer_supporting(fitting, features)
            self.dropped += [Dropped(*one) for one in others]
        return fitting

    def _dropped_whole(self, asked: _Asked) -> Constraint | None:
        """The rule that forbids the model itself, whoever serves it."""
        model, features, preferences = asked
        policy = self._wishes.policy
        if policy is not NO_POLICY and not allows(policy.allowed_models, policy.ignored_models, model.id):
            return Constraint.ACCOUNT_MODELS
        if preferences is not NO_PREFERENCES and preferences.distillable_only and not model.distillable:
            return Constraint.DISTILLABLE
        if features.output_modalities and not features.output_modalities.issubset(model.output_modalities):
            return Constraint.OUTPUT_MODALITIES
        return None

    def _ranked(self, fitting: Sequence[Endpoint], asked: _Asked, sticky: str) -> Ranked:
        _, features, preferences = asked
        listed = in_callers_order(fitting, preferences.order) if preferences.order else []
        if listed or preferences.order:
            taken = {place.endpoint for place in listed}
            others = [endpoint for endpoint in fitting if endpoint not in taken]
            if not preferences.allow_fallbacks:
                self.dropped += [Dropped(endpoint, Constraint.ALLOWED_PROVIDERS) for endpoint in others]
                return listed
            fitting, sticky = others, ""
        places = ranked(
            fitting,
            preferences,
            self._health,
            self._seed,
            uses_tools=features.uses_tools,
            first_tier="priority" if features.service_tier == "priority" else "",
            sticky=sticky,
        )
        if not preferences.allow_fallbacks:
            self.dropped += [Dropped(place.endpoint, Constraint.ALLOW_FALLBACKS) for place in places[1:]]
            return places[:1]
        return listed + self._first(places, max(0, MAX_ATTEMPTS - len(listed)))

    def _sticky(self, asked: _Asked) -> str:
        """The endpoint that holds this conversation in its cache, where that is cheaper (reference §1.4)."""
        key = asked.features.session_key
        if not key or not self._health.sticky:
            return ""
        endpoint_id = self._health.sticky.get(f"{key}/{asked.model.id}", "")
        if not endpoint_id:
            return ""
        held = next((one for one in asked.model.endpoints if one.id == endpoint_id), None)
        if held is None or held.price.cache_read is None or held.price.cache_read >= held.price.prompt:
            return ""
        return endpoint_id

    def _with_own(self, places: Ranked, asked: Sequence[_Asked]) -> Ranked:
        credentials = self._wishes.credentials
        if not credentials:
            return places
        slugs = {one.provider_slug for one in credentials}
        extra = [
            endpoint
            for one in asked
            if one.model.elsewhere
            for endpoint in self._fitting(one, [each for each in one.model.elsewhere if each.provider.slug in slugs])
        ]
        made = with_own(places, extra, credentials, self._health.cooling)
        kept = {place.endpoint for place in made}
        self.dropped += [
            Dropped(place.endpoint, Constraint.OWN_CREDENTIAL) for place in places if place.endpoint not in kept
        ]
        return made

    def _first(self, places: Ranked, count: int) -> Ranked:
        """So many of them in their order: one of each provider goes before a second one, for providers fail as a whole."""
        if len(places) <= count:
            return places
        self.passed_over += places
        if not count:
            return []
        seen: set[str] = set()
        again: list[Place] = []
        chosen: list[Place] = []
        for place in places:
            slug = place.endpoint.provider.slug
            if slug in seen:
                again.append(place)
                continue
            seen.add(slug)
            chosen.append(place)
            if len(chosen) == count:
                break
        if len(chosen) < count:
            kept = {place.endpoint for place in chosen + again[: count - len(chosen)]}
            chosen = [place for place in places if place.endpoint in kept]
        return chosen


__all__ = ["MAX_ATTEMPTS", "MAX_MODELS", "Dropped", "Place", "Plan", "make_plan"]
