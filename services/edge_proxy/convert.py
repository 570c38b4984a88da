"""Requests in core's terms as the messages that other services take.

Owns the translation alone. Invariant: what is absent stays absent.
"""

from collections.abc import Mapping
from typing import Final

from switchyard.keys.v1.keys_pb2 import Key
from switchyard.ledger.v1.ledger_pb2 import HoldRequest
from switchyard.provider.v1.provider_pb2 import AttemptLimits, GenerateRequest
from switchyard.routing.v1 import routing_pb2 as routing

from libs.money import NanoUsdPerMillion, cost
from services.edge_proxy.core.preferences import NO_PREFERENCES, Preferences
from services.edge_proxy.core.presets import with_preset
from services.edge_proxy.core.request import InferenceRequest
from services.edge_proxy.core.router_options import NO_OPTIONS, RouterOptions
from services.edge_proxy.generation import Generation

MINIMUM_TOKENS: Final = 16
"""Fewer completion tokens than this are not worth a request whose caller named no limit (DESIGN §4.3)."""

_FOR_AN_HOUR: Final = b'"1h"'
"""What a body holds that asks for cache writes at the price of an hour."""
_SORTS: Final[Mapping[str, "routing.Sort.ValueType"]] = {
    "price": routing.SORT_PRICE,
    "throughput": routing.SORT_THROUGHPUT,
    "latency": routing.SORT_LATENCY,
    "exacto": routing.SORT_EXACTO,
}
_COLLECTION: Final[Mapping[str, "routing.DataCollection.ValueType"]] = {
    "allow": routing.DATA_COLLECTION_ALLOW,
    "deny": routing.DATA_COLLECTION_DENY,
}


def plan_request(generation: Generation) -> routing.PlanRequest:
    request = generation.request
    features = routing.RequestFeatures(
        stream=request.stream,
        prompt_tokens_estimate=request.context_tokens,
        max_tokens=request.max_tokens,
        uses_tools=request.uses_tools,
        uses_response_format=request.uses_response_format,
        parameters=request.parameters,
        input_modalities=request.modalities,
        operation=request.operation,
        output_modalities=request.output_modalities,
        uses_json_schema=request.uses_json_schema,
        service_tier=request.service_tier,
        session_key=generation.session_key,
        has_explicit_session=generation.has_explicit_session,
    )
    message = routing.PlanRequest(
        generation_id=generation.id,
        account_id=generation.key.account_id,
        models=request.models,
        features=features,
        explain=generation.explains,
    )
    if request.preferences is not NO_PREFERENCES:
        message.preferences.CopyFrom(_preferences(request.preferences))
    if request.router is not NO_OPTIONS:
        message.router.CopyFrom(_router_options(request.router))
    return message


def _router_options(options: RouterOptions) -> routing.RouterOptions:
    return routing.RouterOptions(
        allowed_models=options.allowed_models,
        excluded_models=options.excluded_models,
        cost_tier=options.cost_tier,
        pinned_model=options.pinned_model,
    )


def _preferences(preferences: Preferences) -> routing.ProviderPreferences:
    message = routing.ProviderPreferences(
        order=preferences.order,
        has_only=preferences.only is not None,
        only=preferences.only or (),
        ignore=preferences.ignore,
        allow_fallbacks=preferences.allow_fallbacks,
        require_parameters=preferences.require_parameters,
        zdr=preferences.zdr,
        quantizations=preferences.quantizations,
        enforce_distillable_text=preferences.distillable_only,
    )
    if preferences.over_all_models:
        message.sort_partition = routing.SORT_PARTITION_NONE
    for name, bound in preferences.min_throughput:
        setattr(message.preferred_min_throughput, name, bound)
    for name, bound in preferences.max_latency:
        setattr(message.preferred_max_latency, name, bound)
    if preferences.sort is not None:
        message.sort = _SORTS[preferences.sort]
    if preferences.data_collection is not None:
        message.data_collection = _COLLECTION[preferences.data_collection]
    for name, price in preferences.max_price:
        setattr(message.max_price, name, price)
    return message


def hold_request(
    generation_id: str, key: Key, request: InferenceRequest, plan: routing.PlanResponse, owner: str
) -> HoldRequest:
    """The dearest planned attempt's price × (estimated prompt, searches, `max_tokens` or the endpoint's output limit)."""
    prompt_tokens = request.prompt_tokens
    for_an_hour = _FOR_AN_HOUR in request.body
    prompt_price = token_price = request_price = tokens = 0
    for attempt in plan.attempts:
        price = attempt.price
        # A price that is absent reads as 0 here: it inherits one that is counted already.
        prompt_price = max(prompt_price, price.prompt, price.cache_write, price.cache_write_1h * for_an_hour)
        token_price = max(token_price, price.completion, price.reasoning)
        request_price = max(request_price, price.request)
        for tier in price.tiers:
            # A prompt may turn out a quarter longer than estimated, and then be in this tier.
            if prompt_tokens * 5 > tier.min_prompt_tokens * 4:
                prompt_price = max(prompt_price, tier.prompt, tier.cache_write, tier.cache_write_1h * for_an_hour)
                token_price = max(token_price, tier.completion, tier.reasoning)
        if request.max_tokens is None:
            room = max(attempt.context_length - prompt_tokens, 1)
            tokens = max(tokens, min(attempt.max_completion_tokens or room, room))
    fixed = cost(prompt_tokens, NanoUsdPerMillion(prompt_price)) + cost(
        request.search_units or 1, NanoUsdPerMillion(request_price)
    )
    asked = request.max_tokens if request.max_tokens is not None else tokens
    wanted = asked * request.choices
    return HoldRequest(
        generation_id=generation_id,
        account_id=key.account_id,
        key_hash=key.hash,
        fixed_nano_usd=fixed,
        token_price=token_price,
        tokens=wanted,
        minimum_tokens=wanted if request.max_tokens is not None else min(wanted, MINIMUM_TOKENS * request.choices),
        key_limit_nano_usd=key.limit_nano_usd if key.HasField("limit_nano_usd") else None,
        key_limit_reset=key.limit_reset,
        owner=owner,
    )


def generate_request(generation: Generation, attempt: routing.Attempt, user_hash: str) -> GenerateRequest:
    limits = attempt.limits
    granted = generation.granted_tokens
    operation, body = generation.request.put_to(attempt.serves)
    if attempt.preset:
        body = with_preset(body, attempt.preset, generation.request.parameters)
    return GenerateRequest(
        generation_id=generation.id,
        provider_slug=attempt.provider_slug,
        provider_name=attempt.provider_name,
        provider_model_id=attempt.provider_model_id,
        model=attempt.model,
        created_s=generation.created_s,
        stream=generation.request.stream,
        body=body,
        max_tokens=None if granted is None else max(granted // generation.request.choices, 1),
        unsupported_parameters=attempt.unsupported_parameters,
        limits=AttemptLimits(
            connect_ms=limits.connect_ms,
            first_event_ms=limits.first_event_ms,
            idle_ms=limits.idle_ms,
            total_ms=limits.total_ms,
        ),
        user_hash=user_hash,
        operation=operation,
        protocol=attempt.protocol,
        credential_id=attempt.credential_id,
        service_tier=attempt.service_tier,
        anthropic_beta=generation.caller.anthropic_beta,
    )
