"""A cheap upstream, a process of its own: `python -m tests.bench.upstream` prints its port and answers any POST.

Owns ready-made OpenAI-shaped replies. Does not read prompts, beyond one directive in them: `[[bench chunk_ms=5 per_write=1]]`
paces a stream. Invariant: a stream has CHUNKS content events of one word, a finish, usage, and `[DONE]`.
"""

import asyncio
import re
import sys
from typing import Final, cast

import orjson
import uvloop

MODEL: Final = "meta-llama/llama-3.3-70b-instruct"
CHUNKS: Final = 40
WORD: Final = b"yonder"
PROMPT_TOKENS: Final = 64
_PER_WRITE: Final = 8
_MAX_HEAD_BYTES: Final = 64 * 1024
_DIRECTIVE: Final = re.compile(rb"\[\[bench chunk_ms=(\d+) per_write=(\d+)\]\]")
_USAGE: Final = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": CHUNKS, "total_tokens": PROMPT_TOKENS + CHUNKS}
_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def whole_reply() -> bytes:
    """The reply to a request that does not stream, head and body."""
    message = {"role": "assistant", "content": " ".join([WORD.decode()] * CHUNKS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = orjson.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [choice],
            "usage": _USAGE,
        }
    )
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def stream_events() -> list[bytes]:
    """The events of a stream, each as one piece of chunked encoding: role, content, finish, usage, end."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": f" {WORD.decode()}"}, None)] * CHUNKS
    deltas += [({}, "stop")]
    common = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    events = [
        orjson.dumps({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        for delta, reason in deltas
    ]
    events += [orjson.dumps({**common, "choices": [], "usage": _USAGE}), b"[DONE]"]
    return [_piece(b"data: %b\n\n" % event) for event in events]


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def grouped_writes(per_write: int) -> list[bytes]:
    """A whole stream as the writes it goes out in: the role with the first content, `per_write` contents each, the rest."""
    role, *contents = stream_events()
    contents, ending = contents[:CHUNKS], contents[CHUNKS:]
    writes = [b"".join(contents[start : start + per_write]) for start in range(0, CHUNKS, per_write)]
    writes[0] = _STREAM_HEAD + role + writes[0]
    writes[-1] += b"".join(ending) + b"0\r\n\r\n"
    return writes


class Door(asyncio.Protocol):
    """One connection; requests one after another."""

    def __init__(self, whole: bytes, writes: dict[int, list[bytes]]) -> None:
        self._whole = whole
        self._writes = writes
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self._transport.close()
            return
        if self._buffer.startswith(b"GET "):
            self._buffer = b""
            self._transport.write(_NOT_FOUND)
            return
        length = _content_length(self._buffer[:head_end].lower())
        if length is None:
            self._transport.close()
            return
        if len(self._buffer) >= head_end + 4 + length:
            body, self._buffer = self._buffer[head_end + 4 :], b""
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        assert self._transport is not None
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(self._whole)
            return
        directive = _DIRECTIVE.search(body)
        pause_s, per_write = (int(directive[1]) / 1000, int(directive[2])) if directive else (0.0, _PER_WRITE)
        if per_write not in self._writes:
            self._writes[per_write] = grouped_writes(min(CHUNKS, max(1, per_write)))
        self._pace(self._writes[per_write], 0, pause_s)

    def _pace(self, writes: list[bytes], number: int, pause_s: float) -> None:
        if self._transport is None:
            return
        self._transport.write(writes[number])
        if number + 1 < len(writes):
            # Without a pause too: the loop would join writes of one turn, and a real upstream's do not come joined.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(pause_s, self._pace, writes, number + 1, pause_s)


def _content_length(lower_head: bytes) -> int | None:
    at = lower_head.find(b"\r\ncontent-length:")
    return None if at < 0 else int(lower_head[at + 17 :].split(b"\r\n", 1)[0])


async def serve() -> None:
    whole, writes = whole_reply(), {_PER_WRITE: grouped_writes(_PER_WRITE)}
    server = await asyncio.get_running_loop().create_server(lambda: Door(whole, writes), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
