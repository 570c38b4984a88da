"""Cohere's two ways of counting, as one that a bill can rest on.

Owns the choice: `billed_units` is what the provider charges for; `tokens` counts the template of the prompt as well,
which nobody pays for, and `cached_tokens` are a part of those. Invariant: all counts of one reply are of one measure.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40


def usage_of(value: Any) -> Usage | None:
    """The counts of a `usage` object: as billed, else as counted; None where neither is whole."""
    if not isinstance(value, dict):
        return None
    tokens = _mapping(value.get("tokens"))
    billed = _mapping(value.get("billed_units"))
    reasoning = count_in(tokens, "reasoning_tokens") or count_in(value, "reasoning_tokens") or 0
    prompt, completion = count_in(billed, "input_tokens"), count_in(billed, "output_tokens")
    if prompt is not None and completion is not None:
        return Usage(prompt, completion, reasoning_tokens=min(reasoning, completion))
    prompt, completion = count_in(tokens, "input_tokens"), count_in(tokens, "output_tokens")
    if prompt is None or completion is None:
        return None
    cached = count_in(value, "cached_tokens") or 0
    return Usage(
        prompt,
        completion,
        cache_read_tokens=cached if cached <= prompt else 0,
        reasoning_tokens=min(reasoning, completion),
    )


def count_in(holder: Mapping[str, Any], name: str) -> int | None:
    """A count; the provider writes some of them as 13.0."""
    value = holder.get(name)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
