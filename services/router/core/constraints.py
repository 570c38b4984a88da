"""Whether an endpoint may serve a request at all, and if not, what forbids it.

Owns the hard rules of reference behaviour-facts §1.2, and the soft ones for tools, response formats and verbosity. Does
not rank. Invariant: each rule looks at one endpoint alone, so another hard constraint never lets an endpoint in.
"""

from collections.abc import Sequence
from enum import StrEnum

from services.router.core.catalogue import Endpoint, Price
from services.router.core.vocabulary import CHAT, COMPLETIONS
from services.router.core.wishes import NO_POLICY, NO_PREFERENCES, Features, Policy, Preferences


class Constraint(StrEnum):
    """What dropped an endpoint, in the order in which the rules are asked; public names (reference §5.4) where there are."""

    OPERATION = "operation"
    ACCOUNT_MODELS = "account_models"
    ACCOUNT_PROVIDERS = "account_providers"
    DATA_REGION = "data_region"
    DISTILLABLE = "enforce_distillable_text"
    ALLOWED_PROVIDERS = "allowed_providers"
    TRAINING = "data_policy:training"
    ZERO_DATA_RETENTION = "data_policy:zdr"
    QUANTIZATION = "quantization"
    MAX_PRICE = "max_price"
    REQUIRE_PARAMETERS = "require_parameters"
    INPUT_MODALITIES = "input_modalities"
    OUTPUT_MODALITIES = "output_modalities"
    WEB_SEARCH = "web_search"
    SERVICE_TIER = "service_tier"
    CONTEXT_LENGTH = "context_length"
    MAX_TOKENS = "max_tokens"
    TOOLS = "tools"
    RESPONSE_FORMAT = "response_format"
    STRUCTURED_OUTPUTS = "structured_outputs"
    VERBOSITY = "verbosity"
    ALLOW_FALLBACKS = "allow_fallbacks"
    OWN_CREDENTIAL = "own_credential_only"
    ATTEMPT_LIMIT = "attempt_limit"
    """It would be tried after so many others that nobody waits for it."""


PRIVACY = frozenset({Constraint.TRAINING, Constraint.ZERO_DATA_RETENTION})
DEPTH = {constraint: place for place, constraint in enumerate(Constraint)}
"""How far an endpoint came before this rule dropped it."""


Dropped = list[tuple[Endpoint, "Constraint"]]


def divide(
    endpoints: Sequence[Endpoint], features: Features, preferences: Preferences, policy: Policy = NO_POLICY
) -> tuple[list[Endpoint], Dropped]:
    """Those that no hard rule forbids, and the others, each with the first that does.

    Most requests ask for nothing but an operation and room; for them one look at each endpoint stands for all rules.
    """
    is_plain = (
        policy is NO_POLICY
        and preferences is NO_PREFERENCES
        and not (features.input_modalities or features.searches_web)
    )
    operation, prompt, wanted = features.operation, features.prompt_tokens, features.max_tokens or 0
    room = prompt + wanted
    fitting: list[Endpoint] = []
    dropped: Dropped = []
    for one in endpoints:
        if (
            is_plain
            and operation in one.serves
            and not one.is_opt_in
            and room <= one.context_length
            and (prompt <= one.max_prompt_tokens or not one.max_prompt_tokens)
            and (wanted <= one.max_completion_tokens or not one.max_completion_tokens)
        ):
            fitting.append(one)
            continue
        constraint = dropped_by(one, features, preferences, policy)
        if constraint is None:
            fitting.append(one)
        else:
            dropped.append((one, constraint))
    return fitting, dropped


def dropped_by(  # noqa: PLR0911 (one return per rule)
    endpoint: Endpoint, features: Features, preferences: Preferences, policy: Policy = NO_POLICY
) -> Constraint | None:
    """The first hard rule that forbids this endpoint, or None."""
    if features.operation not in endpoint.serves and not _chats_instead(endpoint, features):
        return Constraint.OPERATION
    if policy is not NO_POLICY:
        constraint = _dropped_by_policy(endpoint, policy)
        if constraint is not None:
            return constraint
    if preferences is not NO_PREFERENCES:
        constraint = _dropped_by_preference(endpoint, features, preferences)
        if constraint is not None:
            return constraint
    if features.input_modalities and not features.input_modalities <= endpoint.input_modalities:
        return Constraint.INPUT_MODALITIES
    if features.searches_web and "web_search_options" not in endpoint.supported_parameters:
        return Constraint.WEB_SEARCH
    if endpoint.is_opt_in and not _is_asked_for(endpoint, preferences):
        return Constraint.SERVICE_TIER
    return _dropped_by_size(endpoint, features)


