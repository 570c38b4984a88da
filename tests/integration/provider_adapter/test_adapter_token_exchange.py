"""Keys that are exchanged for tokens: a token server and the host it opens, both on loopback, the whole way."""

import asyncio
import datetime as dt
import ipaddress
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from libs.clock import SystemClock
from libs.settings import load
from services.provider_adapter.access import find_access
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.http_calls import HttpCalls, open_http_calls
from services.provider_adapter.main import build_registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.settings import Settings
from services.provider_adapter.upstream_models import UpstreamModels
from tests.integration.provider_adapter.conftest import Adapter, Outcome
from tests.integration.provider_adapter.scripted_upstream import (
    REPLY,
    Received,
    ScriptedUpstream,
    UntilGone,
    scripted_upstream,
    whole,
)

KEY = "MTk2ZjI0ZGMta2V5LXRoYXQtbm9ib2R5LXNlZXM6c2VjcmV0"
TOKEN = "eyJjdHkiOiJqd3QiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIn0.first-token-that-nobody-sees"
SECOND = "eyJjdHkiOiJqd3QiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIn0.second"
FAR_MS = 4_000_000_000_000


@dataclass
class Row:
    """One host whose key is exchanged."""

    slug: str
    model: str
    environ: dict[str, str]
    token: Callable[[str, int], Any]
    check: Callable[[Received], None]


def _gigachat_asked(asked: Received) -> None:
    assert asked.headers["authorization"] == f"Basic {KEY}"
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", asked.headers["rquid"])
    assert parse_qs(asked.body.decode()) == {"scope": ["GIGACHAT_API_CORP"]}


def _ibm_asked(asked: Received) -> None:
    assert "authorization" not in asked.headers
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["urn:ibm:params:oauth:grant-type:apikey"],
        "apikey": [KEY],
    }


ROWS = [
    Row(
        "gigachat",
        "GigaChat-2",
        {"GIGACHAT_CREDENTIALS": KEY, "GIGACHAT_SCOPE": "GIGACHAT_API_CORP"},
        lambda text, seconds: {"access_token": text, "expires_at": FAR_MS if seconds > 100 else 1_000},
        _gigachat_asked,
    ),
    Row(
        "watsonx",
        "ibm/granite-4-h-small",
        {"WATSONX_API_KEY": KEY, "WATSONX_PROJECT_ID": "p-1"},
        lambda text, seconds: {"access_token": text, "token_type": "Bearer", "expires_in": seconds},
        _ibm_asked,
    ),
]


class World:
    """The adapter with one key, and the two servers that it may go to."""

    def __init__(self, row: Row, calls: HttpCalls, host: ScriptedUpstream, tokens: ScriptedUpstream) -> None:
        self.row, self.host, self.tokens = row, host, tokens
        settings = load(
            Settings,
            {
                "base_urls": {row.slug: host.base_url},
                "token_urls": {row.slug: tokens.base_url + "/oauth"},
                "overlay_dir": None,
            },
        )
        registry = build_registry(settings, find_access(settings, row.environ), calls)
        attempts = Attempts(calls, SystemClock())
        self.adapter = Adapter(ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, calls), None))

    def give_token(self, text: str = TOKEN, seconds: int = 1800) -> None:
        self.tokens.answer(whole(self.row.token(text, seconds)))

    async def ask(self) -> Outcome:
        return await self.adapter.run(provider_slug=self.row.slug, provider_model_id=self.row.model)

    @property
    def proofs(self) -> list[str]:
        return [one.headers.get("authorization", "") for one in self.host.received]


@pytest.fixture(params=ROWS, ids=lambda row: row.slug)
async def world(request: pytest.FixtureRequest, calls: HttpCalls) -> AsyncIterator[World]:
    async with scripted_upstream() as host, scripted_upstream() as tokens:
        yield World(request.param, calls, host, tokens)


async def test_a_key_is_exchanged_once_and_its_token_used_again(world: World) -> None:
    world.give_token()
    world.host.answer(whole(REPLY))
    world.host.answer(whole(REPLY))

    assert (await world.ask()).end.finish_reason == "stop"
    assert (await world.ask()).end.finish_reason == "stop"

    (asked,) = world.tokens.received
    assert asked.line == "POST /v1/oauth HTTP/1.1"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    world.row.check(asked)
    assert world.proofs == [f"Bearer {TOKEN}"] * 2
    assert not any(KEY in repr(one) for one in world.host.received)


async def test_an_expired_token_is_replaced(world: World) -> None:
    world.give_token(seconds=10)
    world.give_token(SECOND)
    world.host.answer(whole(REPLY))
    world.host.answer(whole(REPLY))

    await world.ask()
    await world.ask()

    assert world.proofs == [f"Bearer {TOKEN}", f"Bearer {SECOND}"]


