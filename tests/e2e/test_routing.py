"""Choosing models and providers from outside: shortcuts, routers, preferences, and the reasons that come back."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from tests.testkit.api import MODEL, eventually
from tests.testkit.shapes import Shape


@pytest.fixture
async def client(shape: Shape) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key=shape.api_key, max_retries=0) as client:
        yield client


async def ask(client: openai.AsyncOpenAI, model: str, text: str = "Hello", **extra: Any) -> dict[str, Any]:
    reply = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        extra_body=extra,
        extra_headers={"X-OpenRouter-Metadata": "enabled"},
    )
    return reply.model_dump()


async def explain(shape: Shape, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=shape.api_base, headers={"Authorization": f"Bearer {shape.api_key}"}) as http:
        request = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **body}
        reply = await http.post("/routing/explain", json=request)
        assert reply.status_code == 200, reply.text
        data: dict[str, Any] = reply.json()["data"]
        return data


async def test_reply_names_every_attempt_and_why_the_others_were_not_tried(client: openai.AsyncOpenAI) -> None:
    providers = ["novita-ai", "deepinfra"]
    reply = await ask(
        client, MODEL, "[[sim fail=503 only=novita-ai]]", provider={"order": providers, "allow_fallbacks": False}
    )
    metadata = reply["openrouter_metadata"]
    assert [one["status"] for one in metadata["attempts"]] == [503, 200]
    assert reply["provider"] == metadata["attempts"][1]["provider"]
    dropped = {one["dropped_by"] for one in metadata["explanation"] if one["rank"] is None}
    assert "allowed_providers" in dropped


async def test_floor_is_served_by_the_cheapest_endpoint(client: openai.AsyncOpenAI, shape: Shape) -> None:
    planned = (await explain(shape, model=f"{MODEL}:floor"))["attempts"]
    well = [one["pricing"] for one in planned if one["reason"] == "price"]  # those in trouble come behind
    prices = [3 * float(one["prompt"]) + float(one["completion"]) for one in well]
    assert len(prices) > 1
    assert prices == sorted(prices)
    reply = await ask(client, f"{MODEL}:floor")
    assert (reply["model"], reply["provider"]) == (MODEL, planned[0]["provider"])


async def test_router_models_name_the_model_that_served(client: openai.AsyncOpenAI, shape: Shape) -> None:
    reply = await ask(client, "openrouter/auto", plugins=[{"id": "auto-router", "cost_tier": "low"}])
    assert "/" in reply["model"]
    assert reply["model"] != "openrouter/auto"
    assert reply["openrouter_metadata"]["strategy"] == "auto"
    free = await ask(client, "switchyard/free")
    assert free["usage"]["cost"] == 0


async def test_conversation_that_its_caller_names_returns_to_the_endpoint_that_answered(
    client: openai.AsyncOpenAI, shape: Shape
) -> None:
    model = "openai/gpt-4o-mini"
    session = f"e2e-{shape.kind}"
    first = await ask(client, model, session_id=session, provider={"order": ["azure"]})

    async def planned_first() -> dict[str, Any]:
        attempt: dict[str, Any] = (await explain(shape, model=model, session_id=session))["attempts"][0]
        return attempt

    async def is_held() -> bool:
        return bool((await planned_first())["reason"] == "sticky")

    await eventually(is_held)
    held = await planned_first()
    assert held["provider"] == first["provider"]
    assert (await ask(client, model, session_id=session))["provider"] == first["provider"]
    assert (await explain(shape, model=model, session_id="another"))["attempts"][0]["reason"] != "sticky"


async def test_explain_names_what_emptied_the_plan(shape: Shape) -> None:
    data = await explain(shape, provider={"max_price": {"prompt": 0, "completion": 0}})
    assert data["attempts"] == []
    assert data["error"]["code"] == 404
    assert data["error"]["availability"]["constraint"]["field"] == "provider.max_price"
    assert {one["dropped_by"] for one in data["dropped"]} >= {"max_price"}


async def test_unknown_shortcut_is_an_unknown_model(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="is not a valid model ID"):
        await ask(client, f"{MODEL}:quickly")
