"""A provider that an overlay file alone adds: its place, its format, its key's variable, its model and its price."""

import json
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.testkit.api import Api, eventually
from tests.testkit.receivers import serving
from tests.testkit.shapes import running_beside


def document(base: str, model: str) -> dict[str, Any]:
    endpoint = {
        "provider": "acme",
        "provider_model_id": "secret-1",
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "context_length": 32768,
        "supported_parameters": ["max_tokens"],
    }
    return {
        "providers": [
            {
                "slug": "acme",
                "name": "Acme",
                "kind": "private",
                "protocol": "anthropic",
                "base_url": f"{base}/v1",
                "credential_name": "ACME_TOKEN",
            }
        ],
        "models": [
            {
                "id": model,
                "name": "Secret",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "endpoints": [endpoint],
            }
        ],
    }


@pytest.mark.parametrize("kind", ["standalone", "distributed"])
async def test_an_overlay_file_is_all_that_a_provider_needs(kind: str) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers.get("x-api-key"), await request.json()))
        content = [{"type": "text", "text": "from Acme"}]
        usage = {"input_tokens": 5, "output_tokens": 2}
        return web.json_response(
            {"id": "m", "type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
        )

    with tempfile.TemporaryDirectory() as folder:
        async with serving({"POST /v1/messages": answer}) as base:
            write(Path(folder), document(base, "acme/secret"))
            names = {"SWITCHYARD_ROUTER_OVERLAY_DIR": folder, "ACME_TOKEN": "acme-key"}
            async with running_beside(kind, **names) as shape, Api(shape.api_base, shape.api_key) as api:
                assert shape.output()["simulator_base"] is None
                reply = await api.chat("Hello", model="acme/secret", max_tokens=50)
                assert reply.status == 200, reply.body
                assert reply.text == "from Acme"
                assert reply.cost == Decimal("0.000009")
                assert (seen[0][0], seen[0][1]["model"]) == ("acme-key", "secret-1")

                write(Path(folder), document(base, "acme/another"))

                async def renamed() -> bool:
                    return (await api.chat("Hello", model="acme/another", max_tokens=50)).status == 200

                await eventually(renamed)


def write(folder: Path, content: Any) -> None:
    """At once, as an operator's tools do."""
    made = folder / "acme.new"
    made.write_text(json.dumps(content))
    os.replace(made, folder / "acme.json")  # noqa: PTH105 (a rename over a file)
