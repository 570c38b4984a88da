"""Amazon's binary event streams: bytes in, whole events out.

Owns the bound of a frame and what its headers mean; botocore unpacks the frame and checks its sums. Does not look into
payloads. Invariant: how the bytes were split does not change the events; memory never exceeds the bound by more than
one read.
"""

import struct

import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from services.provider_adapter.protocols.sse import EVENT_LIMIT_BYTES, Event

EXCEPTION = b"exception:"
"""Before the names of events that are exceptions, so that no event of that name can be taken for one."""
BROKEN = b"broken"
"""The name of the last event of a stream whose frames cannot be read: `{"message": …}`."""

_BROKEN_FRAME = (ParserError, struct.error, ValueError, KeyError, IndexError)
_TOO_LARGE = Event(BROKEN, b'{"message":"The provider sent an event that is too large."}')
_UNREADABLE = Event(BROKEN, b'{"message":"The provider sent a broken frame."}')
_LONGEST_NAME = 64
_MOST_WORDS = 4_000


class FrameSplitter:
    """See `Splitter`; a frame that cannot be read is the last event, after those that came before it."""

    __slots__ = ("_broken", "_buffer", "_limit", "_waiting")

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = EventStreamBuffer()
        self._waiting = 0
        self._broken = False

    def feed(self, data: bytes) -> list[Event]:
        """Events that are complete now."""
        events: list[Event] = []
        if self._broken:
            return events
        self._waiting += len(data)
        self._buffer.add_data(data)
        try:
            for frame in self._buffer:
                length = frame.prelude.total_length
                if length > self._limit:
                    return self._break(events, _TOO_LARGE)
                self._waiting -= length
                events.append(_event(frame))
        except _BROKEN_FRAME:
            return self._break(events, _UNREADABLE)
        if self._waiting > self._limit:
            return self._break(events, _TOO_LARGE)
        return events

    def finish(self) -> list[Event]:
        """Nothing: a frame that is not complete never came."""
        return []

    def _break(self, events: list[Event], last: Event) -> list[Event]:
        self._broken = True
        self._buffer = EventStreamBuffer()
        events.append(last)
        return events


def _event(frame: EventStreamMessage) -> Event:
    headers = frame.headers
    match headers.get(":message-type", "event"):
        case "event":
            return Event(_name(headers.get(":event-type")), frame.payload)
        case "exception":
            return Event(EXCEPTION + _name(headers.get(":exception-type")), _words(frame.payload))
        case _:
            # An error that no model of the service knows has its words in headers.
            words = _text(headers.get(":error-message"))
            return Event(EXCEPTION + _name(headers.get(":error-code")), orjson.dumps({"message": words}))


def _words(payload: bytes) -> bytes:
    """An exception's payload; one that is no object says its text, and is an exception all the same."""
    try:
        if type(orjson.loads(payload)) is dict:
            return payload
    except orjson.JSONDecodeError:
        pass
    return orjson.dumps({"message": payload[:_MOST_WORDS].decode("utf-8", "replace")})


def _name(value: object) -> bytes:
    return _text(value)[:_LONGEST_NAME].encode()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
