"""Fetches the media that a request names by address and puts the bytes in their place.

Owns the client for that, its limits and redirects. Does not know providers: each wire format says what it wants
(`MediaNeeds`). Invariant: a connection is made to no address that `may_connect` refuses, whatever a name resolves to
and however often: the address is looked at when its socket is made, after which nothing is resolved again. Connections
are not kept, no credential, cookie or proxy of ours is used, and nothing is tried twice.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import HttpProcessingError

from services.provider_adapter.media import parts
from services.provider_adapter.media.addresses import may_connect
from services.provider_adapter.media.content_types import type_of_media
from services.provider_adapter.media.locations import checked_location
from services.provider_adapter.media.refusals import (
    RefusedAddressError,
    download_failed,
    empty,
    too_large,
    too_many,
    unsupported_format,
)
from services.provider_adapter.media.settings import MediaSettings
from services.provider_adapter.protocols.port import Attempt, MediaNeeds

_UNREACHABLE = "its address cannot be reached"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": "switchyard", "Accept": "*/*", "Accept-Encoding": "identity"}
_CONNECT_S = 5.0
_PIECE_BYTES = 65_536
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


class _RefusedSocketError(OSError):
    """The address is in a network that is not to be reached; like one where nobody answers."""


class MediaFetcher:
    """Fetches over one session."""

    def __init__(self, session: ClientSession, settings: MediaSettings) -> None:
        self._session = session
        self._settings = settings

    async def with_bytes(self, attempt: Attempt, needs: MediaNeeds, limit_s: float) -> Attempt:
        """The attempt, its media as bytes wherever the format wants them so.

        Raises:
            ProviderFailedError: one could not be had, is too large, or is of no use to the format.
        """
        if not parts.may_name_media(attempt.body, needs):
            return attempt
        body = parts.read(attempt.body)
        wanted = parts.wanted_in(body, needs)
        if not wanted:
            return attempt
        if len(wanted) > self._settings.max_count:
            raise too_many(self._settings.max_count)
        first = {found.attachment.url: found for found in reversed(wanted)}
        limit_s = min(self._settings.timeout_s, limit_s)
        fetched = await _Fetching(self._session, self._settings, needs, limit_s).all(list(first.values()))
        for found in wanted:
            parts.put(found, fetched[found.attachment.url])
        return replace(attempt, body=parts.write(body))


class _Fetching:
    """What one request names."""

    def __init__(self, session: ClientSession, settings: MediaSettings, needs: MediaNeeds, limit_s: float) -> None:
        self._session = session
        self._settings = settings
        self._needs = needs
        self._limit_s = limit_s
        self._left_bytes = settings.max_total_bytes

    async def all(self, wanted: Iterable[parts.Wanted]) -> dict[str, parts.Media]:
        """By address. The first failure ends the others."""
        tasks = {found.attachment.url: asyncio.create_task(self._within_time(found)) for found in wanted}
        try:
            media = await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return dict(zip(tasks, media, strict=True))

    async def _within_time(self, found: parts.Wanted) -> parts.Media:
        kind, place = found.attachment.kind, found.place
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._fetch(found)
        except TimeoutError:
            raise download_failed(kind, place, "it took too long") from None
        except (RefusedAddressError, *_BROKEN):
            raise download_failed(kind, place, _UNREACHABLE) from None

    async def _fetch(self, found: parts.Wanted) -> parts.Media:
        allow_private = self._settings.allow_private_networks
        url = checked_location(found.attachment.url, allow_private=allow_private)
        for _ in range(self._settings.max_redirects + 1):
            async with self._session.get(url, headers=_HEADERS, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._take(found, response)
                target = response.headers.get("Location", "")
            url = checked_location(target, allow_private=allow_private, base=url)
        raise download_failed(found.attachment.kind, found.place, "it redirects too often")

    async def _take(self, found: parts.Wanted, response: ClientResponse) -> parts.Media:
        attachment, place = found.attachment, found.place
        if response.status != 200:
            raise download_failed(attachment.kind, place, f"its server answered with status {response.status}")
        if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
            raise download_failed(attachment.kind, place, "its server compressed it")
        data = await self._read(found, response)
        if not data:
            raise empty(attachment.kind, place)
        told = response.headers.get("Content-Type", "")
        mime_type = type_of_media(attachment.kind, data, told, attachment.mime_type)
        accepted = self._needs.image_types
        if not mime_type or (attachment.kind == "image_url" and accepted and mime_type not in accepted):
            raise unsupported_format(place)
        return parts.Media(mime_type, data)

    async def _read(self, found: parts.Wanted, response: ClientResponse) -> bytes:
        kind, place, limit = found.attachment.kind, found.place, self._settings.max_bytes
        if (response.content_length or 0) > limit:
            raise too_large(kind, place, limit)
        taken = bytearray()
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            taken += piece
            self._left_bytes -= len(piece)
            if len(taken) > limit:
                raise too_large(kind, place, limit)
            if self._left_bytes < 0:
                raise too_large(kind, place, self._settings.max_total_bytes)
        return bytes(taken)


@asynccontextmanager
async def open_media_fetcher(
    settings: MediaSettings, *, resolver: AbstractResolver | None = None
) -> AsyncIterator[MediaFetcher]:
    """The fetcher of this process; `resolver` is for tests."""

    def open_socket(told: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, proto, _, address = told
        if not may_connect(str(address[0]), allow_private=settings.allow_private_networks):
            raise _RefusedSocketError
        return socket.socket(family, kind, proto)

    connector = TCPConnector(
        limit=settings.max_connections,
        force_close=True,
        use_dns_cache=False,
        socket_factory=open_socket,
        resolver=resolver,
    )
    async with ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=ClientTimeout(total=None, sock_connect=_CONNECT_S),
    ) as session:
        yield MediaFetcher(session, settings)
