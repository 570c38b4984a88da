"""`models`: whatever one model fails with, a rejection too, the next one is asked (reference behaviour-facts §2)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.testkit.api import MODEL, Api, Reply, eventually
from tests.testkit.shapes import Shape

SECOND = "openai/gpt-4o-mini"


@pytest.fixture
async def api(shape: Shape) -> AsyncIterator[Api]:
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        yield api


async def asked(api: Api, directive: str, *, stream: bool) -> Reply:
    reply = await api.chat(f"Hello! [[sim {directive}]]", models=[SECOND], stream=stream)
    if reply.status == 200:
        assert reply.whole
    return reply


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 413, 422, 429, 503])
async def test_any_error_of_the_first_model_moves_on_to_the_second(api: Api, status: int, stream: bool) -> None:
    reply = await asked(api, f"fail={status} model={MODEL} words=from%20the%20second", stream=stream)
    assert reply.status == 200, reply.body
    assert (reply.chunks[0] if stream else reply.body)["model"] == SECOND
    await eventually(lambda: api.record(reply.generation_id))
    record = await api.record(reply.generation_id)
    assert record["model"] == SECOND
    assert record["total_cost"] == reply.cost


async def test_both_models_failing_tells_the_error_of_the_last(api: Api) -> None:
    both = await asyncio.gather(
        asked(api, "fail=400", stream=False),
        asked(api, "fail=429", stream=False),
    )
    assert [reply.status for reply in both] == [400, 429]
    tried = both[0].error["metadata"]["previous_errors"]
    assert [one["status"] for one in tried] == [400, 400], "one provider of each model"
