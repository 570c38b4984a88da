import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.provider_adapter.protocols.sse import Event, EventSplitter, EventTooLargeError

WIRE = (
    '\ufeffdata: {"plain":1}\n\n'
    ": a comment\r\n"
    "event: named\r\ndata: first\r\ndata:second\r\n\r\n"
    "id: 7\nretry: 10\nunknown\ndata:  two spaces\n\n"
    "data: \u00e9\u20ac\U0001f600\r\r"
    "event: alone\n\n"
    "\n\n\n"
    "data: last without a blank line"
).encode()
EVENTS = [
    Event(b"", b'{"plain":1}'),
    Event(b"named", b"first\nsecond"),
    Event(b"", b" two spaces"),
    Event(b"", "é€😀".encode()),
    Event(b"", b"last without a blank line"),
]


def split(pieces: list[bytes]) -> list[Event]:
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + splitter.finish()


def feed_all(splitter: EventSplitter, pieces: list[bytes]) -> None:
    for piece in pieces:
        splitter.feed(piece)


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(edges)]


def test_every_kind_of_line_gives_the_events_of_the_standard() -> None:
    assert split([WIRE]) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_of_any_size_give_the_same_events(size: int) -> None:
    assert split([WIRE[i : i + size] for i in range(0, len(WIRE), size)]) == EVENTS


def test_every_single_split_gives_the_same_events() -> None:
    for place in range(len(WIRE) + 1):
        assert split(cut(WIRE, [place])) == EVENTS


@given(
    lines=st.lists(st.sampled_from([b"data: a", b"data:b", b"", b": c", b"event: e", b"junk"]), max_size=20),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=20, max_size=20),
    places=st.lists(st.integers(0, 200), max_size=6),
)
def test_any_lines_with_any_line_ends_give_the_same_events_however_split(
    lines: list[bytes], ends: list[bytes], places: list[int]
) -> None:
    # A CR and, after an empty line, an LF are one line end by the standard: such pairs change the lines themselves.
    assume(not _pairs_up(lines, ends))
    plain = b"".join(line + b"\n" for line in lines)
    mixed = b"".join(line + end for line, end in zip(lines, ends, strict=False))

    assert split(cut(mixed, [p for p in places if p <= len(mixed)])) == split([plain])


def _pairs_up(lines: list[bytes], ends: list[bytes]) -> bool:
    pairs = list(zip(lines, ends, strict=False))
    return any(
        end == b"\r" and not line and next_end == b"\n" for (_, end), (line, next_end) in itertools.pairwise(pairs)
    )


def test_a_line_without_end_beyond_the_bound_is_an_error() -> None:
    splitter = EventSplitter(limit_bytes=100)
    splitter.feed(b"data: ")

    with pytest.raises(EventTooLargeError):
        feed_all(splitter, [b"x" * 10] * 20)


def test_an_event_of_many_lines_beyond_the_bound_is_an_error() -> None:
    splitter = EventSplitter(limit_bytes=100)

    with pytest.raises(EventTooLargeError):
        feed_all(splitter, [b"data: x\n"] * 60)


def test_many_events_that_are_small_pass_the_bound() -> None:
    splitter = EventSplitter(limit_bytes=100)

    assert sum(len(splitter.feed(b"data: 0123456789\n\n")) for _ in range(100)) == 100
