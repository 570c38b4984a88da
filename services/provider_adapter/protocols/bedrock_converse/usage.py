"""Bedrock's token counts as disjoint classes that add up.

Owns the arithmetic: the provider counts cache reads and writes beside the input, chat counts them in the prompt
(wire facts §6). Invariant: malformed counts are as if absent.
"""

from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40


def usage_of(value: Any) -> Usage | None:
    """The counts in a `usage`; None when input or output is unknown."""
    if type(value) is not dict:
        return None
    given, produced = _count(value.get("inputTokens")), _count(value.get("outputTokens"))
    if given is None or produced is None:
        return None
    read = _count(value.get("cacheReadInputTokens")) or 0
    written = _count(value.get("cacheWriteInputTokens")) or 0
    for_an_hour = min(_written_for_an_hour(value.get("cacheDetails")), written)
    return Usage(given + read + written, produced, read, written - for_an_hour, cache_write_1h_tokens=for_an_hour)


def _written_for_an_hour(details: Any) -> int:
    """Of the writes, which `cacheDetails` lists by how long they are to hold."""
    if not isinstance(details, list):
        return 0
    return sum(
        _count(one.get("inputTokens")) or 0 for one in details if isinstance(one, dict) and one.get("ttl") == "1h"
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None
