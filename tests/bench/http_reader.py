"""The least HTTP/1.1 reply reader that a load generator needs: status, content-length, chunked.

Owns framing. Does not know requests, trailers or pipelining. Invariant: however the bytes are split, the same reply comes out.
"""

from typing import Final

_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024


class BadReplyError(Exception):
    """The bytes are no reply that this reader knows."""


class ReplyReader:
    """One reply at a time; `reset` before the next.

    Attributes:
        status: 0 until the head is complete.
        body: what has come of the body, without its framing.
    """

    __slots__ = ("_is_chunked", "_length", "_rest", "body", "status")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.status = 0
        self.body = bytearray()
        self._rest = b""
        self._length = 0
        self._is_chunked = False

    def feed(self, data: bytes) -> bool:
        """Takes what arrived; True once the reply is complete.

        Raises:
            BadReplyError: not HTTP/1.1, too large, or more than one reply.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self.status:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _MAX_HEAD_BYTES:
                    raise BadReplyError("endless head")
                self._rest = data
                return False
            self._read_head(data[:end])
            data = data[end + 4 :]
        return self._take_chunks(data) if self._is_chunked else self._take(data)

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 ") or not head[9:12].isdigit():
            raise BadReplyError("not an HTTP/1.1 reply")
        self.status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        if at >= 0:
            self._length = int(lower[at + 17 :].split(b"\r\n", 1)[0])
            return
        self._is_chunked = b"\r\ntransfer-encoding: chunked" in lower
        if not self._is_chunked:
            raise BadReplyError("neither content-length nor chunked")

    def _take(self, data: bytes) -> bool:
        self.body += data
        if len(self.body) > min(self._length, _MAX_BODY_BYTES):
            raise BadReplyError("more bytes than announced, or than allowed")
        return len(self.body) == self._length

    def _take_chunks(self, data: bytes) -> bool:
        at = 0
        while (line_end := data.find(b"\r\n", at)) >= 0:
            size = _chunk_size(data[at:line_end])
            end = line_end + 2 + size
            if len(self.body) + size > _MAX_BODY_BYTES:
                raise BadReplyError("body too large")
            if len(data) < end + 2:
                break
            if data[end : end + 2] != b"\r\n":
                raise BadReplyError("a chunk does not end where it should")
            if size == 0:
                if len(data) > end + 2:
                    raise BadReplyError("bytes after the reply")
                return True
            self.body += data[line_end + 2 : end]
            at = end + 2
        self._rest = data[at:]
        return False


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0]
    try:
        size = int(digits, 16)
    except ValueError:
        raise BadReplyError("a chunk size is no number") from None
    if size < 0:
        raise BadReplyError("a chunk size is negative")
    return size