def _dropped_by_size(endpoint: Endpoint, features: Features) -> Constraint | None:
    wanted = features.max_tokens or 0
    if features.prompt_tokens + wanted > endpoint.context_length:
        return Constraint.CONTEXT_LENGTH
    if 0 < endpoint.max_prompt_tokens < features.prompt_tokens:
        return Constraint.CONTEXT_LENGTH
    if 0 < endpoint.max_completion_tokens < wanted:
        return Constraint.MAX_TOKENS
    return None


def _dropped_by_policy(endpoint: Endpoint, policy: Policy) -> Constraint | None:
    names = endpoint.provider_names
    allowed = policy.allowed_providers
    if (allowed is not None and names.isdisjoint(allowed)) or not names.isdisjoint(policy.ignored_providers):
        return Constraint.ACCOUNT_PROVIDERS
    if policy.region and endpoint.region != policy.region:
        return Constraint.DATA_REGION
    if policy.deny_training and endpoint.provider.collects_data:
        return Constraint.TRAINING
    if policy.zero_data_retention and not endpoint.provider.zero_data_retention:
        return Constraint.ZERO_DATA_RETENTION
    return None


def _chats_instead(endpoint: Endpoint, features: Features) -> bool:
    """A prompt to complete can be put to a model that chats (reference §0, `/completions`)."""
    return features.operation == COMPLETIONS and CHAT in endpoint.serves


def _is_asked_for(endpoint: Endpoint, preferences: Preferences) -> bool:
    """Whether the caller names its tier or its tag (reference §1.7: base slugs do not match other tiers)."""
    if endpoint.service_tier in preferences.tiers:
        return True
    return not (endpoint.names.isdisjoint(preferences.order) and endpoint.names.isdisjoint(preferences.only or ()))


def _dropped_by_preference(  # noqa: PLR0911 (one return per rule)
    endpoint: Endpoint, features: Features, preferences: Preferences
) -> Constraint | None:
    names = endpoint.names
    if endpoint.is_opt_in and endpoint.service_tier in preferences.tiers:
        # Its tier was asked for by itself: then its provider may be named without the tier.
        names = names | endpoint.provider_names
    only = preferences.only
    if (only is not None and names.isdisjoint(only)) or not names.isdisjoint(preferences.ignore):
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
    if (
        _exceeds(price.prompt, preferences.max_prompt_price)
        or _exceeds(price.completion, preferences.max_completion_price)
        or _exceeds(price.request, preferences.max_request_price)
    ):
        return True
    if preferences.max_image_price is None and preferences.max_audio_price is None:
        return False
    others = dict(price.others)
    return _exceeds(others.get("image", 0), preferences.max_image_price) or _exceeds(
        others.get("audio", 0), preferences.max_audio_price
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


def prefer_supporting(fitting: list[Endpoint], features: Features) -> tuple[list[Endpoint], Dropped]:
    """The soft rules: of what passed the hard ones only those that support tools, if any does; then response formats, …

    Never leaves nothing of something: where none supports it, the parameter is ignored.
    """
    dropped: Dropped = []
    for is_needed, parameter, constraint in (
        (features.uses_tools, "tools", Constraint.TOOLS),
        (features.uses_response_format, "response_format", Constraint.RESPONSE_FORMAT),
        (features.uses_json_schema, "structured_outputs", Constraint.STRUCTURED_OUTPUTS),
        ("verbosity" in features.parameters, "verbosity", Constraint.VERBOSITY),
    ):
        if not is_needed:
            continue
        supporting = [one for one in fitting if parameter in one.supported_parameters]
        if supporting and len(supporting) < len(fitting):
            dropped += [(one, constraint) for one in fitting if parameter not in one.supported_parameters]
            fitting = supporting
    return fitting, dropped


def of_flex_tier(endpoints: list[Endpoint]) -> tuple[list[Endpoint], Dropped]:
    """Flex means flex alone, unless the model has no such endpoint (reference §1.7)."""
    flex = [one for one in endpoints if one.service_tier == "flex"]
    if not flex:
        return endpoints, []
    return flex, [(one, Constraint.SERVICE_TIER) for one in endpoints if one.service_tier != "flex"]
