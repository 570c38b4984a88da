"""Replies and events of the chat dialect as text completions (reference api-facts §3.2).

Owns that translation of ready-made JSON. Does not know sockets. Invariant: what was charged, by whom it was served and
how it ended says the same in both dialects.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

OBJECT: Final = "text_completion"
_DATA: Final = b"data: "
_END: Final = b"\n\n"
_USAGE: Final = b'"usage":{'
_OPENING: Final = ord("{")
_CLOSING: Final = ord("}")


def whole_completion(reply: bytes, echo: str = "") -> bytes:
    """A whole chat reply as a text completion whose texts begin with `echo`."""
    source = orjson.loads(reply)
    texts = _Texts(echo)
    choices = [texts.choice(choice, choice.get("message") or {}) for choice in source.get("choices", ())]
    return orjson.dumps({**source, "object": OBJECT, "choices": choices, "usage": _as_written(reply)})


class CompletionEvents:
    """The events of one stream; whole events come in and go out."""

    def __init__(self, echo: str = "") -> None:
        self._texts = _Texts(echo)

    def convert(self, events: bytes) -> bytes:
        """What remains of them: an event that tells nothing in this dialect is left out."""
        return b"".join(map(self._event, events.split(_END)))

    def _event(self, event: bytes) -> bytes:
        if not event.startswith(_DATA + b"{"):
            return event + _END if event else b""
        chunk = orjson.loads(event[len(_DATA) :])
        told = "usage" in chunk or "error" in chunk
        choices = [self._texts.choice(choice, choice.get("delta") or {}) for choice in chunk.get("choices", ())]
        if not told and not any(_tells(choice) for choice in choices):
            return b""
        converted = {**chunk, "object": OBJECT, "choices": choices}
        if "usage" in chunk:
            converted["usage"] = _as_written(event)
        return b"".join((_DATA, orjson.dumps(converted), _END))


class _Texts:
    """What has been said of each choice so far."""

    def __init__(self, echo: str) -> None:
        self._echo = echo
        self._offsets: dict[int, int] = {}

    def choice(self, choice: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
        index = choice.get("index", 0)
        text = message.get("content") or ""
        offset = self._offsets.get(index)
        if offset is None:
            offset, text = len(self._echo), self._echo + text
            self._offsets[index] = len(text)
        else:
            self._offsets[index] = offset + len(text)
        finish = choice.get("finish_reason")
        converted = {
            "text": text,
            "index": index,
            "logprobs": _logprobs(choice.get("logprobs"), offset),
            "finish_reason": "stop" if finish == "tool_calls" else finish,
            "native_finish_reason": choice.get("native_finish_reason"),
        }
        if message.get("reasoning"):
            converted["reasoning"] = message["reasoning"]
        return converted


def _tells(choice: Mapping[str, Any]) -> bool:
    return bool(choice["text"] or choice["finish_reason"] or choice.get("reasoning") or choice["logprobs"])


def _logprobs(value: Any, offset: int) -> dict[str, Any] | None:
    """Chat's list of tokens in the legacy columns; a provider that completes natively has columns already."""
    if not isinstance(value, dict):
        return None
    tokens = value.get("content")
    if not isinstance(tokens, list):
        return value if "tokens" in value else None
    columns: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in tokens:
        columns["tokens"].append(token.get("token"))
        columns["token_logprobs"].append(token.get("logprob"))
        columns["top_logprobs"].append(
            {one.get("token"): one.get("logprob") for one in token.get("top_logprobs") or ()}
        )
        columns["text_offset"].append(offset)
        offset += len(token.get("token") or "")
    return columns


def _as_written(reply: bytes) -> orjson.Fragment:
    """The `usage` of a reply of ours as it stands there: its decimals must not pass through a float.

    It is an object of numbers, so braces tell where it ends.
    """
    start = reply.rindex(_USAGE) + len(_USAGE) - 1
    depth = 0
    for end, byte in enumerate(reply[start:], start + 1):
        depth += (byte == _OPENING) - (byte == _CLOSING)
        if not depth:
            return orjson.Fragment(reply[start:end])
    raise ValueError("usage does not end")
