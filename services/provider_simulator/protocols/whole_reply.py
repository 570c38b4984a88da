"""What replies without a stream have in common: vectors and rankings.

Owns the parts of a `Rendering` that such a reply has no use for. Does not know wire formats. Invariant: no event is ever
asked of it, for its requests never stream.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.core.directive import Garbage

HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}
_HTML_HEADERS = {"Content-Type": "text/html; charset=utf-8"}
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_NOT_UTF8 = b"\xff\xfe\xc3("


class WholeReply:
    """A body that is there at once; a format adds `failure`."""

    def __init__(self, body: Any) -> None:
        self._body = orjson.dumps(body)

    @property
    def whole_headers(self) -> Mapping[str, str]:
        return HEADERS

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return HEADERS

    def whole(self) -> bytes:
        return self._body

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:  # noqa: ARG002 (never streams)
        match kind:
            case Garbage.HTML:
                return _HTML_HEADERS, _HTML
            case Garbage.JSON:
                return HEADERS, self._body[: len(self._body) // 2]
            case Garbage.UTF8:
                return HEADERS, b'{"' + _NOT_UTF8 + b'":' + self._body + b"}"

    def opening(self) -> bytes:
        raise AssertionError("It does not stream.")

    def events(self, start: int, stop: int) -> bytes:  # noqa: ARG002 (never streams)
        raise AssertionError("It does not stream.")

    def closing(self) -> bytes:
        raise AssertionError("It does not stream.")

    def failure_event(self) -> bytes:
        raise AssertionError("It does not stream.")
