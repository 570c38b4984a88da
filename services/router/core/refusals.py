"""The error of a plan that is empty: what emptied it, in the words of the public API (reference behaviour-facts §5.4).

Owns these words. Does not decide whether a plan is empty. Invariant: the constraint that is named is one that dropped the
endpoint which came furthest.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from libs.errors import AppError, Kind
from services.router.core.catalogue import Endpoint, Model
from services.router.core.constraints import DEPTH, PRIVACY, Constraint
from services.router.core.explanation import detail
from services.router.core.names import shown
from services.router.core.wishes import Wishes

_FIELDS: Final[Mapping[Constraint, str]] = {
    Constraint.OPERATION: "model",
    Constraint.ACCOUNT_MODELS: "account.allowed_models",
    Constraint.ACCOUNT_PROVIDERS: "account.allowed_providers",
    Constraint.DATA_REGION: "account.region",
    Constraint.DISTILLABLE: "provider.enforce_distillable_text",
    Constraint.ALLOWED_PROVIDERS: "provider.only",
    Constraint.TRAINING: "provider.data_collection",
    Constraint.ZERO_DATA_RETENTION: "provider.zdr",
    Constraint.QUANTIZATION: "provider.quantizations",
    Constraint.MAX_PRICE: "provider.max_price",
    Constraint.REQUIRE_PARAMETERS: "provider.require_parameters",
    Constraint.INPUT_MODALITIES: "messages",
    Constraint.OUTPUT_MODALITIES: "modalities",
    Constraint.WEB_SEARCH: "model",
    Constraint.CONTEXT_LENGTH: "messages",
    Constraint.MAX_TOKENS: "max_tokens",
    Constraint.SERVICE_TIER: "service_tier",
    Constraint.ALLOW_FALLBACKS: "provider.allow_fallbacks",
    Constraint.OWN_CREDENTIAL: "account.credentials",
}


def no_endpoints(
    names: Sequence[str], models: Sequence[Model], dropped: Sequence[tuple[Endpoint, Constraint]], wishes: Wishes
) -> AppError:
    """What to say of a plan without an attempt."""
    listed = ", ".join(shown(name) for name in names)
    metadata = {"requested_models": ",".join(shown(name) for name in names)}
    if not dropped:
        ended = all(model.has_ended for model in models)
        metadata["availability"] = "model_deprecated" if ended else "no_endpoints"
        why = f"{listed} has been withdrawn by all of its providers." if ended else f"No endpoints found for {listed}."
        return AppError(Kind.MISSING, "NO_ENDPOINTS", why, metadata)
    constraints = list(dict.fromkeys(constraint for _, constraint in dropped))
    endpoint, decisive = max(dropped, key=lambda one: DEPTH[one[1]])
    metadata["constraint_field"] = _FIELDS.get(decisive, "provider")
    metadata["constraint_detail"] = detail(endpoint, decisive, wishes)
    if constraints == [Constraint.OPERATION]:
        metadata["availability"] = "wrong_endpoint"
        message = f"{listed} cannot be used here: it does not do {wishes.features.operation}."
        return AppError(Kind.INVALID, "WRONG_ENDPOINT", message, metadata)
    metadata["excluded_by"] = ",".join(constraints)
    if constraints == [Constraint.DATA_REGION]:
        metadata["availability"] = "region_restricted"
        message = f"No endpoints of {listed} are in the region of this account."
        return AppError(Kind.FORBIDDEN, "REGION_RESTRICTED", message, metadata)
    metadata["availability"] = "privacy_restricted" if PRIVACY.issuperset(constraints) else "constraint_filtered"
    message = f"No endpoints of {listed} fit this request; all were excluded by: {', '.join(constraints)}."
    if Constraint.CONTEXT_LENGTH in constraints:
        longest = max(one.context_length for one, _ in dropped)
        wanted = wishes.features.prompt_tokens + (wishes.features.max_tokens or 0)
        message += f" The maximum context length is {longest} tokens; about {wanted} were asked for."
    return AppError(Kind.MISSING, "NO_ENDPOINTS", message, metadata)
