"""Between the router's values and its messages.

Owns the translation, and ready-made `Attempt` messages. Decides nothing. Invariant: an attempt message is made once per
endpoint and reason of a catalogue, and never changed afterwards.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from switchyard.common.v1.price_pb2 import PriceSnapshot, PriceTier
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.routing.v1 import routing_pb2 as pb

from libs.errors import AppError
from services.router.core.catalogue import Catalogue, Endpoint, Price
from services.router.core.health import verdict_of
from services.router.core.listing import TEXT, ModelFilter
from services.router.core.plan import Plan
from services.router.core.ranking import Reason
from services.router.core.vocabulary import CHAT, PARAMETERS
from services.router.core.wishes import NO_PREFERENCES, Features, Preferences, Sort
from services.router.ports import Outcome

_SORTS: Final[Mapping[int, Sort]] = {
    pb.SORT_PRICE: Sort.PRICE,
    pb.SORT_THROUGHPUT: Sort.THROUGHPUT,
    pb.SORT_LATENCY: Sort.LATENCY,
}
"""`exacto` ranks by quality, of which nothing is known: the default order stands."""


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


def features_from_proto(message: pb.RequestFeatures) -> Features:
    return Features(
        message.prompt_tokens_estimate,
        message.max_tokens if message.HasField("max_tokens") else None,
        message.uses_tools,
        message.uses_response_format,
        PARAMETERS.intersection(message.parameters),
        frozenset(message.input_modalities),
        message.operation or CHAT,
    )


def preferences_from_proto(request: pb.PlanRequest) -> Preferences:
    """`NO_PREFERENCES` itself when the caller gave none."""
    if not request.HasField("preferences"):
        return NO_PREFERENCES
    message = request.preferences
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
        ready = self._ready
        attempts = []
        for place in plan.attempts:
            attempt = ready.get(place)
            if attempt is None:
                attempt = ready[place] = self._attempt(*place)
            attempts.append(attempt)
        return pb.PlanResponse(attempts=attempts, strategy=plan.strategy)

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
        tiers=[
            PriceTier(**{name: value for name, value in tier._asdict().items() if value is not None})
            for tier in price.tiers
        ],
    )


def outcomes_from_proto(event: events.UsageRecorded) -> list[Outcome]:
    """What an event says about the endpoints that were tried."""
    outcomes = []
    for attempt in event.attempts:
        succeeded = attempt.outcome == events.ATTEMPT_OUTCOME_SUCCEEDED
        if not succeeded and attempt.outcome != events.ATTEMPT_OUTCOME_FAILED:
            continue
        ended_ms = attempt.started_at_ms + attempt.total_ms if attempt.started_at_ms else event.recorded_at_ms
        outcomes.append(
            Outcome(
                attempt.endpoint_id,
                verdict_of(succeeded=succeeded, status=attempt.status, error_class=attempt.error_class),
                ended_ms // 1000,
                attempt.first_event_ms if succeeded else 0,
                attempt.total_ms if succeeded else 0,
                event.usage.completion_tokens if succeeded else 0,
            )
        )
    return outcomes
