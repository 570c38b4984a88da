"""One variable points Switchyard at any OpenAI-compatible server."""

from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.testkit.api import Api
from tests.testkit.receivers import serving
from tests.testkit.shapes import running_beside


async def models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "llama3.2:latest", "object": "model"}]})


def answering(seen: list[dict[str, Any]]) -> Any:
    async def answer(request: web.Request) -> web.Response:
        seen.append({"body": await request.json(), "authorization": request.headers.get("Authorization")})
        return web.json_response(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "llama3.2:latest",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "from home"}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            }
        )

    return answer


async def vectors(request: web.Request) -> web.Response:
    inputs = (await request.json())["input"]
    data = [{"object": "embedding", "index": index, "embedding": [0.5, -1]} for index in range(len(inputs))]
    return web.json_response({"object": "list", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}})


async def test_a_server_that_lists_its_models_is_offered_free_of_charge() -> None:
    seen: list[dict[str, Any]] = []
    routes = {
        "GET /v1/models": models,
        "POST /v1/chat/completions": answering(seen),
        "POST /v1/embeddings": vectors,
    }
    async with serving(routes) as base:
        names = {"SWITCHYARD_UPSTREAM_BASE_URL": f"{base}/v1", "SWITCHYARD_UPSTREAM_API_KEY": "home-key"}
        async with running_beside("standalone", **names) as shape:
            assert shape.output()["simulator_base"] is None
            async with Api(shape.api_base, shape.api_key) as api:
                listed = [model["id"] for model in (await api.get("/models")).body["data"]]
                assert "upstream/llama3.2:latest" in listed
                for name in ("upstream/llama3.2:latest", "llama3.2:latest"):
                    reply = await api.chat("Hello", model=name)
                    assert reply.status == 200, reply.body
                    assert reply.text == "from home"
                    assert reply.cost == 0
                embedded = await api.post({"model": "llama3.2:latest", "input": ["a", "b"]}, path="/embeddings")
                assert [one["embedding"] for one in embedded.body["data"]] == [[Decimal("0.5"), -1]] * 2
                assert embedded.usage["prompt_tokens"] == 3
                assert embedded.cost == 0
    assert seen[0]["body"]["model"] == "llama3.2:latest"
    assert seen[0]["authorization"] == "Bearer home-key"


async def test_a_server_that_lists_nothing_stands_in_for_the_catalogue_at_its_prices() -> None:
    seen: list[dict[str, Any]] = []
    async with (
        serving({"POST /v1/chat/completions": answering(seen)}) as base,
        running_beside("standalone", SWITCHYARD_UPSTREAM_BASE_URL=f"{base}/v1") as shape,
        Api(shape.api_base, shape.api_key) as api,
    ):
        reply = await api.chat("Hello")
        assert reply.text == "from home"
        assert reply.cost > 0
