"""GigaChat's counts.

Owns the arithmetic: `prompt_tokens` leaves out what was read from the cache, `precached_prompt_tokens`. Does not estimate.
Invariant: counts that are malformed are as if absent.

Sources: GigaChat's documentation as public clients read it (LiteLLM's `gigachat/utils.py` adds the two; the SDK's
`LegacyUsage` names them). Embeddings carry a count per vector (the SDK's `EmbeddingsUsage`).
"""

from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40


def usage_of(value: Any) -> Usage | None:
    """The counts of a `usage` object; None where they are not whole."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = _count(value.get("precached_prompt_tokens")) or 0
    return Usage(prompt + cached, completion, cache_read_tokens=cached)


def usage_of_inputs(data: Any) -> Usage | None:
    """The tokens of all inputs; None if one is not counted."""
    total = 0
    for one in data if isinstance(data, list) else ():
        counts = one.get("usage") if isinstance(one, dict) else None
        count = _count(counts.get("prompt_tokens")) if isinstance(counts, dict) else None
        if count is None:
            return None
        total += count
    return Usage(total, 0) if total else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None
