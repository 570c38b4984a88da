"""An endpoint that fails loses its traffic at once, callers do not notice, and the public figures tell of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from openrouter import components

from tests.testkit.api import Api, Reply, eventually
from tests.testkit.shapes import Shape

MODEL = "openai/gpt-oss-120b"
"""Of which no other test knows."""
FAILING, *OTHERS = "deepinfra", "novita-ai", "io-net"
BREAKS = f"[[sim fail=503 only={FAILING}]]"


@pytest.fixture
async def api(shape: Shape) -> AsyncIterator[Api]:
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        yield api


async def ask(api: Api, text: str, count: int, **preferences: Any) -> list[Reply]:
    provider = {"only": [FAILING, *OTHERS], **preferences}
    return await asyncio.gather(*(api.chat(text, model=MODEL, provider=provider) for _ in range(count)))


async def asked(shape: Shape) -> int:
    """How often the failing endpoint was asked, by the simulator's count."""
    async with aiohttp.ClientSession() as session, session.get(f"{shape.simulator_base}/sim/stats") as reply:
        found = (await reply.json())["providers"]
    return int(found.get(FAILING, {}).get(MODEL, {}).get("asked", 0))


async def endpoints(api: Api) -> dict[str, Any]:
    found = (await api.get(f"/models/{MODEL}/endpoints")).body["data"]
    components.ListEndpointsResponse.model_validate(found)
    return {one["tag"]: one for one in found["endpoints"]}


async def test_failing_endpoint_is_left_and_callers_do_not_notice(shape: Shape, api: Api) -> None:
    async def is_behind() -> bool:
        """Once what was asked is known: at a cold start of Kafka that takes its time."""
        replies = await ask(api, f"Hello! {BREAKS}", 10, sort="price")
        assert {reply.status for reply in replies} == {200}
        return bool((await endpoints(api))[FAILING]["status"] < 0)

    await eventually(is_behind, within_s=60, every_s=1)
    before = await asked(shape)
    later = await ask(api, f"Hello! {BREAKS}", 30, sort="price")
    assert {reply.status for reply in later} == {200}
    assert await asked(shape) == before, "nobody asks it any more"
    shown = await endpoints(api)
    assert shown[FAILING]["latency_last_30m"] is None
    serving = [shown[slug] for slug in OTHERS if shown[slug]["latency_last_30m"]]
    assert serving
    for one in serving:
        latency, throughput = one["latency_last_30m"], one["throughput_last_30m"]
        assert 0 < latency["p50"] <= latency["p75"] <= latency["p90"] <= latency["p99"] < 60_000
        assert 0 < throughput["p50"] <= throughput["p99"]
