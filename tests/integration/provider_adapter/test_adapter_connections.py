"""Connections to providers: TLS sessions, proxies, limits per credential, warm connections; everything on loopback."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.clock import SystemClock
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.credential_limits import CredentialLimits
from services.provider_adapter.hosts import Host
from services.provider_adapter.http_calls import HttpCalls, open_http_calls
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from services.provider_adapter.warm_up import warm_up
from tests.integration.provider_adapter.conftest import Adapter
from tests.integration.provider_adapter.scripted_upstream import (
    DONE,
    REPLY,
    STREAM_END,
    STREAM_HEAD,
    ScriptedUpstream,
    delta,
    piece,
    scripted_upstream,
    whole,
)


def adapter_for(
    calls: HttpCalls, base_url: str, *, most: int | None = None, slugs: tuple[str, ...] = ("acme",), **settings: Any
) -> tuple[Adapter, Registry]:
    hosts = {slug: Host(base_url, "") for slug in slugs}
    registry = Registry(protocols(), hosts, dict.fromkeys(slugs, "key-123456"), **settings)
    attempts = Attempts(calls, SystemClock(), limits=CredentialLimits(most))
    return Adapter(ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, calls), None)), registry


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@asynccontextmanager
async def tls_server(cert_file: Path, key_file: Path) -> AsyncIterator[tuple[str, list[bool]]]:
    """Answers one request per connection, and tells of each whether its session was taken up again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    resumed: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        writer.write(whole(REPLY, "200 OK", "Connection: close"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", resumed
    finally:
        server.close()
        await server.wait_closed()


async def test_a_tls_session_is_taken_up_by_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert_file, key_file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert_file))
    async with tls_server(cert_file, key_file) as (base_url, resumed), open_http_calls(10) as calls:
        adapter, _ = adapter_for(calls, base_url)
        for _ in range(3):
            assert (await adapter.run(provider_slug="acme")).end.finish_reason == "stop"

    assert resumed == [False, True, True]


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with tls_server(*certificate(tmp_path)) as (base_url, _), open_http_calls(10) as calls:
        adapter, _ = adapter_for(calls, base_url)

        outcome = await adapter.run(provider_slug="acme")

    assert (outcome.failure["class"], outcome.failure["phase"]) == ("upstream", "connect")


@pytest.fixture
async def proxy() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        yield running


def proxy_url(proxy: ScriptedUpstream) -> str:
    return proxy.base_url.replace("http://", "http://user:pass-word@").removesuffix("/v1")


async def test_a_proxy_is_on_the_way_to_providers(calls: HttpCalls, proxy: ScriptedUpstream) -> None:
    adapter, _ = adapter_for(calls, "http://provider.test/v1", proxy=proxy_url(proxy))
    proxy.answer(whole(REPLY))

    outcome = await adapter.run(provider_slug="acme")

    assert outcome.end.finish_reason == "stop"
    (asked,) = proxy.received
    assert asked.line == "POST http://provider.test/v1/chat/completions HTTP/1.1"
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    assert asked.headers["authorization"] == "Bearer key-123456"


async def test_a_provider_may_have_a_proxy_of_its_own_or_none(
    calls: HttpCalls, upstream: ScriptedUpstream, proxy: ScriptedUpstream
) -> None:
    adapter, registry = adapter_for(
        calls,
        upstream.base_url,
        slugs=("acme", "direct"),
        proxy="http://127.0.0.1:1",
        proxies={"acme": proxy_url(proxy), "direct": ""},
        upstream_base_url=upstream.base_url,
    )
    proxy.answer(whole(REPLY))
    upstream.answer(whole(REPLY))

    assert (await adapter.run(provider_slug="acme")).end.finish_reason == "stop"
    assert (await adapter.run(provider_slug="direct")).end.finish_reason == "stop"

    assert (len(proxy.received), len(upstream.received)) == (1, 1)
    assert registry.find("upstream").proxy == ""
    assert "pass-word" not in repr(registry.find("acme"))


@pytest.mark.parametrize("answer", ["refused", "407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_does_not_help_is_a_provider_out_of_reach(
    calls: HttpCalls, proxy: ScriptedUpstream, answer: str
) -> None:
    address = proxy_url(proxy) if answer != "refused" else "http://user:pass-word@127.0.0.1:1"
    adapter, _ = adapter_for(calls, "https://provider.test/v1", proxy=address)
    proxy.answer(whole(b"", answer))

    outcome = await adapter.run(provider_slug="acme")

    assert (outcome.failure["class"], outcome.failure["phase"]) == ("upstream", "connect")
    assert "pass-word" not in repr(outcome.failure)


async def test_over_the_limit_of_a_credential_the_next_provider_is_asked(
    calls: HttpCalls, upstream: ScriptedUpstream
) -> None:
    adapter, _ = adapter_for(calls, upstream.base_url, most=1, slugs=("acme", "other"))
    release = asyncio.Event()
    upstream.answer(STREAM_HEAD, piece(delta("a")), release, piece(delta(finish="stop") + DONE), STREAM_END)
    first = asyncio.create_task(adapter.run(provider_slug="acme", stream=True))
    await upstream.wait_until_asked()

    refused = await adapter.run(provider_slug="acme")
    upstream.answer(whole(REPLY))
    other = await adapter.run(provider_slug="other")
    release.set()
    streamed = await first
    upstream.answer(whole(REPLY))
    after = await adapter.run(provider_slug="acme")

    assert (refused.failure["class"], refused.failure["status"]) == ("rate_limited", "0")
    assert refused.failure["retryable_elsewhere"] == "true"
    assert streamed.text == "a"
    assert other.end.finish_reason == after.end.finish_reason == "stop"


@pytest.mark.parametrize("stream", [True, False])
async def test_whatever_ends_a_call_makes_room_for_the_next(
    calls: HttpCalls, upstream: ScriptedUpstream, stream: bool
) -> None:
    adapter, _ = adapter_for(calls, upstream.base_url, most=1)
    upstream.answer(whole({"error": {"message": "no"}}, "400 Bad Request"))
    upstream.answer(whole(b"<html>", kind="text/html"))
    upstream.answer(asyncio.Event())

    assert (await adapter.run(provider_slug="acme", stream=stream)).failure["class"] == "invalid_request"
    assert (await adapter.run(provider_slug="acme", stream=stream)).failure["class"] == "upstream"
    upstream.asked.clear()
    left = asyncio.create_task(adapter.run(provider_slug="acme", stream=stream))
    await upstream.wait_until_asked()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    upstream.answer(whole(REPLY))
    assert (await adapter.run(provider_slug="acme")).end.finish_reason == "stop"


async def test_a_warm_connection_is_used_by_the_first_request(calls: HttpCalls, upstream: ScriptedUpstream) -> None:
    adapter, registry = adapter_for(calls, upstream.base_url)
    upstream.answer(whole(b"front page", "404 Not Found"))
    upstream.answer(whole(REPLY))

    await warm_up(calls, registry, ["acme", "unknown"])
    assert (await adapter.run(provider_slug="acme")).end.finish_reason == "stop"

    assert [asked.line for asked in upstream.received] == ["GET / HTTP/1.1", "POST /v1/chat/completions HTTP/1.1"]
    assert "authorization" not in upstream.received[0].headers
    assert len(upstream.connections) == 1
