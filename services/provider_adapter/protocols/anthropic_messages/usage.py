"""Anthropic's token counts as disjoint classes that add up.

Owns the arithmetic: the provider counts cache reads and writes beside the input, chat counts them in the prompt.
Invariant: the last well-formed value of each count holds, nothing is summed over events.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_WRITES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""Cache writes by how long they are to hold."""


class Counts:
    """What a reply has said of its tokens so far."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def note(self, value: Any) -> None:
        """A `usage` object: of a whole message, of a stream's start or of its end."""
        if not isinstance(value, dict):
            return
        known = self._known
        by_time = value.get("cache_creation")
        if isinstance(by_time, Mapping):
            for name in _WRITES:
                count = _count(by_time.get(name))
                if count is not None and (count or name not in known):
                    known[name] = count
        for name in _COUNTS:
            count = _count(value.get(name))
            # Some hosts count at one end of a stream alone, and say zero at the other.
            if count is not None and (count or name not in known or name == "output_tokens"):
                known[name] = count
        tools = value.get("server_tool_use")
        searches = _count(tools.get("web_search_requests")) if isinstance(tools, dict) else None
        if searches:
            known["web_search_requests"] = searches
        details = value.get("output_tokens_details")
        thinking = _count(details.get("thinking_tokens")) if isinstance(details, dict) else None
        if thinking is not None:
            known["thinking_tokens"] = thinking

    def usage(self) -> Usage | None:
        """The counts; None while input or output is unknown."""
        known = self._known
        if "input_tokens" not in known or "output_tokens" not in known:
            return None
        read = known.get("cache_read_input_tokens", 0)
        for_an_hour = known.get("ephemeral_1h_input_tokens", 0)
        written = max(
            known.get("cache_creation_input_tokens", 0), for_an_hour + known.get("ephemeral_5m_input_tokens", 0)
        )
        output = known["output_tokens"]
        thinking = known.get("thinking_tokens", 0)
        return Usage(
            prompt_tokens=known["input_tokens"] + read + written,
            completion_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written - for_an_hour,
            reasoning_tokens=thinking if thinking <= output else 0,
            cache_write_1h_tokens=for_an_hour,
            web_searches=known.get("web_search_requests", 0),
        )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None
