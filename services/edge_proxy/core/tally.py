"""What was relayed of a reply, kept so that its tokens can be counted here if nobody else counts them.

Owns the relayed bytes of one generation. Does not decide whether a local count is used.
Invariant: memory is bounded; bytes beyond the bound are counted and forgotten.
"""

from typing import Final

import orjson

from libs.tokens import TokenCounter

_KEEP_BYTES: Final = 65_536


class Tally:
    """Counts bytes always, tokens only when asked or when the kept bytes grow too many."""

    __slots__ = ("_counter", "_kept", "_kept_bytes", "_tokens", "total_bytes")

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._tokens = 0
        self.total_bytes = 0

    def add(self, events: bytes) -> None:
        """Takes finished server-sent events in the chat dialect."""
        self._kept.append(events)
        self._kept_bytes += len(events)
        self.total_bytes += len(events)
        if self._kept_bytes > _KEEP_BYTES:
            self._tokens = self.tokens()
            self._kept.clear()
            self._kept_bytes = 0

    def tokens(self) -> int:
        """Completion tokens of everything taken so far: one delta is at least one token."""
        return self._tokens + sum(self._count(events) for events in self._kept)

    def _count(self, events: bytes) -> int:
        total = 0
        for line in events.split(b"\n"):
            if not line.startswith(b"data: {"):
                continue
            for choice in orjson.loads(line[6:]).get("choices", ()):
                total += count_message(choice.get("delta") or {}, self._counter)
        return total


def count_reply(reply: bytes, counter: TokenCounter) -> int:
    """Completion tokens of a whole non-stream reply in the chat dialect."""
    choices = orjson.loads(reply).get("choices", ())
    return sum(count_message(choice.get("message") or {}, counter) for choice in choices)


def count_message(message: dict[str, object], counter: TokenCounter) -> int:
    """Tokens of one message or delta: content, reasoning, refusal, and tool calls."""
    total = 0
    for name in ("content", "reasoning", "refusal"):
        text = message.get(name)
        if isinstance(text, str) and text:
            total += counter.count(text)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        for name in ("name", "arguments"):
            text = function.get(name) if isinstance(function, dict) else None
            if isinstance(text, str) and text:
                total += counter.count(text)
    return total
