"""Token counts of the chat format as disjoint classes.

Owns the arithmetic and the hosts' own names for the same counts. Does not judge plausibility against what was asked:
the edge does. Invariant: the classes never add up to more than the total they are parts of.

Rules: an object with a count that is negative, no integer or beyond 2^40 is no usage at all (the edge then counts for
itself). A detail that is malformed, or that no longer fits into its total, is left out; those that decide a price
(cache, reasoning) are fitted first. Audio that was read from the cache is reported as cache.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40


def usage_of(value: Any) -> Usage | None:
    """The counts in a `usage` object; None when there are none or they are malformed."""
    if not isinstance(value, dict):
        return None
    totals = _totals(value)
    if totals is None:
        return None
    prompt, completion = totals
    prompt_details = _object(value, "prompt_tokens_details")
    completion_details = _object(value, "completion_tokens_details")
    reasoning = _count(completion_details.get("reasoning_tokens")) or _count(value.get("reasoning_tokens")) or 0
    if reasoning and value.get("total_tokens") == prompt + completion + reasoning:
        # xAI counts reasoning beside the completion (wire facts §7, §9.9).
        completion += reasoning
    cached = _first(
        prompt_details.get("cached_tokens"), value.get("cached_tokens"), value.get("prompt_cache_hit_tokens")
    )
    written = _first(prompt_details.get("cache_write_tokens"), prompt_details.get("cache_creation_tokens"))
    cached, written, prompt_audio, prompt_image = _fit(
        prompt,
        cached,
        written,
        _first(prompt_details.get("audio_tokens")),
        _first(prompt_details.get("image_tokens")),
    )
    reasoning, completion_audio, completion_image = _fit(
        completion,
        reasoning,
        _first(completion_details.get("audio_tokens")),
        _first(completion_details.get("image_tokens")),
    )
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        prompt_audio_tokens=prompt_audio,
        completion_audio_tokens=completion_audio,
        prompt_image_tokens=prompt_image,
        completion_image_tokens=completion_image,
        web_searches=_searches(value),
    )


def _searches(value: Mapping[str, Any]) -> int:
    """Of gateways, under either name of theirs, and of Perplexity."""
    tools = _object(value, "server_tool_use_details") or _object(value, "server_tool_use")
    return _first(tools.get("web_search_requests"), value.get("num_search_queries"))


def _totals(value: Mapping[str, Any]) -> tuple[int, int] | None:
    """Prompt and completion; one may be missing if the grand total says what it is."""
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens")
    total = _count(value.get("total_tokens"))
    if prompt is None and completion is None:
        return None
    if completion is None and total is not None:
        known = _count(prompt)
        completion = None if known is None else total - known
    elif prompt is None and total is not None:
        known = _count(completion)
        prompt = None if known is None else total - known
    prompt, completion = _count(prompt), _count(completion)
    return None if prompt is None or completion is None else (prompt, completion)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def _first(*values: Any) -> int:
    return next((count for count in map(_count, values) if count), 0)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _fit(total: int, *parts: int) -> list[int]:
    fitted = []
    for part in parts:
        kept = part if part <= total else 0
        total -= kept
        fitted.append(kept)
    return fitted
