"""Oracle's counts.

Owns the arithmetic: where the total is more than prompt and completion, thoughts were left out of the completion. Does not
estimate. Invariant: counts that are malformed are as if absent.

Sources: Oracle's SDK (`Usage`, `CompletionTokensDetails`, `PromptTokensDetails`); replies of real models in the tests of
NVIDIA's codec (13 + 8 make 607 in all, 586 of them thoughts); `EmbedTextResult`.
"""

from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40


def usage_of(value: Any) -> Usage | None:
    """The counts of a `usage` object; None where they are not whole."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value.get("promptTokens")), _count(value.get("completionTokens"))
    total = _count(value.get("totalTokens"))
    if prompt is None or (completion is None and total is None):
        return None
    completion = max(completion or 0, (total or 0) - prompt)
    reasoning = _within(value.get("completionTokensDetails"), "reasoningTokens", completion)
    cached = _within(value.get("promptTokensDetails"), "cachedTokens", prompt)
    return Usage(prompt, completion, cache_read_tokens=cached, reasoning_tokens=reasoning)


def usage_of_inputs(reply: Any) -> Usage | None:
    """The tokens of all inputs, together or one by one."""
    usage = reply.get("usage")
    told = _count(usage.get("promptTokens")) if isinstance(usage, dict) else None
    if told is not None:
        return Usage(told, 0)
    listed = reply.get("inputTextTokenCounts")
    counts = [_count(one) for one in listed] if isinstance(listed, list) else []
    known = [count for count in counts if count is not None]
    return Usage(sum(known), 0) if known and len(known) == len(counts) else None


def _within(details: Any, name: str, most: int) -> int:
    count = _count(details.get(name)) if isinstance(details, dict) else None
    return min(count or 0, most)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None
