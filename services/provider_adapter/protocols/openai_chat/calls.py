"""Streamed tool calls in the one shape that clients know, however a host cuts them.

Owns slots. Does not read chunks: stream.py does. Invariant: the first fragment of a call says slot, id, type and name,
later ones the slot and a piece of arguments; the pieces of a whole call are never empty.

Some hosts repeat id and name in every fragment, or send them empty; some give every call the slot 0, or none.
"""

import secrets
from typing import Any

MOST_CALLS = 1024

_KNOWN = frozenset({"index", "id", "type", "function"})
_NO_IDS = frozenset({"", "null", "None"})


def mint_call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


class _Slot:
    __slots__ = ("id", "written")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.written = False


class CallSlots:
    """The calls of one choice; a slot is the host's own where that is free."""

    __slots__ = ("_last", "_places", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._places: dict[int, int] = {}
        self._last = -1

    def __len__(self) -> int:
        return len(self._slots)

    def take(self, fragments: list[Any]) -> list[dict[str, Any]]:
        """Fragments as clients get them; what is no call is passed over."""
        taken = (self._take(fragment) for fragment in fragments if type(fragment) is dict)
        return [fragment for fragment in taken if fragment is not None]

    def close(self) -> list[dict[str, Any]]:
        """Fragments that make calls without arguments whole."""
        unwritten = [place for place, slot in self._slots.items() if not slot.written]
        for place in unwritten:
            self._slots[place].written = True
        return [{"index": place, "function": {"arguments": "{}"}} for place in unwritten]

    def _take(self, fragment: dict[str, Any]) -> dict[str, Any] | None:
        function = fragment.get("function")
        given_id = fragment.get("id")
        given_id = given_id if type(given_id) is str and given_id not in _NO_IDS else ""
        if type(function) is not dict:
            return self._take_other(fragment, given_id)
        name, arguments = function.get("name"), function.get("arguments")
        name = name if type(name) is str else ""
        arguments = arguments if type(arguments) is str else ""
        place, is_new = self._place_of(fragment.get("index"), given_id, name)
        slot = self._slots[place]
        slot.written = slot.written or bool(arguments)
        if not is_new:
            return {"index": place, "function": {"arguments": arguments}} if arguments else None
        told = {"name": name, "arguments": arguments}
        extras = {key: value for key, value in fragment.items() if key not in _KNOWN}
        return {"index": place, "id": slot.id, "type": "function", "function": told, **extras}

    def _take_other(self, fragment: dict[str, Any], given_id: str) -> dict[str, Any] | None:
        """A call of a tool that is no function goes through as it came."""
        if type(fragment.get("custom")) is not dict:
            return None
        place, _ = self._place_of(fragment.get("index"), given_id, given_id and "custom")
        self._slots[place].written = True
        return {**fragment, "index": place}

    def _place_of(self, index: Any, given_id: str, name: str) -> tuple[int, bool]:
        """Where a fragment belongs, and whether it begins a call."""
        told = index if type(index) is int and 0 <= index < MOST_CALLS else -1
        place = self._places.get(told, -1) if told >= 0 else self._last
        known = self._slots.get(place)
        # A fragment that brings another id and a name is another call, whatever slot it names.
        is_other = known is not None and given_id and name and given_id != known.id
        if (known is not None and not is_other) or len(self._slots) >= MOST_CALLS:
            self._last = max(place, min(self._slots))
            return self._last, False
        place = told if told >= 0 and told not in self._slots else max(self._slots, default=-1) + 1
        self._slots[place] = _Slot(given_id or mint_call_id())
        self._places[told if told >= 0 else place] = self._last = place
        return place, True


def whole_calls(calls: list[Any]) -> list[dict[str, Any]]:
    """The calls of a whole message: ids, types and arguments are there, and arguments are text."""
    return [_whole(call) for call in calls if isinstance(call, dict)]


def _whole(call: dict[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in call.items() if key != "index"}
    if not isinstance(made.get("id"), str) or not made["id"]:
        made["id"] = mint_call_id()
    function = made.get("function")
    if isinstance(function, dict):
        made["type"] = "function"
        arguments = function.get("arguments")
        if not isinstance(arguments, str) or not arguments.strip():
            made["function"] = {**function, "arguments": "{}"}
    return made
