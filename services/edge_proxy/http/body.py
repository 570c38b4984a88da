"""Request bodies: read whole, within bounds of size and time.

Owns these bounds. Does not parse. Invariant: a body costs at most its bound in memory and its limit in time.
"""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from libs.errors import AppError, Kind


@dataclass(frozen=True, slots=True)
class BodyLimits:
    max_bytes: int = 32 * 1024 * 1024
    idle_s: float = 30.0
    total_s: float = 120.0


async def read_body(request: web.Request, limits: BodyLimits) -> bytes:
    """The whole body.

    Raises:
        AppError: 413 when it is larger than the bound, 408 when it is late, 400 when it breaks off.
    """
    length = request.content_length
    if length is not None and length > limits.max_bytes:
        raise _too_large(limits)
    content = request.content
    if content.is_eof() and content.exception() is None:  # it came with its head, as most do
        body: bytes = content.read_nowait()
        if len(body) > limits.max_bytes:
            raise _too_large(limits)
        return body
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.total_s):
            while True:
                if content.is_eof() or content.total_bytes > size:
                    piece = await content.readany()
                else:
                    async with asyncio.timeout(limits.idle_s):
                        piece = await content.readany()
                if not piece:
                    break
                pieces.append(piece)
                size += len(piece)
                if size > limits.max_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise AppError(Kind.TIMEOUT, "BODY_LATE", "The request body did not arrive in time") from None
    except web.RequestPayloadError:
        raise AppError(
            Kind.INVALID, "BODY_BROKEN", "The request body broke off or is not encoded as its head says"
        ) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(limits: BodyLimits) -> AppError:
    return AppError(
        Kind.TOO_LARGE, "BODY_TOO_LARGE", f"The request body is larger than {limits.max_bytes // (1024 * 1024)} MiB"
    )
