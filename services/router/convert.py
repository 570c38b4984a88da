"""Between the router's values and its messages.

Owns the translation, and ready-made `Attempt` messages. Decides nothing. Invariant: an attempt message is made once per
endpoint and reason of a catalogue, and never changed afterwards.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from switchyard.common.v1.price_pb2 import PriceSnapshot, PriceTier
from switchyard.routing.v1 import routing_pb2 as pb

from libs.errors import AppError
from services.router.core.catalogue import Catalogue, Endpoint, Price
from services.router.core.explanation import detail
from services.router.core.listing import TEXT, ModelFilter
from services.router.core.plan import Dropped, Plan
from services.router.core.ranking import Place, Reason
from services.router.core.vocabulary import CHAT, PARAMETERS, SERVES_CHAT
from services.router.core.wishes import (
    NO_OPTIONS,
    NO_POLICY,
    NO_PREFERENCES,
    CutOffs,
    Features,
    OwnCredential,
    Policy,
    Preferences,
    RouterOptions,
    Sort,
    Wishes,
)

_SORTS: Final[Mapping[int, Sort]] = {
    pb.SORT_PRICE: Sort.PRICE,
    pb.SORT_THROUGHPUT: Sort.THROUGHPUT,
    pb.SORT_LATENCY: Sort.LATENCY,
    pb.SORT_EXACTO: Sort.EXACTO,
}
_TIERS: Final = {"flex": "flex", "priority": "priority", "fast": "priority"}
"""The others mean the usual tier."""


_OPTIONAL_BOUNDS: Final = (
    "distillable",
    "min_context_length",
    "min_prompt_price",
    "max_prompt_price",
    "min_completion_price",
    "max_completion_price",
    "min_age_days",
    "max_age_days",
)


def wishes_from_proto(message: pb.PlanRequest) -> Wishes:
    """Absent parts are the very defaults, by which rules know that they bind nothing."""
    return Wishes(
        tuple(message.models),
        features_from_proto(message.features),
        _preferences(message.preferences) if message.HasField("preferences") else NO_PREFERENCES,
        _policy(message.policy) if message.HasField("policy") else NO_POLICY,
        tuple(_credential(one) for one in message.credentials),
        _router_options(message.router) if message.HasField("router") else NO_OPTIONS,
    )


def features_from_proto(message: pb.RequestFeatures) -> Features:
    return Features(
        message.prompt_tokens_estimate,
        message.max_tokens if message.HasField("max_tokens") else None,
        message.uses_tools,
        message.uses_response_format,
        PARAMETERS.intersection(message.parameters),
        frozenset(message.input_modalities),
        message.operation or CHAT,
        frozenset(message.output_modalities),
        message.uses_json_schema,
        message.session_key,
        _TIERS.get(message.service_tier, ""),
        names_session=message.has_explicit_session,
    )


def _preferences(message: pb.ProviderPreferences) -> Preferences:
    bounds = message.max_price
    return Preferences(
        order=tuple(name.lower() for name in message.order),
        only=_lower(message.only) if message.has_only else None,
        ignore=_lower(message.ignore),
        allow_fallbacks=message.allow_fallbacks or not message.HasField("allow_fallbacks"),
        sort=_SORTS.get(message.sort),
        require_parameters=message.require_parameters,
        deny_data_collection=message.data_collection == pb.DATA_COLLECTION_DENY,
        zero_data_retention=message.zdr,
        quantizations=frozenset(message.quantizations),
        max_prompt_price=bounds.prompt if bounds.HasField("prompt") else None,
        max_completion_price=bounds.completion if bounds.HasField("completion") else None,
        max_request_price=bounds.request if bounds.HasField("request") else None,
        max_image_price=bounds.image if bounds.HasField("image") else None,
        max_audio_price=bounds.audio if bounds.HasField("audio") else None,
        over_all_models=message.sort_partition == pb.SORT_PARTITION_NONE,
        min_throughput=_cut_offs(message.preferred_min_throughput)
        if message.HasField("preferred_min_throughput")
        else None,
        max_latency=_cut_offs(message.preferred_max_latency) if message.HasField("preferred_max_latency") else None,
        distillable_only=message.enforce_distillable_text,
    )


def _cut_offs(message: pb.Percentiles) -> CutOffs:
    return CutOffs(
        message.p50 if message.HasField("p50") else None,
        message.p75 if message.HasField("p75") else None,
        message.p90 if message.HasField("p90") else None,
        message.p99 if message.HasField("p99") else None,
    )


def _policy(message: pb.AccountPolicy) -> Policy:
    return Policy(
        allowed_providers=_lower(message.allowed_providers) if message.has_allowed_providers else None,
        ignored_providers=_lower(message.ignored_providers),
        allowed_models=tuple(message.allowed_models) if message.has_allowed_models else None,
        ignored_models=tuple(message.ignored_models),
        zero_data_retention=message.zdr,
        deny_training=message.deny_training,
        default_model=message.default_model,
        region=message.region,
    )


def _credential(message: pb.AccountCredential) -> OwnCredential:
    return OwnCredential(
        message.id,
        message.provider_slug,
        message.is_fallback,
        message.always_use,
        frozenset(message.allowed_models),
        message.sort_order,
    )


def _router_options(message: pb.RouterOptions) -> RouterOptions:
    return RouterOptions(
        tuple(message.allowed_models), tuple(message.excluded_models), message.cost_tier, message.pinned_model
    )


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def filter_from_proto(message: pb.ModelFilter) -> ModelFilter:
    """`NO_FILTER` in value when nothing was asked for."""
    bounds = {name: getattr(message, name) for name in _OPTIONAL_BOUNDS if message.HasField(name)}
    return ModelFilter(
        output_modalities=frozenset(message.output_modalities) or TEXT,
        input_modalities=frozenset(message.input_modalities),
        supported_parameters=frozenset(message.supported_parameters),
        model_authors=_lower(message.model_authors),
        providers=_lower(message.providers),
        search=tuple(message.search.lower().split()),
        architecture=message.architecture.lower(),
        category=message.category,
        region=message.region,
        zdr=message.zdr,
        bounds_unknown_figure=message.bounds_unknown_figure,
        sort=message.sort,
        **bounds,
    )


class PlanMessages:
    """Plans as messages, out of ready-made attempts."""

    def __init__(self, limits: pb.TimeLimits) -> None:
        self._limits = limits
        self._catalogue: Catalogue | None = None
        self._ready: dict[tuple[Endpoint, Reason], pb.Attempt] = {}

    def plan_to_proto(self, plan: Plan, catalogue: Catalogue) -> pb.PlanResponse:
        if catalogue is not self._catalogue:
            self._catalogue = catalogue
            self._ready = {}
        attempts = [self._shared(place) if place.credential is None else self._own(place) for place in plan.attempts]
        return pb.PlanResponse(attempts=attempts, strategy=plan.strategy, router=plan.router)

    def _shared(self, place: Place) -> pb.Attempt:
        key = (place.endpoint, place.reason)
        attempt = self._ready.get(key)
        if attempt is None:
            attempt = self._ready[key] = self._attempt(*key)
        return attempt

    def _own(self, place: Place) -> pb.Attempt:
        attempt = self._attempt(place.endpoint, place.reason)
        attempt.is_byok = True
        attempt.credential_id = place.credential.id if place.credential else ""
        return attempt

    def _attempt(self, endpoint: Endpoint, reason: Reason) -> pb.Attempt:
        return pb.Attempt(
            endpoint_id=endpoint.id,
            provider_slug=endpoint.provider.slug,
            provider_name=endpoint.provider.name,
            provider_model_id=endpoint.provider_model_id,
            model=endpoint.model,
            price=price_to_proto(endpoint.price),
            context_length=endpoint.context_length,
            max_completion_tokens=endpoint.max_completion_tokens,
            unsupported_parameters=endpoint.unsupported_parameters,
            limits=self._limits,
            reason=reason.value,
            protocol="" if endpoint.protocol == endpoint.provider.protocol else endpoint.protocol,
            service_tier=endpoint.service_tier,
            preset=endpoint.preset,
            serves=() if endpoint.serves == SERVES_CHAT else sorted(endpoint.serves),
        )


def explanation_to_proto(plan: Plan, wishes: Wishes) -> pb.Explanation:
    """Everything that was looked at: what is planned, in its order, then what is not."""
    planned = [
        _candidate(place.endpoint, rank=rank, reason=place.reason.value, is_byok=place.credential is not None)
        for rank, place in enumerate(plan.attempts, 1)
    ]
    return pb.Explanation(candidates=planned + dropped_to_proto(plan.unplanned, wishes))


def dropped_to_proto(dropped: Iterable[Dropped], wishes: Wishes) -> list[pb.Candidate]:
    return [
        _candidate(one.endpoint, dropped_by=one.constraint.value, detail=detail(one.endpoint, one.constraint, wishes))
        for one in dropped
    ]


def _candidate(endpoint: Endpoint, **why: Any) -> pb.Candidate:
    return pb.Candidate(
        endpoint_id=endpoint.id,
        provider_slug=endpoint.provider.slug,
        provider_name=endpoint.provider.name,
        model=endpoint.model,
        tag=endpoint.tag,
        price=price_to_proto(endpoint.price),
        **why,
    )


def problem_to_proto(error: AppError) -> pb.PlanProblem:
    return pb.PlanProblem(
        http_status=error.http_status, reason=error.reason, message=error.message, metadata=error.metadata
    )


def price_to_proto(price: Price) -> PriceSnapshot:
    return PriceSnapshot(
        prompt=price.prompt,
        completion=price.completion,
        request=price.request,
        cache_read=price.cache_read,
        cache_write=price.cache_write,
        reasoning=price.reasoning,
        version=price.version,
        cache_write_1h=price.cache_write_1h,
        tiers=[
            PriceTier(**{name: value for name, value in tier._asdict().items() if value is not None})
            for tier in price.tiers
        ],
    )
