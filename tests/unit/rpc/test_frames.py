"""Messages in pieces, and errors in frames."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from switchyard.rpc.v1.session_pb2 import Error

from libs.errors import AppError, Kind
from libs.rpc.frames import Assembly, MessageTooLargeError, error_from_proto, error_to_proto, fragments


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(min_value=1, max_value=70))
def test_fragments_put_together_are_the_messages(messages: list[bytes], fragment_bytes: int) -> None:
    assembly = Assembly()
    for message in messages:
        pieces = list(fragments(message, fragment_bytes))
        assert all(0 < len(piece) <= fragment_bytes for piece, _ in pieces) or message == b""
        assert [more for _, more in pieces] == [True] * (len(pieces) - 1) + [False]
        results = [assembly.add(piece, more) for piece, more in pieces]
        assert results == [None] * (len(pieces) - 1) + [message]
        assert assembly.held_bytes == 0


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=40))
def test_assembly_of_any_pieces_never_holds_more_than_its_limit(pieces: list[tuple[bytes, bool]]) -> None:
    assembly = Assembly(limit_bytes=100)
    for piece, more in pieces:
        with suppress(MessageTooLargeError):
            message = assembly.add(piece, more)
            assert message is None or len(message) <= 100
        assert assembly.held_bytes <= 100


def test_assembly_beyond_its_limit_refuses() -> None:
    assembly = Assembly(limit_bytes=100)
    assert assembly.add(b"x" * 60, more=True) is None
    with pytest.raises(MessageTooLargeError):
        assembly.add(b"x" * 41, more=False)


_ERRORS = st.builds(
    AppError,
    st.sampled_from(Kind),
    st.text(max_size=20),
    st.text(max_size=50),
    st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3),
    st.none() | st.floats(min_value=0, max_value=1e6),
)


@given(_ERRORS)
def test_error_crosses_the_session_unchanged(error: AppError) -> None:
    back = error_from_proto(Error.FromString(error_to_proto(error).SerializeToString()))
    assert (back.kind, back.reason, back.message) == (error.kind, error.reason, error.message)
    assert (back.metadata, back.retry_after_s) == (error.metadata, error.retry_after_s)


def test_error_of_a_kind_that_is_not_known_counts_as_internal() -> None:
    assert error_from_proto(Error(kind="from the future", reason="X")).kind == Kind.INTERNAL
