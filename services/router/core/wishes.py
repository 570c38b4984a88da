"""What a request needs and what its caller prefers, as a plan takes them.

Owns these two shapes. Does not judge endpoints (constraints.py does). Invariant: names are in lower case already.
"""

from enum import StrEnum
from typing import NamedTuple

from services.router.core.vocabulary import CHAT


class Sort(StrEnum):
    """How to rank instead of drawing by price."""

    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"


class Features(NamedTuple):
    """What the request needs; never its content."""

    prompt_tokens: int = 0
    max_tokens: int | None = None
    uses_tools: bool = False
    uses_response_format: bool = False
    parameters: frozenset[str] = frozenset()
    """Those of `catalogue.PARAMETERS` that the caller set."""
    input_modalities: frozenset[str] = frozenset()
    """Beyond text."""
    operation: str = CHAT


class Preferences(NamedTuple):
    """The `provider` object of a request (reference behaviour-facts §1.2); the defaults bind nothing."""

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


NO_PREFERENCES = Preferences()