async def test_requests_that_come_together_exchange_the_key_once(world: World) -> None:
    world.give_token()
    for _ in range(5):
        world.host.answer(whole(REPLY))

    outcomes = await asyncio.gather(*(world.ask() for _ in range(5)))

    assert all(outcome.end.finish_reason == "stop" for outcome in outcomes)
    assert len(world.tokens.received) == 1


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        ("401 Unauthorized", {"code": 6, "message": f"credentials {KEY} doesn't match db data"}, "authentication", "6"),
        ("400 Bad Request", {"errorCode": "BXNIM0415E", "errorMessage": f"key {KEY}"}, "authentication", "BXNIM0415E"),
        ("403 Forbidden", {"code": KEY}, "authentication", None),
        ("429 Too Many Requests", {}, "rate_limited", None),
        ("500 Internal Server Error", {"message": KEY}, "upstream", None),
        ("302 Found", {}, "upstream", None),
        ("200 OK", {"token_type": "Bearer"}, "upstream", None),
        ("200 OK", {"access_token": "two words"}, "upstream", None),
        ("200 OK", [], "upstream", None),
    ],
)
async def test_an_exchange_that_fails_is_our_trouble_goes_elsewhere_and_shows_nothing(
    world: World, caplog: pytest.LogCaptureFixture, status: str, body: Any, expected: str, code: str | None
) -> None:
    caplog.set_level(logging.DEBUG)
    world.tokens.answer(whole(body, status, "Location: http://127.0.0.1:1/"))

    outcome = await world.ask()

    assert outcome.failure["class"] == expected
    assert outcome.failure["retryable_elsewhere"] == "true"
    assert outcome.failure.get("provider_code") == code
    for shown in (repr(outcome.failure), repr(outcome.error), caplog.text):
        assert KEY not in shown
        assert "127.0.0.1" not in shown
    assert world.host.received == []


async def test_a_token_server_that_cannot_be_reached_is_a_connection_that_was_not_made(world: World) -> None:
    world.tokens.answer(UntilGone())
    task = asyncio.create_task(world.ask())
    await world.tokens.wait_until_asked()
    for connection in world.tokens.connections:
        connection.writer.close()

    failure = (await task).failure

    assert (failure["class"], failure["phase"], failure["retryable_elsewhere"]) == ("upstream", "connect", "true")


async def test_a_fresh_token_that_is_refused_is_the_credentials_trouble_and_is_not_shown(world: World) -> None:
    world.give_token()
    world.host.answer(whole({"status": 401, "message": f"Token {TOKEN} is of no use"}, "401 Unauthorized"))

    outcome = await world.ask()

    assert outcome.failure["class"] == "authentication"
    assert outcome.failure["retryable_elsewhere"] == "true"
    assert "nobody-sees" not in repr(outcome.failure)


async def test_a_host_that_was_moved_alone_gets_the_credential_as_it_is(calls: HttpCalls, world: World) -> None:
    row, host = world.row, world.host
    settings = load(Settings, {"base_urls": {row.slug: host.base_url}})
    registry = build_registry(settings, find_access(settings, row.environ), calls)
    servicer = ProviderAdapterServicer(registry, Attempts(calls, SystemClock()), UpstreamModels(registry, calls), None)
    host.answer(whole(REPLY))

    await Adapter(servicer).run(provider_slug=row.slug, provider_model_id=row.model)

    assert world.proofs == [f"Bearer {KEY}"]


async def test_an_overlay_moves_both_the_host_and_its_token_server(
    calls: HttpCalls, world: World, tmp_path: Path
) -> None:
    row = world.row
    change = {
        "provider": row.slug,
        "base_url": world.host.base_url,
        "token_url": world.tokens.base_url + "/oauth",
    }
    (tmp_path / "a.json").write_bytes(orjson.dumps({"changes": [change]}))
    settings = load(Settings, {"overlay_dir": tmp_path})
    registry = build_registry(settings, find_access(settings, row.environ), calls)
    servicer = ProviderAdapterServicer(registry, Attempts(calls, SystemClock()), UpstreamModels(registry, calls), None)
    world.give_token()
    world.host.answer(whole(REPLY))

    await Adapter(servicer).run(provider_slug=row.slug, provider_model_id=row.model)

    assert world.proofs == [f"Bearer {TOKEN}"]


async def test_a_certificate_of_an_authority_in_the_operators_file_is_trusted(tmp_path: Path) -> None:
    file, context = _self_signed(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole({"ok": True}))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    statuses: list[Any] = []
    for ca_file in (None, file):
        async with open_http_calls(4, ca_file) as calls:
            try:
                call = await calls.get(url, {}, 5.0)
                statuses.append(call.status)
                call.close(complete=False)
            except Exception as error:  # noqa: BLE001 (which one is not the point)
                statuses.append(type(error).__name__)
    server.close()
    await server.wait_closed()

    assert statuses == ["ProviderFailedError", 200]


def _self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "national")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / "ca.pem", folder / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context
