"""An endpoint whose tool calls do not fit their schemas goes behind the others, for requests with tools alone."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.testkit.api import Api, Reply, eventually
from tests.testkit.shapes import Shape

MODEL = "nvidia/nemotron-3-nano-30b-a3b"
"""Of which no other test knows."""
BAD, *OTHERS = PROVIDERS = "novita-ai", "deepinfra", "amazon-bedrock", "nebius"
REPLIES = 210
AT_ONCE = 30


def tool(**more: Any) -> dict[str, Any]:
    """One whose calls the simulator makes up well, unless more is asked than it knows of."""
    parameters = {"type": "object", "properties": {"n": {"type": "integer", **more}}, "required": ["n"]}
    return {"type": "function", "function": {"name": "look_up", "parameters": parameters}}


@pytest.fixture
async def api(shape: Shape) -> AsyncIterator[Api]:
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        yield api


async def ask(api: Api, slug: str, number: int) -> Reply:
    wanted = tool(multipleOf=7) if slug == BAD else tool()
    return await api.chat(
        "[[sim tools=1]]", model=MODEL, stream=number % 2 == 0, tools=[wanted], provider={"only": [slug]}
    )


async def planned(api: Api, *, model: str = MODEL, **fields: Any) -> dict[str, str]:
    """Providers in the order in which they would be tried, each with why."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
    body["provider"] = {"only": list(PROVIDERS), **fields.get("provider", {})}
    reply = await api.post(body, path="/routing/explain")
    assert reply.status == 200, reply.body
    return {one["tag"]: one["reason"] for one in reply.body["data"]["attempts"]}


async def test_endpoint_whose_tool_calls_do_not_fit_goes_behind_for_requests_with_tools(api: Api) -> None:
    asked = [(slug, number) for number in range(REPLIES) for slug in PROVIDERS]
    for start in range(0, len(asked), AT_ONCE):
        replies = await asyncio.gather(*(ask(api, *one) for one in asked[start : start + AT_ONCE]))
        assert {reply.status for reply in replies} == {200}, "callers get their reply, whatever is said of its calls"

    async def is_behind() -> bool:
        return (await planned(api, tools=[tool()])).get(BAD) == "tool_calls"

    await eventually(is_behind, within_s=60, every_s=0.5)
    with_tools = await planned(api, tools=[tool()])
    assert list(with_tools)[-1] == BAD
    assert {with_tools[slug] for slug in OTHERS} <= {"exacto", "slow"}
    assert "exacto" in with_tools.values()
    for without in (
        await planned(api),
        await planned(api, model=f"{MODEL}:floor", tools=[tool()]),
        await planned(api, tools=[tool()], provider={"sort": "price"}),
    ):
        assert set(without.values()) == {"price"}
