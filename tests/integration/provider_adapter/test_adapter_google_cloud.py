"""Vertex AI with a service account: a key of ours, a token server on loopback beside the stand-in for the cloud."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from libs.clock import SystemClock
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.credentials.table import authorizers
from services.provider_adapter.hosts import Host
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from tests.integration.provider_adapter.conftest import Adapter, Outcome
from tests.integration.provider_adapter.scripted_upstream import Received, ScriptedUpstream, scripted_upstream, whole

PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
REPLY = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}


@pytest.fixture
async def cloud() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        yield running


class Cloud:
    """The adapter with one service account for a cloud that answers as scripted."""

    def __init__(self, calls: HttpCalls, cloud: ScriptedUpstream, token_uri: str = "") -> None:
        self.upstream = cloud
        origin = cloud.base_url.removesuffix("/v1")
        self.base_url = f"{origin}/v1/projects/p/locations/l"
        self.token_uri = token_uri or f"{origin}/token"
        key = {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "k1",
            "private_key": PEM,
            "client_email": "switchyard@p.iam.gserviceaccount.com",
            "token_uri": self.token_uri,
        }
        hosts = {"google-vertex": Host(self.base_url, "", "vertex", authorizer="google")}
        credentials = {"google-vertex": orjson.dumps(key).decode()}
        registry = Registry(protocols(), hosts, credentials, authorizers=authorizers())
        attempts = Attempts(calls, SystemClock())
        self.adapter = Adapter(ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, calls), None))

    async def ask(self, **changes: Any) -> Outcome:
        fields = {"provider_slug": "google-vertex", "provider_model_id": "gemini-2.5-flash", **changes}
        return await self.adapter.run(**fields)


def claims_of(asked: Received) -> dict[str, Any]:
    """What the assertion says; its signature has been checked."""
    assertion = parse_qs(asked.body.decode())["assertion"][0]
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in assertion.split("."))
    signed = assertion.rpartition(".")[0].encode()
    PRIVATE_KEY.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    assert orjson.loads(head) == {"typ": "JWT", "alg": "RS256", "kid": "k1"}
    value = orjson.loads(claims)
    assert isinstance(value, dict)
    return value


async def test_a_service_account_signs_for_a_token_and_calls_with_it(calls: HttpCalls, cloud: ScriptedUpstream) -> None:
    world = Cloud(calls, cloud)
    cloud.answer(whole({"access_token": "ya29.first", "expires_in": 3600, "token_type": "Bearer"}))
    cloud.answer(whole(REPLY))
    cloud.answer(whole(REPLY))

    assert (await world.ask()).end.finish_reason == "stop"
    assert (await world.ask()).end.finish_reason == "stop"

    exchange, *asked = cloud.received
    claims = claims_of(exchange)
    assert exchange.line == "POST /token HTTP/1.1"
    assert claims["iss"] == "switchyard@p.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 60
    path = "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent"
    assert [one.line for one in asked] == [f"POST {path} HTTP/1.1"] * 2
    assert [one.headers["authorization"] for one in asked] == ["Bearer ya29.first"] * 2


async def test_a_token_that_is_about_to_expire_is_not_used(calls: HttpCalls, cloud: ScriptedUpstream) -> None:
    world = Cloud(calls, cloud)
    for name in ("ya29.first", "ya29.second"):
        cloud.answer(whole({"access_token": name, "expires_in": 20}))
        cloud.answer(whole(REPLY))

    await world.ask()
    await world.ask()

    assert [one.headers.get("authorization") for one in cloud.received] == [
        None, "Bearer ya29.first", None, "Bearer ya29.second"
    ]  # fmt: skip


async def test_requests_that_come_together_exchange_the_key_once(calls: HttpCalls, cloud: ScriptedUpstream) -> None:
    world = Cloud(calls, cloud)
    cloud.answer(whole({"access_token": "ya29.first", "expires_in": 3600}))
    for _ in range(5):
        cloud.answer(whole(REPLY))

    outcomes = await asyncio.gather(*(world.ask() for _ in range(5)))

    assert all(outcome.end.finish_reason == "stop" for outcome in outcomes)
    assert [one.line.split()[1] for one in cloud.received].count("/token") == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (whole({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, "400 Bad Request"), "authentication"),
        (whole({"error": "unauthorized_client"}, "401 Unauthorized"), "authentication"),
        (whole({"token_type": "Bearer"}), "authentication"),
    ],
)  # fmt: skip
async def test_a_key_that_is_not_accepted_is_our_trouble_and_is_not_shown(
    calls: HttpCalls, cloud: ScriptedUpstream, answer: bytes, expected: str
) -> None:
    world = Cloud(calls, cloud)
    cloud.answer(answer)

    outcome = await world.ask()

    assert outcome.failure["class"] == expected
    assert outcome.failure["retryable_elsewhere"] == "true"
    assert "PRIVATE" not in repr(outcome.failure)
    assert "iam.gserviceaccount" not in repr(outcome.failure)
    assert [one.line for one in cloud.received] == ["POST /token HTTP/1.1"]


async def test_a_key_is_sent_to_no_token_server_of_its_own_choosing(
    calls: HttpCalls, cloud: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_upstream() as other:
        # Google's own server, to which the key goes instead, is not asked from a test.
        monkeypatch.setattr("services.provider_adapter.credentials.google._TOKEN_SERVER", "http://127.0.0.1:1/token")
        world = Cloud(calls, cloud, token_uri=other.base_url + "/token")

        outcome = await world.ask()

        assert (outcome.failure["class"], outcome.failure["phase"]) == ("upstream", "connect")
        assert other.received == cloud.received == []
