"""Requests that are signed, the whole way: what arrives at the host, on loopback, is what was signed."""

import base64
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from libs.clock import SystemClock
from libs.settings import load
from services.provider_adapter.access import find_access
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.main import build_registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.settings import Settings
from services.provider_adapter.upstream_models import UpstreamModels
from tests.integration.provider_adapter.conftest import Adapter, Outcome
from tests.integration.provider_adapter.scripted_upstream import Received, ScriptedUpstream, scripted_upstream, whole

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()
ENVIRON = {
    "OCI_TENANCY": "ocid1.tenancy.oc1..aaaa",
    "OCI_USER": "ocid1.user.oc1..bbbb",
    "OCI_FINGERPRINT": "20:3b:97",
    "OCI_COMPARTMENT_ID": "ocid1.compartment.oc1..cccc",
}
MODEL = "google.gemini-2.5-pro"
REPLY: dict[str, Any] = {
    "modelId": MODEL,
    "chatResponse": {
        "apiFormat": "GENERIC",
        "choices": [
            {"index": 0, "message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "Hi"}]}, "finishReason": "stop"}
        ],
        "usage": {"promptTokens": 1, "completionTokens": 1, "totalTokens": 2},
    },
}  # fmt: skip


class World:
    """The adapter with one signing key, and the host that it calls."""

    def __init__(self, calls: HttpCalls, host: ScriptedUpstream, pem: str = PEM) -> None:
        self.host = host
        settings = load(Settings, {"base_urls": {"oci": host.base_url}, "overlay_dir": None})
        registry = build_registry(settings, find_access(settings, {**ENVIRON, "OCI_KEY": pem}), calls)
        attempts = Attempts(calls, SystemClock())
        self.adapter = Adapter(ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, calls), None))

    async def ask(self, protocol: str = "oci") -> Outcome:
        return await self.adapter.run(
            provider_slug="oci", provider_model_id=MODEL, protocol=protocol, operation="chat", stream=False
        )


@pytest.fixture
async def host() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as upstream:
        yield upstream


def check(asked: Received, path: str) -> None:
    """As the host does it: with its own view of the request, and the public half of the key."""
    proof = re.fullmatch(
        r'Signature version="1",keyId="([^"]+)",algorithm="rsa-sha256",headers="([^"]+)",signature="([^"]+)"',
        asked.headers["authorization"],
    )
    assert proof is not None
    assert proof[1] == "ocid1.tenancy.oc1..aaaa/ocid1.user.oc1..bbbb/20:3b:97"
    seen = {**asked.headers, "(request-target)": f"post {path}"}
    assert seen["x-content-sha256"] == base64.b64encode(hashlib.sha256(asked.body).digest()).decode()
    assert seen["content-length"] == str(len(asked.body))
    words = "\n".join(f"{name}: {seen[name]}" for name in proof[2].split()).encode()
    KEY.public_key().verify(base64.b64decode(proof[3]), words, padding.PKCS1v15(), hashes.SHA256())


async def test_what_arrives_is_what_was_signed(calls: HttpCalls, host: ScriptedUpstream) -> None:
    world = World(calls, host)
    host.answer(whole(REPLY))
    host.answer(whole({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}))

    native, common = await world.ask(), await world.ask("openai")

    assert orjson.loads(native.messages[0].result.json)["choices"][0]["message"]["content"] == "Hi"
    assert common.error is None
    check(host.received[0], "/v1/20231130/actions/chat")
    check(host.received[1], "/v1/chat/completions")
    assert orjson.loads(host.received[0].body)["compartmentId"] == "ocid1.compartment.oc1..cccc"
    assert host.received[1].headers["compartmentid"] == "ocid1.compartment.oc1..cccc"


@pytest.mark.parametrize("pem", [PEM, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"])
async def test_a_refused_or_broken_key_is_the_gateways_trouble_and_not_shown(
    calls: HttpCalls, host: ScriptedUpstream, pem: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(calls, host, pem)
    host.answer(
        whole({"code": "NotAuthenticated", "message": "The required information was wrong."}, status="401 Unauthorized")
    )

    outcome = await world.ask()

    assert outcome.failure["class"] == "authentication"
    assert outcome.failure["retryable_elsewhere"] == "true"
    assert len(host.received) == (pem == PEM)
    shown = f"{outcome.error} {outcome.failure} {caplog.text}"
    for secret in (pem.splitlines()[1], "ocid1.user", "20:3b:97"):
        assert secret not in shown
