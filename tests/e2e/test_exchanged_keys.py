"""Providers whose keys are exchanged for tokens, as an operator sets them up: variables, and an overlay that moves them here."""

import json
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.testkit.api import Api
from tests.testkit.receivers import Handler, serving
from tests.testkit.shapes import running_beside

KEY = "c2VjcmV0LWtleS10aGF0LW5vYm9keS1zZWVzLTEyMw=="
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0b2tlbiJ9.nobody-sees"
GIGACHAT, GRANITE = "sberbank/gigachat-2", "ibm-granite/granite-4-h-small"


def document(base: str) -> dict[str, Any]:
    acme = {
        "provider": "acme",
        "provider_model_id": "granite",
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "context_length": 32768,
        "supported_parameters": ["max_tokens"],
    }
    return {
        "providers": [{"slug": "acme", "name": "Acme", "kind": "private", "base_url": f"{base}/acme"}],
        "endpoints": [{"model": GRANITE, **acme}],
        "changes": [
            {"provider": "gigachat", "base_url": f"{base}/giga", "token_url": f"{base}/giga-tokens"},
            {"provider": "watsonx", "base_url": f"{base}/ibm", "token_url": f"{base}/ibm-tokens"},
        ],
    }


async def test_a_key_opens_its_provider_and_one_that_is_refused_leaves_the_next() -> None:
    asked: list[str] = []
    proofs: list[str] = []

    async def give(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return web.json_response({"access_token": TOKEN, "expires_at": 4_000_000_000_000})

    async def refuse(request: web.Request) -> web.Response:
        asked.append((await request.post())["apikey"])  # type: ignore[arg-type]
        return web.json_response({"errorCode": "BXNIM0415E", "errorMessage": f"{KEY} could not be found"}, status=400)

    async def answer(request: web.Request) -> web.Response:
        proofs.append(request.headers.get("Authorization", ""))
        message = {"role": "assistant", "content": f"from {request.path.split('/')[1]}"}
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        return web.json_response(
            {"choices": [{"message": message, "index": 0, "finish_reason": "stop"}], "usage": usage}
        )

    routes: dict[str, Handler] = {
        "POST /giga-tokens": give,
        "POST /ibm-tokens": refuse,
        "POST /giga/chat/completions": answer,
        "POST /acme/chat/completions": answer,
    }
    with tempfile.TemporaryDirectory() as folder:
        async with serving(routes) as base:
            (Path(folder) / "moved.json").write_text(json.dumps(document(base)))
            names = {
                "SWITCHYARD_ROUTER_OVERLAY_DIR": folder,
                "GIGACHAT_CREDENTIALS": KEY,
                "WATSONX_API_KEY": KEY,
                "WATSONX_PROJECT_ID": "p-1",
            }
            async with running_beside("standalone", **names) as shape, Api(shape.api_base, shape.api_key) as api:
                opened = [await api.chat("Hello", model=GIGACHAT) for _ in range(2)]
                fallen = await api.chat("Hello", model=GRANITE, provider={"order": ["watsonx", "acme"]})
                alone = await api.chat("Hello", model=GRANITE, provider={"only": ["watsonx"]})

    assert [reply.text for reply in opened] == ["from giga"] * 2
    # What was refused a moment ago is not asked again.
    assert asked == [f"Basic {KEY}", KEY]
    assert proofs == [f"Bearer {TOKEN}"] * 2 + [""]
    assert (fallen.status, fallen.text) == (200, "from acme")
    assert alone.status == 502, alone.body
    for shown in (json.dumps(alone.body, default=str), json.dumps(fallen.body, default=str)):
        assert KEY not in shown
        assert TOKEN not in shown
        assert base not in shown
