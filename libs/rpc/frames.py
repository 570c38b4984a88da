"""Frames of a session: how messages are cut into pieces and put together again, and how errors look in them.

Owns the limits on sizes and the conversion of errors. Does no I/O. Invariant: `Assembly` gives back exactly the messages
that `fragments` cut, and never holds more than its limit.
"""

from collections.abc import Iterator

from switchyard.rpc.v1.session_pb2 import Error, Frame

from libs.errors import AppError, Kind

FRAGMENT_BYTES = 64 * 1024
"""Longer messages are cut, so that small calls get in between."""
BATCH_BYTES = 256 * 1024
"""What one gRPC message of a session holds at most, give or take a fragment."""
HIGH_WATER_BYTES = 256 * 1024
"""From here on messages wait at their senders instead of in the session's queue."""
WINDOW_BYTES = 256 * 1024
"""What a callee may send on one call ahead of its consumer."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
FRAME_OVERHEAD_BYTES = 64
"""Counted for each frame beside its payload."""

_KINDS = {kind.value: kind for kind in Kind}

SESSION_CALL_ID = 0
"""The session itself: an error of this id from the callee says that no new calls are taken."""


def fragments(message: bytes, fragment_bytes: int = FRAGMENT_BYTES) -> Iterator[tuple[bytes, bool]]:
    """Cuts a message into pieces, each with whether more follow; an empty message is one empty piece."""
    last = max(len(message) - 1, 0) // fragment_bytes * fragment_bytes
    for start in range(0, last, fragment_bytes):
        yield message[start : start + fragment_bytes], True
    yield message[last:], False


class MessageTooLargeError(Exception):
    """The pieces of a message add up to more than the limit."""


class Assembly:
    """Puts the pieces of one call's messages together."""

    __slots__ = ("_pieces", "held_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._pieces: list[bytes] = []
        self.held_bytes = 0
        self.limit_bytes = limit_bytes

    def add(self, piece: bytes, more: bool) -> bytes | None:
        """The message, when this piece is its last.

        Raises:
            MessageTooLargeError: the message grew beyond the limit; what was held is dropped.
        """
        if self.held_bytes + len(piece) > self.limit_bytes:
            self.drop()
            raise MessageTooLargeError
        if not more and not self._pieces:
            return piece
        self._pieces.append(piece)
        self.held_bytes += len(piece)
        if more:
            return None
        message = b"".join(self._pieces)
        self.drop()
        return message

    def drop(self) -> None:
        self._pieces.clear()
        self.held_bytes = 0


def error_frame(call_id: int, error: AppError) -> Frame:
    """The frame that ends a call as failed."""
    return Frame(call_id=call_id, end=True, error=error_to_proto(error))


def error_to_proto(error: AppError) -> Error:
    return Error(
        kind=error.kind,
        reason=error.reason,
        message=error.message,
        metadata=error.metadata,
        retry_after_s=error.retry_after_s,
    )


def error_from_proto(error: Error) -> AppError:
    """The error as it was raised; a kind that we do not know, from a newer peer, counts as internal."""
    kind = _KINDS.get(error.kind, Kind.INTERNAL)
    retry_after_s = error.retry_after_s if error.HasField("retry_after_s") else None
    return AppError(kind, error.reason, error.message, dict(error.metadata), retry_after_s)
