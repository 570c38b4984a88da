"""Server-sent events: bytes in, whole events out.

Owns line and event framing (WHATWG HTML §9.2) and its bounds. Does not look into the data. Invariant: how the bytes
were split does not change the events; memory never exceeds the bound by more than one read.
"""

from typing import NamedTuple, Protocol

EVENT_LIMIT_BYTES = 8 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """The `event` field (empty when missing) and the data lines joined by line feeds."""

    name: bytes
    data: bytes


class EventTooLargeError(Exception):
    """A line or an event is larger than the bound."""


class Splitter(Protocol):
    """Whatever turns a stream's bytes into events: server-sent ones, or another framing."""

    def feed(self, data: bytes) -> list[Event]:
        """Events that are complete now.

        Raises:
            EventTooLargeError: once an event exceeds the bound.
        """
        ...

    def finish(self) -> list[Event]:
        """What the end of the bytes completes."""
        ...


class EventSplitter:
    """Accepts LF, CRLF and CR, comments, missing names, several data lines, and a last event without a blank line."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_data_bytes", "_limit", "_name", "_rest", "_rest_bytes")

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = b""
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[Event]:
        """Events that are complete now.

        Raises:
            EventTooLargeError: once a line or an event exceeds the bound.
        """
        if self._is_one_plain_event(data):
            self._at_start = False
            return [Event(b"", data[6:-2])]
        if self._after_cr and data:
            # A CR ended the last line at once; the LF that belongs to it came in the next read.
            self._after_cr = False
            if data[0] == 0x0A:
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data[-1] == 0x0D
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n")
        if end < 0:
            self._keep(data)
            return []
        if self._rest:
            self._rest.append(data[:end])
            block = b"".join(self._rest)
            self._rest.clear()
            self._rest_bytes = 0
        else:
            block = data[:end]
        self._keep(data[end + 1 :])
        return self._events(block)

    def finish(self) -> list[Event]:
        """The event that waits for its blank line, if any."""
        block = b"".join(self._rest) + b"\n"
        self._rest.clear()
        self._rest_bytes = 0
        return self._events(block)

    def _is_one_plain_event(self, data: bytes) -> bool:
        """Whether nothing is pending and the data is what a stream mostly consists of; spares the general way."""
        return (
            data.startswith(b"data: ")
            and data.find(b"\n") == len(data) - 2
            and data.endswith(b"\n\n")
            and len(data) <= self._limit
            and b"\r" not in data
            and not (self._rest or self._data or self._name or self._after_cr)
        )

    def _keep(self, data: bytes) -> None:
        if data:
            self._rest.append(data)
            self._rest_bytes += len(data)
            if self._rest_bytes > self._limit:
                raise EventTooLargeError

    def _events(self, block: bytes) -> list[Event]:
        if self._at_start:
            self._at_start = False
            block = block.removeprefix(_BYTE_ORDER_MARK)
        events: list[Event] = []
        lines = self._data
        for line in block.split(b"\n"):
            if not line:
                if lines:
                    events.append(Event(self._name, lines[0] if len(lines) == 1 else b"\n".join(lines)))
                    lines.clear()
                    self._data_bytes = 0
                self._name = b""
            elif line.startswith(b"data:"):
                value = line[6:] if line.startswith(b" ", 5) else line[5:]
                lines.append(value)
                self._data_bytes += len(value) + 1
                if self._data_bytes > self._limit:
                    raise EventTooLargeError
            elif line.startswith(b"event:"):
                self._name = line[6:].removeprefix(b" ")[:64]
        return events
