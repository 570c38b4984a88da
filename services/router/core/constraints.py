"""Whether an endpoint may serve a request at all, and if not, what forbids it.

Owns the hard rules of reference behaviour-facts §1.2, and the soft one for tools and response formats. Does not rank.
Invariant: each rule looks at one endpoint alone, so another hard constraint never lets an endpoint in.
"""

from enum import StrEnum

from services.router.core.catalogue import Endpoint, Price
from services.router.core.wishes import NO_PREFERENCES, Features, Preferences


class Constraint(StrEnum):
    """What dropped an endpoint; the public names (reference §5.4) where there is one."""

    ALLOWED_PROVIDERS = "allowed_providers"
    ALLOW_FALLBACKS = "allow_fallbacks"
    TRAINING = "data_policy:training"
    ZERO_DATA_RETENTION = "data_policy:zdr"
    QUANTIZATION = "quantization"
    MAX_PRICE = "max_price"
    REQUIRE_PARAMETERS = "require_parameters"
    INPUT_MODALITIES = "input_modalities"
    CONTEXT_LENGTH = "context_length"
    MAX_TOKENS = "max_tokens"
    TOOLS = "tools"
    RESPONSE_FORMAT = "response_format"
    OPERATION = "operation"
    SERVICE_TIER = "service_tier"


PRIVACY = frozenset({Constraint.TRAINING, Constraint.ZERO_DATA_RETENTION})


def dropped_by(  # noqa: PLR0911 (one return per rule)
    endpoint: Endpoint, features: Features, preferences: Preferences
) -> Constraint | None:
    """The first hard rule that forbids this endpoint, or None."""
    if features.operation not in endpoint.serves:
        return Constraint.OPERATION
    if preferences is not NO_PREFERENCES:
        constraint = _dropped_by_preference(endpoint, features, preferences)
        if constraint is not None:
            return constraint
    if features.input_modalities and not features.input_modalities <= endpoint.input_modalities:
        return Constraint.INPUT_MODALITIES
    wanted = features.max_tokens or 0
    if features.prompt_tokens + wanted > endpoint.context_length:
        return Constraint.CONTEXT_LENGTH
    if 0 < endpoint.max_prompt_tokens < features.prompt_tokens:
        return Constraint.CONTEXT_LENGTH
    if 0 < endpoint.max_completion_tokens < wanted:
        return Constraint.MAX_TOKENS
    if endpoint.is_opt_in and not _is_asked_for(endpoint, preferences):
        return Constraint.SERVICE_TIER
    return None


def _is_asked_for(endpoint: Endpoint, preferences: Preferences) -> bool:
    """Whether the caller names its tag (reference §1.7: base slugs do not match other tiers)."""
    return not (endpoint.names.isdisjoint(preferences.order) and endpoint.names.isdisjoint(preferences.only or ()))


def _dropped_by_preference(  # noqa: PLR0911 (one return per rule)
    endpoint: Endpoint, features: Features, preferences: Preferences
) -> Constraint | None:
    only = preferences.only
    if (only is not None and endpoint.names.isdisjoint(only)) or not endpoint.names.isdisjoint(preferences.ignore):
        return Constraint.ALLOWED_PROVIDERS
    if preferences.deny_data_collection and endpoint.provider.collects_data:
        return Constraint.TRAINING
    if preferences.zero_data_retention and not endpoint.provider.zero_data_retention:
        return Constraint.ZERO_DATA_RETENTION
    if preferences.quantizations and endpoint.quantization not in preferences.quantizations:
        return Constraint.QUANTIZATION
    if _is_too_dear(endpoint.price, preferences):
        return Constraint.MAX_PRICE
    if preferences.require_parameters and not supports(endpoint, features.parameters):
        return Constraint.REQUIRE_PARAMETERS
    return None


def _is_too_dear(price: Price, preferences: Preferences) -> bool:
    return (
        _exceeds(price.prompt, preferences.max_prompt_price)
        or _exceeds(price.completion, preferences.max_completion_price)
        or _exceeds(price.request, preferences.max_request_price)
    )


def _exceeds(price: int, bound: int | None) -> bool:
    return bound is not None and price > bound


def supports(endpoint: Endpoint, parameters: frozenset[str]) -> bool:
    """Whether it is known to take them all; the two names of the output limit are one parameter."""
    missing = parameters - endpoint.supported_parameters
    if not missing:
        return True
    limits = {"max_tokens", "max_completion_tokens"}
    return missing <= limits and not limits.isdisjoint(endpoint.supported_parameters)


def prefer_supporting(
    fitting: list[Endpoint], features: Features
) -> tuple[list[Endpoint], list[tuple[Endpoint, Constraint]]]:
    """The soft rule: of what passed the hard ones only those that support tools, if any does; then response formats.

    Never leaves nothing of something: where none supports it, the parameter is ignored.
    """
    dropped: list[tuple[Endpoint, Constraint]] = []
    for is_needed, parameter, constraint in (
        (features.uses_tools, "tools", Constraint.TOOLS),
        (features.uses_response_format, "response_format", Constraint.RESPONSE_FORMAT),
    ):
        if not is_needed:
            continue
        supporting = [one for one in fitting if parameter in one.supported_parameters]
        if supporting and len(supporting) < len(fitting):
            dropped += [(one, constraint) for one in fitting if parameter not in one.supported_parameters]
            fitting = supporting
    return fitting, dropped
