"""Oracle's cloud as an operator sets it up: variables of a signing key, and a recording that stands behind its address."""

import json
import tempfile
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.testkit.api import Api
from tests.testkit.receivers import Handler, serving
from tests.testkit.shapes import running_beside

COHERE, GEMINI = "cohere/command-a", "google/gemini-2.5-pro"
USER = "ocid1.user.oc1..nobody-sees"


def signing_key() -> str:
    how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*how).decode()


async def test_a_signing_key_opens_oracles_own_format_and_one_that_is_refused_leaves_the_next() -> None:
    bodies: list[dict[str, object]] = []
    proofs: list[str] = []
    key = signing_key()

    async def chat(request: web.Request) -> web.Response:
        proofs.append(request.headers["Authorization"].partition(" ")[0])
        body = await request.json()
        bodies.append(body)
        if body["servingMode"]["modelId"].startswith("cohere."):
            refused = {"code": "NotAuthenticated", "message": f"The key of {USER} was not accepted."}
            return web.json_response(refused, status=401)
        message = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "from oracle"}]}
        choice = {"index": 0, "message": message, "finishReason": "stop"}
        usage = {"promptTokens": 5, "completionTokens": 2, "totalTokens": 7}
        return web.json_response({"chatResponse": {"apiFormat": "GENERIC", "choices": [choice], "usage": usage}})

    async def answer(request: web.Request) -> web.Response:
        proofs.append(request.headers.get("Authorization", ""))
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        choice = {"message": {"role": "assistant", "content": "from acme"}, "index": 0, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": usage})

    routes: dict[str, Handler] = {
        "POST /oracle/20231130/actions/chat": chat,
        "POST /acme/chat/completions": answer,
    }
    pricing = {"prompt": "0.000001", "completion": "0.000002"}
    with tempfile.TemporaryDirectory() as folder:
        async with serving(routes) as base:
            acme = {"provider": "acme", "provider_model_id": "command", "pricing": pricing, "context_length": 32768}
            document = {
                "providers": [{"slug": "acme", "name": "Acme", "kind": "private", "base_url": f"{base}/acme"}],
                "endpoints": [{"model": COHERE, **acme, "supported_parameters": ["max_tokens"]}],
            }
            (Path(folder) / "acme.json").write_text(json.dumps(document))
            names = {
                "SWITCHYARD_ROUTER_OVERLAY_DIR": folder,
                "SWITCHYARD_PROVIDER_ADAPTER_BASE_URLS": json.dumps({"oci": f"{base}/oracle"}),
                "OCI_TENANCY": "ocid1.tenancy.oc1..t",
                "OCI_USER": USER,
                "OCI_FINGERPRINT": "20:3b:97",
                "OCI_KEY": key,
            }
            async with running_beside("standalone", **names) as shape, Api(shape.api_base, shape.api_key) as api:
                opened = await api.chat("Hello", model=GEMINI)
                fallen = await api.chat("Hello", model=COHERE, provider={"order": ["oci", "acme"]})
                alone = await api.chat("Hello", model=COHERE, provider={"only": ["oci"]})

    assert opened.text == "from oracle"
    assert (fallen.status, fallen.text) == (200, "from acme")
    assert alone.status == 502, alone.body
    assert proofs[:3] == ["Signature", "Signature", ""]
    # Who names no compartment means the root.
    assert {body["compartmentId"] for body in bodies} == {"ocid1.tenancy.oc1..t"}
    for shown in (json.dumps(alone.body, default=str), json.dumps(fallen.body, default=str)):
        assert key.splitlines()[1] not in shown
        assert base not in shown
