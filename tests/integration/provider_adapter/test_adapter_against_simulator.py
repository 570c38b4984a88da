from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from switchyard.common.v1 import tool_calls_pb2 as tool_calls

from libs.settings import load
from services.provider_adapter.attempts import MOST_JUDGED_BODY_BYTES
from services.provider_adapter.http_calls import HttpCalls
from services.provider_simulator.server import start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_adapter.conftest import Adapter, adapter_on, limits


@pytest.fixture
async def simulated(calls: HttpCalls) -> AsyncIterator[Adapter]:
    simulator = await start(load(ProviderSimulatorSettings, {"refuse_unknown_parameters": True}))
    yield adapter_on(calls, simulator_base_url=simulator.base_url)
    await simulator.stop()


def body(prompt: str, **fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}], **fields})


TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_comes_whole_with_its_usage(simulated: Adapter, stream: bool) -> None:
    outcome = await simulated.run(body=body("[[sim words=one%20two%20three]]"), stream=stream)

    if stream:
        assert outcome.text == "one two three"
    else:
        message = orjson.loads(outcome.messages[0].result.json)["choices"][0]["message"]
        assert message["content"] == "one two three"
    assert outcome.end.usage.completion_tokens > 0
    assert outcome.end.usage.prompt_tokens > 0
    assert outcome.end.finish_reason == "stop"
    assert outcome.end.system_fingerprint == "switchyard-simulator"


@pytest.mark.parametrize("stream", [True, False])
async def test_parallel_calls_come_whole(simulated: Adapter, stream: bool) -> None:
    outcome = await simulated.run(body=body("[[sim tools=2]]", tools=TOOLS), stream=stream)

    assert outcome.end.finish_reason == "tool_calls"
    assert outcome.end.has_content


def tool(**schema: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"n": {"type": "integer", **schema}}, "required": ["n"]}
    return {"type": "function", "function": {"name": "look_up", "parameters": parameters}}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("prompt", "fields", "verdict"),
    [
        ("[[sim tools=2]]", {"tools": TOOLS}, tool_calls.TOOL_CALL_VERDICT_VALID),
        ("[[sim tools=1]]", {"tools": [tool()]}, tool_calls.TOOL_CALL_VERDICT_VALID),
        ("[[sim tools=2]]", {"tools": [tool(multipleOf=7)]}, tool_calls.TOOL_CALL_VERDICT_SCHEMA_MISMATCH),
        ("[[sim tools=1]]", {"tools": [tool(format=7)]}, tool_calls.TOOL_CALL_VERDICT_NOT_JUDGED),
        ("hi", {"tools": [tool()]}, tool_calls.TOOL_CALL_VERDICT_UNSPECIFIED),
        ("hi", {}, tool_calls.TOOL_CALL_VERDICT_UNSPECIFIED),
        (
            "[[sim tools=1]]",
            {"tools": [tool()], "x": "x" * MOST_JUDGED_BODY_BYTES},
            tool_calls.TOOL_CALL_VERDICT_NOT_JUDGED,
        ),
    ],
)
async def test_the_end_says_whether_calls_fit_the_tools_that_were_sent(
    calls: HttpCalls, prompt: str, fields: dict[str, Any], verdict: int, stream: bool
) -> None:
    simulator = await start(load(ProviderSimulatorSettings, {}))
    try:
        adapter = adapter_on(calls, simulator_base_url=simulator.base_url)
        outcome = await adapter.run(body=body(prompt, **fields), stream=stream)
        assert outcome.end.tool_calls == verdict
    finally:
        await simulator.stop()


async def test_everything_that_steers_the_gateway_passes_a_strict_provider(simulated: Adapter) -> None:
    extras = {
        "provider": {"order": ["x"]},
        "models": ["a"],
        "route": "fallback",
        "transforms": [],
        "plugins": [],
        "preset": "p",
        "usage": {"include": True},
        "session_id": "s",
        "trace": {},
        "debug": {},
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
        "include_reasoning": True,
        "user": "alice",
        "max_tokens": 5,
        "max_completion_tokens": 4,
    }

    assert (await simulated.run(body=body("hi", **extras), stream=True, user_hash="h")).end.has_content


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("fail=400", "invalid_request"),
        ("fail=401", "authentication"),
        ("fail=402", "insufficient_credits"),
        ("fail=403", "permission"),
        ("fail=404", "not_found"),
        ("fail=408", "timeout"),
        ("fail=413", "request_too_large"),
        ("fail=422", "invalid_request"),
        ("fail=429", "rate_limited"),
        ("fail=500", "upstream"),
        ("fail=502", "upstream"),
        ("fail=503", "overloaded"),
        ("fail=504", "timeout"),
        ("fail=529", "overloaded"),
        ("cut=0", "upstream"),
        ("garbage=html", "upstream"),
        ("garbage=json", "upstream"),
        ("garbage=utf8", "upstream"),
        ("nonsense=1", "invalid_request"),
    ],
)
async def test_every_trouble_has_its_class(simulated: Adapter, dial: str, expected: str, stream: bool) -> None:
    outcome = await simulated.run(body=body(f"[[sim {dial}]]"), stream=stream)

    assert outcome.messages == []
    assert outcome.failure["class"] == expected
    assert outcome.failure["retryable_elsewhere"] == (
        "false" if expected in {"invalid_request", "request_too_large"} else "true"
    )


@pytest.mark.parametrize(("dial", "words"), [("fail=500 after=2", 2), ("cut=3", 3), ("stall=2", 2)])
async def test_trouble_in_a_stream_comes_after_what_was_said(simulated: Adapter, dial: str, words: int) -> None:
    outcome = await simulated.run(
        body=body(f"[[sim tokens=9 {dial}]]"), stream=True, limits=limits(idle_ms=100, first_event_ms=5000)
    )

    assert outcome.failure["after_first_chunk"] == "true"
    assert outcome.failure["class"] == ("timeout" if dial.startswith("stall") else "upstream")
    assert len(outcome.text.split()) == words


@pytest.mark.parametrize("stream", [True, False])
async def test_an_empty_completion_is_an_answer(simulated: Adapter, stream: bool) -> None:
    outcome = await simulated.run(body=body("[[sim empty=1]]"), stream=stream)

    assert not outcome.end.has_content
    assert outcome.end.finish_reason == ""
    assert outcome.end.usage.completion_tokens == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_missing_usage_is_said(simulated: Adapter, stream: bool) -> None:
    assert not (await simulated.run(body=body("[[sim usage=none]]"), stream=stream)).end.HasField("usage")


async def test_the_limit_that_replaces_the_callers_holds(simulated: Adapter) -> None:
    outcome = await simulated.run(body=body("[[sim tokens=50]]", max_tokens=40), stream=True, max_tokens=3)

    assert outcome.end.finish_reason == "length"
    assert outcome.end.usage.completion_tokens <= 3
