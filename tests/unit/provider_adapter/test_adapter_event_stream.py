import itertools
import struct
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.protocols.event_stream import BROKEN, EXCEPTION, FrameSplitter
from services.provider_adapter.protocols.sse import Event
from tests.testkit.provider_wires_bedrock import event, exception, frame

FRAMES = [event("messageStart", {"role": "assistant"}), event("contentBlockDelta", {"delta": {"text": "é"}})]
EVENTS = [
    Event(b"messageStart", b'{"role":"assistant"}'),
    Event(b"contentBlockDelta", '{"delta":{"text":"é"}}'.encode()),
]


def split(*received: bytes, limit_bytes: int = 4_096) -> list[Event]:
    splitter = FrameSplitter(limit_bytes)
    events = [found for piece in received for found in splitter.feed(piece)]
    return events + splitter.finish()


def with_sums(prelude: bytes, rest: bytes) -> bytes:
    """A frame whose checksums are right, whatever its lengths say."""
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + rest
    return message + struct.pack("!I", zlib.crc32(message))


@given(st.lists(st.integers(0, 300), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_events(places: list[int]) -> None:
    raw = b"".join(FRAMES)
    edges = [0, *sorted(min(place, len(raw)) for place in places), len(raw)]

    assert split(*(raw[start:stop] for start, stop in itertools.pairwise(edges))) == EVENTS


def test_events_that_arrive_together_come_together() -> None:
    assert FrameSplitter().feed(b"".join(FRAMES)) == EVENTS


def test_an_exception_cannot_be_mistaken_for_an_event_of_that_name() -> None:
    assert split(exception("throttlingException", {"message": "slow"})) == [
        Event(EXCEPTION + b"throttlingException", b'{"message":"slow"}')
    ]


@pytest.mark.parametrize("payload", [b"", b"oops", b"[1]", b"\xff"])
def test_an_exception_without_words_of_its_own_form_is_one_all_the_same(payload: bytes) -> None:
    raw = frame(payload, message_type="exception", exception_type="internalServerException")

    [(name, words)] = split(raw)
    assert name == EXCEPTION + b"internalServerException"
    assert isinstance(orjson.loads(words)["message"], str)


def test_an_error_that_stands_in_headers_alone_is_read() -> None:
    raw = frame(b"", message_type="error", error_code="InternalError", error_message="An internal error")

    assert split(raw) == [Event(EXCEPTION + b"InternalError", b'{"message":"An internal error"}')]


@pytest.mark.parametrize("place", range(len(FRAMES[1])))
def test_a_changed_byte_ends_the_stream_after_what_came_before(place: int) -> None:
    spoilt = bytearray(FRAMES[1])
    spoilt[place] ^= 0x5A

    events = split(FRAMES[0], bytes(spoilt), FRAMES[0], bytes(8_192))

    assert events[0] == EVENTS[0]
    assert [found.name for found in events[1:]] == [BROKEN]


def test_a_frame_that_was_cut_never_came() -> None:
    raw = b"".join(FRAMES)
    for place in range(len(FRAMES[0]), len(raw)):
        assert split(raw[:place]) == EVENTS[:1]


@pytest.mark.parametrize("pieces", [1, 7, 1_000])
def test_a_giant_frame_ends_the_stream_within_the_bound_however_it_comes(pieces: int) -> None:
    giant = event("contentBlockDelta", {"delta": {"text": "a" * 10_000}})
    step = -(-len(giant) // pieces)
    splitter = FrameSplitter(4_096)
    events = splitter.feed(FRAMES[0])
    for start in range(0, len(giant), step):
        events += splitter.feed(giant[start : start + step])

    assert events[0] == EVENTS[0]
    [last] = events[1:]
    assert last.name == BROKEN
    assert b"too large" in last.data


def test_a_frame_that_claims_to_be_giant_is_refused_before_the_bound_is_reached() -> None:
    prelude = struct.pack("!II", 1 << 31, 0)
    [last] = split(prelude + struct.pack("!I", zlib.crc32(prelude)))

    assert last.name == BROKEN


@pytest.mark.parametrize("total", [0, 1, 4, 11, 12, 15, 16, 17])
@pytest.mark.parametrize("headers", [0, 1, 16, 70_000])
def test_lengths_that_make_no_sense_end_the_stream_or_wait(total: int, headers: int) -> None:
    raw = with_sums(struct.pack("!II", total, headers), b"")

    assert all(found.name in {BROKEN, b""} for found in split(raw, bytes(100_000)))


@pytest.mark.parametrize(
    "headers", [b"\x01a\x63", b"\x05ab", b"\x02:x\x07\xff\xff", b"\x01\xff\x00", b"\x01a\x00\x01a\x00"]
)
def test_headers_that_make_no_sense_end_the_stream(headers: bytes) -> None:
    raw = with_sums(struct.pack("!II", 16 + len(headers), len(headers)), headers)

    assert [found.name for found in split(raw)] in ([BROKEN], [b""])


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_rubbish_never_raises(rubbish: bytes, places: list[int]) -> None:
    edges = [0, *sorted(min(place, len(rubbish)) for place in places), len(rubbish)]
    split(*(rubbish[start:stop] for start, stop in itertools.pairwise(edges)))
