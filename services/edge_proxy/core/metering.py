"""What a generation is charged: the provider's figures or our own count, checked against what was seen.

Owns zero-completion insurance (where text is asked for), the review of absurd usage, and the local count. `libs.pricing` owns the arithmetic.
Invariant: nothing absurd and nothing empty is ever charged.
"""

from dataclasses import dataclass
from enum import Enum

from libs.pricing import FREE, Charge, Prices, Units, charge

PROMPT_SLACK_TOKENS = 4_096
"""Templates and hidden system prompts may add this many tokens to a prompt of text before it counts as absurd."""
OUTPUT_SLACK_TOKENS = 16
"""Providers may overshoot `max_tokens` by a stop token or so."""

SEARCH_SLACK = 8
"""How many times more searches a provider may count than we do: it may cut documents into smaller pieces."""


class Source(Enum):
    PROVIDER = "provider"
    COUNTED = "counted"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Seen:
    """What this process itself saw of the generation.

    Attributes:
        completes: text was asked for, so that none of it is an empty completion.
        search_units: as estimated from the request; 0: it was no search.
    """

    prompt_bytes: int
    reply_bytes: int
    text_only: bool
    max_tokens: int | None
    finish_reason: str
    completes: bool = True
    search_units: int = 0


@dataclass(frozen=True, slots=True)
class Metered:
    units: Units
    source: Source
    charge: Charge
    review_reason: str = ""


NOTHING = Metered(Units(0, 0), Source.NONE, FREE)


def meter(units: Units, source: Source, prices: Prices, seen: Seen) -> Metered:
    """Decides the charge of a generation whose reply came to its end, or whose caller went away."""
    try:
        lines = charge(units, prices)
    except ValueError:
        return Metered(units, source, FREE, "token_counts_contradict")
    if seen.completes and is_zero_completion(units, seen.finish_reason):
        return Metered(units, source, FREE)
    reason = absurdity(units, seen) if source is Source.PROVIDER else ""
    return Metered(units, source, FREE, reason) if reason else Metered(units, source, lines)


def is_zero_completion(units: Units, finish_reason: str) -> bool:
    """No completion tokens and no finish reason, or an error finish (reference behaviour-facts §6): not charged."""
    return (units.completion_tokens == 0 and not finish_reason) or finish_reason == "error"


def absurdity(units: Units, seen: Seen) -> str:
    """Why figures of a provider cannot be true; empty when they can."""
    visible = units.completion_tokens - units.reasoning_tokens
    if visible > seen.reply_bytes:
        return "completion_tokens_exceed_bytes"
    if seen.max_tokens is not None and units.completion_tokens > seen.max_tokens + OUTPUT_SLACK_TOKENS:
        return "completion_tokens_exceed_max_tokens"
    if seen.text_only and units.prompt_tokens > seen.prompt_bytes + PROMPT_SLACK_TOKENS:
        return "prompt_tokens_exceed_bytes"
    if units.search_units > SEARCH_SLACK * seen.search_units:
        return "search_units_exceed_documents"
    return ""
