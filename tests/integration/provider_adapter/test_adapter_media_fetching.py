"""Media by address, through the adapter's RPC: a web server of ours on loopback, and names that resolve as we say."""

import base64
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from libs.clock import SystemClock
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.hosts import Host
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.media.fetcher import open_media_fetcher
from services.provider_adapter.media.settings import MediaSettings
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from tests.integration.provider_adapter.conftest import Adapter, Outcome
from tests.integration.provider_adapter.scripted_upstream import (
    STREAM_HEAD,
    Cut,
    ScriptedUpstream,
    UntilGone,
    piece,
    scripted_upstream,
    whole,
)

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REPLY = {"candidates": [{"content": {"parts": [{"text": "Seen"}]}, "finishReason": "STOP"}]}


@dataclass
class Names(AbstractResolver):
    """Answers each question with the next of its addresses, then with the last one for ever."""

    addresses: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        known = self.addresses.get(host)
        if not known:
            raise OSError("no such name")
        address = known.pop(0) if len(known) > 1 else known[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@dataclass
class World:
    """An adapter, the provider that it calls, and the web where the media is."""

    calls: HttpCalls
    provider: ScriptedUpstream
    web: ScriptedUpstream
    names: Names
    stack: AsyncExitStack

    @property
    def port(self) -> int:
        return int(self.web.base_url.rsplit(":", 1)[1].removesuffix("/v1"))

    async def see(self, *urls: str, settings: dict[str, Any] | None = None, part: Any = None) -> Outcome:
        fetcher = await self.stack.enter_async_context(
            open_media_fetcher(
                MediaSettings(**{"allow_private_networks": True, **(settings or {})}), resolver=self.names
            )
        )
        hosts = {"google": Host(self.provider.base_url, "", "gemini")}
        registry = Registry(protocols(), hosts, {"google": "key-1234"})
        attempts = Attempts(self.calls, SystemClock(), fetcher)
        adapter = Adapter(ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, self.calls), None))
        parts = [part] if part else [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]})
        return await adapter.run(body=body, provider_slug="google", provider_model_id="gemini-2.5-flash")

    def web_url(self, path: str = "/i.png", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def seen(self) -> list[dict[str, Any]]:
        (received,) = self.provider.received
        parts = received.json["contents"][0]["parts"]
        assert isinstance(parts, list)
        return parts


@pytest.fixture
async def world(calls: HttpCalls) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(scripted_upstream())
        web = await stack.enter_async_context(scripted_upstream())
        yield World(calls, provider, web, Names(), stack)


def inline(data: bytes, mime_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


async def test_an_image_by_address_reaches_the_provider_as_bytes(world: World) -> None:
    world.web.answer(whole(PNG, kind="text/plain"))
    world.provider.answer(whole(REPLY))

    outcome = await world.see(world.web_url())

    assert outcome.end.finish_reason == "stop"
    assert world.seen == [inline(PNG, "image/png")]
    (asked,) = world.web.received
    assert asked.line == "GET /i.png HTTP/1.1"
    assert not {"authorization", "x-goog-api-key", "cookie", "referer"} & asked.headers.keys()


async def test_the_same_address_is_fetched_once(world: World) -> None:
    world.web.answer(whole(PNG))
    world.provider.answer(whole(REPLY))

    await world.see(world.web_url(), world.web_url())

    assert len(world.web.received) == 1
    assert world.seen == [inline(PNG, "image/png")] * 2


async def test_a_file_keeps_the_type_that_its_server_says(world: World) -> None:
    world.web.answer(whole(b"%PDF-1.4", kind="application/pdf"))
    world.provider.answer(whole(REPLY))

    await world.see(part={"type": "file", "file": {"filename": "a.pdf", "file_data": world.web_url("/a")}})

    assert world.seen == [inline(b"%PDF-1.4", "application/pdf")]


async def test_redirects_are_followed_one_by_one(world: World) -> None:
    world.web.answer(whole(b"", "302 Found", "Location: /b.png"))
    world.web.answer(whole(b"", "307 Temporary Redirect", f"Location: {world.web_url('/c.png')}"))
    world.web.answer(whole(PNG))
    world.provider.answer(whole(REPLY))

    await world.see(world.web_url())

    assert [asked.line.split()[1] for asked in world.web.received] == ["/i.png", "/b.png", "/c.png"]
    assert world.seen == [inline(PNG, "image/png")]


def refusal(outcome: Outcome, world: World) -> str:
    """What the caller is told; no provider was asked, and no address is shown."""
    failure = outcome.failure
    assert world.provider.received == []
    assert (failure["class"], failure["status"]) == ("invalid_request", "0")
    text = repr(failure)
    assert "127.0.0.1" not in text
    assert str(world.port) not in text
    assert failure["provider_message"].startswith("messages[0].content[0]: the image ")
    return failure["error_type"] + (" elsewhere" if failure["retryable_elsewhere"] == "true" else "")


UNREACHABLE = "messages[0].content[0]: the image could not be downloaded: its address cannot be reached."


@pytest.mark.parametrize("private", ["10.1.2.3", "169.254.169.254", "127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_a_name_of_a_private_network_is_like_one_that_does_not_exist(world: World, private: str) -> None:
    world.names.addresses["inside.example"] = [private]

    closed = await world.see("http://inside.example/i.png", settings={"allow_private_networks": False})
    missing = await world.see("http://nowhere.example/i.png", settings={"allow_private_networks": False})

    assert refusal(closed, world) == refusal(missing, world) == "image_download_failed"
    assert closed.failure["provider_message"] == missing.failure["provider_message"] == UNREACHABLE
    assert world.web.connections == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/i.png",
        "http://[::1]/i.png",
        "http://0x7f.1/i.png",
        "http://2130706433/",
        "http://u@a.example/",
    ],
)
async def test_a_private_address_is_refused_in_any_spelling(world: World, url: str) -> None:
    outcome = await world.see(url, settings={"allow_private_networks": False})

    assert refusal(outcome, world) == "image_download_failed"
    assert outcome.failure["provider_message"] == UNREACHABLE


async def test_metadata_stays_closed_where_private_networks_are_open(world: World) -> None:
    world.names.addresses["metadata.example"] = ["169.254.169.254"]

    for url in ("http://metadata.example/", "http://169.254.169.254/latest/", "http://[fd00:ec2::254]/"):
        assert refusal(await world.see(url), world) == "image_download_failed"


async def test_a_redirect_into_a_private_network_is_refused(world: World) -> None:
    world.web.answer(whole(b"", "302 Found", "Location: http://169.254.169.254/latest/meta-data/"))

    outcome = await world.see(world.web_url())

    assert refusal(outcome, world) == "image_download_failed"
    assert outcome.failure["provider_message"] == UNREACHABLE


async def test_a_name_that_changes_its_address_between_hops_is_looked_at_anew(world: World) -> None:
    world.names.addresses["rebinding.example"] = ["127.0.0.1", "169.254.169.254"]
    world.web.answer(whole(b"", "302 Found", "Location: /again.png"))

    outcome = await world.see(world.web_url(host="rebinding.example"))

    assert refusal(outcome, world) == "image_download_failed"
    assert world.names.asked == ["rebinding.example"] * 2
    assert len(world.web.received) == 1


async def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(world: World) -> None:
    world.names.addresses["rebinding.example"] = ["10.255.255.1", "127.0.0.1"]

    outcome = await world.see(
        world.web_url(host="rebinding.example").replace(str(world.port), "8080"),
        settings={"allow_private_networks": False},
    )

    assert refusal(outcome, world) == "image_download_failed"
    assert world.names.asked == ["rebinding.example"]


async def test_environment_proxies_are_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    world.web.answer(whole(PNG))
    world.provider.answer(whole(REPLY))

    await world.see(world.web_url())

    assert world.seen == [inline(PNG, "image/png")]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((whole(b"", "404 Not Found"),), "image_download_failed"),
        ((whole(b"", "500 Oops"),), "image_download_failed"),
        ((whole(b"<html>", kind="text/html"),), "unsupported_image_format elsewhere"),
        ((whole(b"<svg/>", kind="image/svg+xml"),), "unsupported_image_format elsewhere"),
        ((whole(b""),), "invalid_image"),
        ((whole(PNG, "200 OK", "Content-Encoding: gzip"),), "image_download_failed"),
        ((whole(PNG + b"0" * 1000),), "image_too_large elsewhere"),
        ((STREAM_HEAD + piece(PNG + b"0" * 400) + piece(b"0" * 400),), "image_too_large elsewhere"),
        ((STREAM_HEAD + piece(PNG), Cut()), "image_download_failed"),
        ((b"\x00\x01garbage\r\n\r\n", Cut()), "image_download_failed"),
        ((whole(b"", "302 Found", "Location: /i.png"),), "image_download_failed"),
        ((whole(b"", "302 Found"),), "image_download_failed"),
    ],
)
async def test_what_is_no_image_is_refused_by_its_error_type(world: World, answer: Any, told: str) -> None:
    for _ in range(4):
        world.web.answer(*answer)

    outcome = await world.see(world.web_url(), settings={"max_bytes": 500})

    assert refusal(outcome, world) == told


async def test_a_silent_server_is_left_in_time(world: World) -> None:
    world.web.answer(UntilGone())

    outcome = await world.see(world.web_url(), settings={"timeout_s": 0.1})

    assert refusal(outcome, world) == "image_download_failed"
    await world.web.wait_until_gone()


async def test_the_limits_hold_for_a_request_as_a_whole(world: World) -> None:
    for _ in range(3):
        world.web.answer(whole(PNG))

    urls = [world.web_url(f"/{place}.png") for place in range(3)]
    many = await world.see(*urls, settings={"max_count": 2})
    large = await world.see(*urls, settings={"max_total_bytes": 2 * len(PNG)})

    assert many.failure["provider_message"] == "The request names more than 2 media by address."
    assert large.failure["error_type"] == "image_too_large"
    assert world.provider.received == []
