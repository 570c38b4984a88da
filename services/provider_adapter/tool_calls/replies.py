"""The tool calls of a reply, out of the finished chunks or the finished object that callers get.

Owns finding them and putting their pieces together. Does not judge them (judge.py does). Invariant: memory is bounded
whatever the reply; bytes without calls cost one search.

Only the first choice is looked at: its finish reason is the one that tells whether the reply was cut short.
"""

from typing import Any, Final, NamedTuple

import orjson

MOST_CALLS: Final = 64
MOST_ARGUMENT_CHARACTERS: Final = 256 * 1024
_MOST_READ_AT_ONCE: Final = 512 * 1024
_MARK: Final = b'"tool_calls":['
"""As every format's chunks are written; inside a text its quotes would be escaped."""
_EVENT: Final = b"data: "
_END: Final = b"\n\n"


class Call(NamedTuple):
    """Arguments as text, in JSON if all is well."""

    name: str
    arguments: str


class ReplyCalls:
    """Calls as they come.

    Attributes:
        is_too_much: there was more than is looked at; what was kept is not the whole.
    """

    __slots__ = ("_arguments", "_left", "_names", "is_too_much")

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._arguments: dict[int, list[str]] = {}
        self._left = MOST_ARGUMENT_CHARACTERS
        self.is_too_much = False

    def __bool__(self) -> bool:
        return bool(self._names) or self.is_too_much

    def feed(self, sse: bytes) -> None:
        """Takes finished events, as many as came at once."""
        if _MARK not in sse or self._is_beyond(len(sse)):
            return
        for event in sse.split(_END) if sse.count(_END) > 1 else (sse,):
            if _MARK in event and event.startswith(_EVENT):
                self._take_message(_message_of(event[len(_EVENT) :], "delta"))

    def read(self, reply: bytes) -> None:
        """Takes a whole reply."""
        if _MARK in reply and not self._is_beyond(len(reply)):
            self._take_message(_message_of(reply, "message"))

    def all(self) -> list[Call]:
        """Those of functions, in their order; calls of other kinds of tools are nobody's to judge."""
        return [Call(name, "".join(self._arguments[place])) for place, name in sorted(self._names.items())]

    def _is_beyond(self, size: int) -> bool:
        self.is_too_much = self.is_too_much or size > _MOST_READ_AT_ONCE
        return self.is_too_much

    def _take_message(self, message: Any) -> None:
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        if not isinstance(calls, list):
            return
        for position, call in enumerate(calls):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self._take(call.get("index", position), function)

    def _take(self, place: Any, function: dict[str, Any]) -> None:
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else ""
        pieces = self._arguments.get(place) if type(place) is int else None
        if pieces is None:
            pieces = self._begin(place, function.get("name"))
        self._left -= len(text)
        self.is_too_much = self.is_too_much or self._left < 0
        if not self.is_too_much:
            pieces.append(text)

    def _begin(self, place: Any, name: Any) -> list[str]:
        if len(self._names) >= MOST_CALLS or type(place) is not int:
            self.is_too_much = True
            return []
        self._names[place] = name if isinstance(name, str) else ""
        pieces = self._arguments[place] = []
        return pieces


def _message_of(text: bytes, field: str) -> Any:
    """What the first choice says, if it is in there."""
    try:
        choices = orjson.loads(text).get("choices")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice.get(field)
    return None
