import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.http_reader import BadReplyError, ReplyReader
from tests.bench.load import check
from tests.bench.upstream import CHUNKS, WORD, grouped_writes, whole_reply

_STREAM = b"".join(grouped_writes(8))


def read(pieces: list[bytes]) -> tuple[ReplyReader, list[bool]]:
    reader = ReplyReader()
    return reader, [reader.feed(piece) for piece in pieces]


@pytest.mark.parametrize("reply", [whole_reply(), _STREAM], ids=["whole", "stream"])
def test_reply_split_at_every_byte_reads_the_same(reply: bytes) -> None:
    expected, _ = read([reply])

    for at in range(1, len(reply)):
        reader, complete = read([reply[:at], reply[at:]])
        assert complete == [False, True]
        assert (reader.status, reader.body) == (200, expected.body)


@given(st.lists(st.integers(0, len(_STREAM)), max_size=12))
def test_stream_split_in_many_places_is_complete_only_at_its_end(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(_STREAM)})
    pieces = [_STREAM[start:end] for start, end in itertools.pairwise(places)]

    reader, complete = read(pieces)

    assert complete == [False] * (len(pieces) - 1) + [True]
    assert check(reader, is_stream=True, wants_cost=False) == ("", b"0")


def test_reader_after_reset_reads_the_next_reply() -> None:
    reader = ReplyReader()
    assert reader.feed(_STREAM)
    reader.reset()

    assert reader.feed(whole_reply())

    assert bytes(reader.body).count(WORD) == CHUNKS


@pytest.mark.parametrize(
    "reply",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
    ],
)
def test_reply_that_is_broken_is_refused(reply: bytes) -> None:
    with pytest.raises(BadReplyError):
        ReplyReader().feed(reply)


def reply_of(status: int, body: bytes) -> ReplyReader:
    reader, _ = read([b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)])
    return reader


_TEXT = b'{"content":"' + b" ".join([WORD] * CHUNKS) + b'"'


@pytest.mark.parametrize(
    ("status", "body", "is_stream", "problem"),
    [
        (402, b"{}", False, "status 402"),
        (200, b'{"content":"yonder","usage":{"cost":0.1}}', False, "wrong text"),
        (200, _TEXT + b"}", False, "no usage"),
        (200, _TEXT + b',"usage":{"total_tokens":1}}', False, "no cost"),
        (200, _TEXT + b',"usage":{"cost":0.1}}', True, "no [DONE]"),
    ],
)
def test_reply_that_is_not_right_is_an_error(status: int, body: bytes, is_stream: bool, problem: str) -> None:
    assert check(reply_of(status, body), is_stream=is_stream, wants_cost=True) == (problem, b"0")


def test_cost_of_a_reply_is_taken_as_printed() -> None:
    body = _TEXT + b',"usage":{"total_tokens":1,"cost":0.000012345}}'

    assert check(reply_of(200, body), is_stream=False, wants_cost=True) == ("", b"0.000012345")
