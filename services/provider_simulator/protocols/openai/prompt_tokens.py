"""Counts a request's prompt tokens by OpenAI's published formula for chat.

3 tokens for each message, its role and its content; 1 and the name for each name; 3 to prime the answer; tools and tool
calls as their JSON text; 85 for each image, sound or file. Invariant: what is counted is what was sent, directive and
all, for that is what a real provider would charge.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

_PER_MESSAGE = 3
_PER_NAME = 1
_PRIMING = 3
_PER_ATTACHMENT = 85


class CountsText(Protocol):
    def count(self, text: str) -> int: ...


def prompt_tokens(messages: Sequence[Mapping[str, Any]], tools: Any, counter: CountsText) -> int:
    """The tokens of checked messages and of the tools as they were sent."""
    total = _PRIMING + sum(_message_tokens(message, counter) for message in messages)
    return total + counter.count(_json_text(tools)) if tools else total


def _message_tokens(message: Mapping[str, Any], counter: CountsText) -> int:
    total = _PER_MESSAGE + counter.count(message["role"])
    content = message.get("content")
    if isinstance(content, str):
        total += counter.count(content)
    elif content is not None:
        total += sum(_part_tokens(part, counter) for part in content)
    if message.get("name") is not None:
        total += _PER_NAME + counter.count(message["name"])
    if message.get("tool_calls"):
        total += counter.count(_json_text(message["tool_calls"]))
    return total


def _part_tokens(part: Mapping[str, Any], counter: CountsText) -> int:
    kind = part["type"]
    return counter.count(part[kind]) if kind in {"text", "refusal"} else _PER_ATTACHMENT


def _json_text(value: Any) -> str:
    return orjson.dumps(value).decode()
