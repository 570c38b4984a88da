"""What a request needs, what its caller prefers and what its account allows, as a plan takes them.

Owns these shapes. Does not judge endpoints (constraints.py does). Invariant: names are in lower case already.
"""

from enum import StrEnum
from typing import NamedTuple

from services.router.core.vocabulary import CHAT


class Sort(StrEnum):
    """How to rank instead of drawing by price."""

    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    EXACTO = "exacto"


class Features(NamedTuple):
    """What the request needs; never its content.

    Attributes:
        parameters: those of `vocabulary.PARAMETERS` that the caller set.
        input_modalities: beyond text.
        output_modalities: beyond text.
        session_key: the same for all requests of one conversation of one account; empty: nothing ties this one to others.
        names_session: the caller itself named the conversation.
        service_tier: flex or priority; empty: the usual one.
    """

    prompt_tokens: int = 0
    max_tokens: int | None = None
    uses_tools: bool = False
    uses_response_format: bool = False
    parameters: frozenset[str] = frozenset()
    input_modalities: frozenset[str] = frozenset()
    operation: str = CHAT
    output_modalities: frozenset[str] = frozenset()
    uses_json_schema: bool = False
    session_key: str = ""
    service_tier: str = ""
    searches_web: bool = False
    names_session: bool = False


class CutOffs(NamedTuple):
    """Bounds on percentiles, all of which must hold; None does not bind."""

    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


class Preferences(NamedTuple):
    """The `provider` object of a request (reference behaviour-facts §1.2); the defaults bind nothing.

    Attributes:
        over_all_models: one ranking over all models of the request, not model after model.
        min_throughput: completion tokens per second.
        max_latency: seconds to the first event.
        tiers: service tiers whose endpoints may be planned beside the usual ones.
    """

    order: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    allow_fallbacks: bool = True
    sort: Sort | None = None
    require_parameters: bool = False
    deny_data_collection: bool = False
    zero_data_retention: bool = False
    quantizations: frozenset[str] = frozenset()
    max_prompt_price: int | None = None
    max_completion_price: int | None = None
    max_request_price: int | None = None
    max_image_price: int | None = None
    max_audio_price: int | None = None
    over_all_models: bool = False
    min_throughput: CutOffs | None = None
    max_latency: CutOffs | None = None
    distillable_only: bool = False
    tiers: frozenset[str] = frozenset()


NO_PREFERENCES = Preferences()


class Policy(NamedTuple):
    """What the account, its organisation and its guardrails allow: an outer bound of every preference.

    Attributes:
        allowed_models: slugs in which `*` stands for anything.
        region: only endpoints there; empty: anywhere.
    """

    allowed_providers: frozenset[str] | None = None
    ignored_providers: frozenset[str] = frozenset()
    allowed_models: tuple[str, ...] | None = None
    ignored_models: tuple[str, ...] = ()
    zero_data_retention: bool = False
    deny_training: bool = False
    default_model: str = ""
    region: str = ""


NO_POLICY = Policy()


class OwnCredential(NamedTuple):
    """A credential that the account brought for a provider (BYOK), without its secret (reference §19).

    Attributes:
        is_fallback: tried after the platform's own capacity, not before it.
        always_use: the platform's own capacity of this provider is never used.
        allowed_models: slugs; empty: all.
    """

    id: str
    provider_slug: str
    is_fallback: bool = False
    always_use: bool = False
    allowed_models: frozenset[str] = frozenset()
    sort_order: int = 0


class RouterOptions(NamedTuple):
    """How a router model chooses (reference §1.5); patterns are slugs in which `*` stands for anything."""

    allowed_models: tuple[str, ...] = ()
    excluded_models: tuple[str, ...] = ()
    cost_tier: str = ""
    pinned_model: str = ""


NO_OPTIONS = RouterOptions()


class Wishes(NamedTuple):
    """Everything that is said of one request; `models` in the order in which they are to be tried."""

    models: tuple[str, ...]
    features: Features = Features()
    preferences: Preferences = NO_PREFERENCES
    policy: Policy = NO_POLICY
    credentials: tuple[OwnCredential, ...] = ()
    router: RouterOptions = NO_OPTIONS
