"""Replies that are somewhere else than the answer to the request: created, waited for, streamed, counted, stopped."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from libs.clock import SystemClock
from libs.settings import load
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.hosts import Host, load_hosts
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_adapter.conftest import Adapter, Outcome, limits
from tests.integration.provider_adapter.scripted_upstream import (
    STREAM_END,
    STREAM_HEAD,
    Cut,
    ScriptedUpstream,
    UntilGone,
    piece,
    scripted_upstream,
    whole,
)
from tests.integration.provider_simulator.raw_http import until
from tests.testkit.provider_wires import Reply
from tests.testkit.provider_wires_replicate import METRICS, ReplicateWire, prediction

KEY = "r8_SecretThatNobodySees1234567890"
EVENTS = ReplicateWire().stream(Reply(words=("Hel", "lo")))


class World:
    """The adapter, and Replicate behind an address of ours."""

    def __init__(self, calls: HttpCalls, host: ScriptedUpstream) -> None:
        self.host = host
        hosts = {"replicate": Host(host.base_url, "", "replicate")}
        registry = Registry(protocols(), hosts, {"replicate": KEY})
        servicer = ProviderAdapterServicer(
            registry, Attempts(calls, SystemClock()), UpstreamModels(registry, calls), None
        )
        self.adapter = Adapter(servicer)

    async def ask(self, **changes: Any) -> Outcome:
        fields = {"provider_slug": "replicate", "provider_model_id": "openai/gpt-4o", "limits": limits()}
        return await self.adapter.run(**{**fields, **changes})

    @property
    def lines(self) -> list[str]:
        return [one.line.removesuffix(" HTTP/1.1") for one in self.host.received]

    async def until_lines(self, count: int) -> None:
        async def there() -> bool:
            return len(self.lines) >= count

        await until(there)


@pytest.fixture
async def world(calls: HttpCalls) -> AsyncIterator[World]:
    async with scripted_upstream() as host:
        yield World(calls, host)


CREATE = "POST /v1/models/openai/gpt-4o/predictions"
LOOK = "GET /v1/predictions/up-1"
STREAM = "GET /v1/streams/eot4"
CANCEL = "POST /v1/predictions/up-1/cancel"


async def test_a_prediction_that_is_over_at_once_is_the_reply(world: World) -> None:
    world.host.answer(whole(prediction("succeeded", output=["Hel", "lo"], metrics=METRICS), "201 Created"))

    outcome = await world.ask()

    assert orjson.loads(outcome.messages[0].result.json)["choices"][0]["message"]["content"] == "Hello"
    assert (outcome.end.usage.prompt_tokens, outcome.end.usage.completion_tokens) == (10, 6)
    assert world.lines == [CREATE]
    assert world.host.received[0].headers["prefer"] == "wait=60"


async def test_a_prediction_that_takes_longer_is_looked_at_until_it_is_over(world: World) -> None:
    world.host.answer(whole(prediction("starting"), "201 Created"))
    world.host.answer(whole(prediction("processing")))
    world.host.answer(whole(prediction("succeeded", output=["Hello"], metrics=METRICS)))

    assert (await world.ask()).end.finish_reason == "stop"

    assert world.lines == [CREATE, LOOK, LOOK]
    assert {one.headers["authorization"] for one in world.host.received} == {f"Bearer {KEY}"}


async def test_a_stream_is_where_the_prediction_says_and_its_counts_come_after_it(world: World) -> None:
    world.host.answer(whole(prediction("starting"), "201 Created"))
    world.host.answer(STREAM_HEAD, piece(EVENTS), STREAM_END)
    world.host.answer(whole(prediction("processing")))
    world.host.answer(whole(prediction("succeeded", metrics=METRICS)))

    outcome = await world.ask(stream=True)

    assert outcome.text == "Hello"
    assert (outcome.end.usage.completion_tokens, outcome.end.native_finish_reason) == (6, "succeeded")
    assert world.lines == [CREATE, STREAM, LOOK, LOOK]


async def test_a_stream_whose_counts_cannot_be_had_is_a_reply(world: World) -> None:
    world.host.answer(whole(prediction("starting"), "201 Created"))
    world.host.answer(STREAM_HEAD, piece(EVENTS), STREAM_END)
    world.host.answer(whole({"detail": "gone"}, "404 Not Found"))

    outcome = await world.ask(stream=True)

    assert outcome.text == "Hello"
    assert not outcome.end.HasField("usage")
    assert world.lines == [CREATE, STREAM, LOOK]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_ends_the_prediction(world: World, stream: bool) -> None:
    world.host.answer(whole(prediction("starting"), "201 Created"))
    world.host.answer(*((STREAM_HEAD,) if stream else ()), UntilGone())
    world.host.answer(whole(prediction("canceled")))
    task = asyncio.create_task(world.ask(stream=stream))
    await world.until_lines(2)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await world.until_lines(3)

    assert world.lines == [CREATE, STREAM if stream else LOOK, CANCEL]
    await world.host.wait_until_gone()


async def test_a_stream_that_is_cut_failed_and_its_prediction_is_stopped(world: World) -> None:
    world.host.answer(whole(prediction("starting"), "201 Created"))
    world.host.answer(STREAM_HEAD, piece(EVENTS[: EVENTS.index(b"event: done")]), Cut())
    world.host.answer(whole(prediction("canceled")))

    outcome = await world.ask(stream=True)
    await world.until_lines(3)

    assert outcome.text == "Hello"
    assert (outcome.failure["class"], outcome.failure["after_first_chunk"]) == ("upstream", "true")
    assert world.lines == [CREATE, STREAM, CANCEL]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([whole({"title": "Unauthenticated", "detail": f"Bad token {KEY}", "status": 401}, "401 Unauthorized")], "authentication"),
        ([whole({"title": "Insufficient credit", "detail": "Pay", "status": 402}, "402 Payment Required")], "insufficient_credits"),
        ([whole({"detail": "input: Additional property x is not allowed", "status": 422}, "422 Unprocessable Entity")], "invalid_request"),
        ([whole(prediction("failed", error="CUDA out of memory"), "201 Created")], "upstream"),
        ([whole(prediction("starting"), "201 Created"), whole({"detail": "late"}, "504 Gateway Timeout")], "timeout"),
        ([whole(prediction("starting"), "201 Created"), whole(prediction("failed", error="boom"))], "upstream"),
        ([whole(prediction("starting", urls={"get": "https://evil.test/x", "stream": "https://evil.test/x"}), "201 Created")], "upstream"),
        ([whole(b"<html>", "201 Created", kind="text/html")], "upstream"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
async def test_trouble_on_any_step_has_its_class_and_shows_nothing(
    world: World, steps: list[bytes], expected: str, stream: bool
) -> None:
    for step in steps:
        world.host.answer(step)
    world.host.answer(whole(prediction("canceled")))

    outcome = await world.ask(stream=stream)

    assert outcome.messages == []
    assert outcome.failure["class"] == expected
    assert KEY not in repr(outcome.failure)
    assert "evil" not in repr(outcome.failure)


async def test_a_prediction_that_never_ends_runs_into_the_limit_and_is_stopped(world: World) -> None:
    world.host.answer(whole(prediction("starting"), "201 Created"))
    world.host.answer(UntilGone())
    world.host.answer(whole(prediction("canceled")))

    outcome = await world.ask(limits=limits(first_event_ms=900))
    await world.until_lines(3)

    assert (outcome.failure["class"], outcome.failure["phase"]) == ("timeout", "first_event")
    assert world.lines == [CREATE, LOOK, CANCEL]


class Simulated:
    """The adapter in front of the simulator, which refuses what a model's input does not have."""

    def __init__(self, calls: HttpCalls, simulator: RunningSimulator) -> None:
        self.simulator = simulator
        registry = Registry(protocols(), load_hosts(), {}, simulator_base_url=simulator.base_url)
        servicer = ProviderAdapterServicer(
            registry, Attempts(calls, SystemClock()), UpstreamModels(registry, calls), None
        )
        self.adapter = Adapter(servicer)

    async def ask(self, messages: Any, model: str = "openai/gpt-4o", *, stream: bool, **fields: Any) -> Outcome:
        listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return await self.adapter.run(
            body=orjson.dumps({"model": "m", "messages": listed, **fields}),
            stream=stream,
            provider_slug="replicate",
            provider_model_id=model,
            limits=limits(),
        )

    async def stats(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.simulator.base_url}/sim/stats") as response:
            providers = (await response.json())["providers"]
        (tally,) = providers.get("replicate", {"": {}}).values()
        assert isinstance(tally, dict)
        return tally


def text_of(outcome: Outcome) -> str:
    assert outcome.error is None, outcome.error.metadata
    if outcome.sse:
        return outcome.text
    content = orjson.loads(outcome.messages[0].result.json)["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


@pytest.fixture
async def simulated(calls: HttpCalls) -> AsyncIterator[Simulated]:
    simulator = await start(load(ProviderSimulatorSettings, {"refuse_unknown_parameters": True}))
    yield Simulated(calls, simulator)
    await simulator.stop()


both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@both
async def test_text_comes_with_the_usage_that_the_provider_counted(simulated: Simulated, stream: bool) -> None:
    outcome = await simulated.ask("[[sim words=one%20two%0Athree]]", stream=stream)

    stats = await simulated.stats()
    assert text_of(outcome) == "one two\nthree"
    assert (outcome.end.usage.prompt_tokens, outcome.end.usage.completion_tokens) == (
        stats["prompt_tokens"],
        stats["completion_tokens"],
    )
    assert (stats["asked"], stats["answered"], outcome.end.finish_reason) == (1, 1, "stop")


@both
@pytest.mark.parametrize(
    "model",
    [
        "anthropic/claude-4-sonnet", "openai/gpt-4.1", "openai/gpt-5-mini", "openai/gpt-oss-120b", "openai/o1",
        "openai/o1-mini", "openai/o4-mini", "google/gemini-2.5-flash", "google/gemini-3-pro", "deepseek-ai/deepseek-r1",
        "deepseek-ai/deepseek-v3.1", "qwen/qwen3-235b-a22b-instruct-2507", "meta/llama-2-70b-chat",
        "mistralai/mixtral-8x7b-instruct-v0.1",
    ],
)  # fmt: skip
async def test_whatever_chat_can_say_is_accepted_or_left_out_by_every_family(
    simulated: Simulated, model: str, stream: bool
) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "One."},
        {"role": "user", "content": "A [[sim words=no]]", "name": "ann"},
        {"role": "assistant", "content": "I begin."},
        {"role": "system", "content": "Two."},
        {"role": "user", "content": [{"type": "text", "text": "Say [[sim words=yes]]"}]},
    ]
    fields: dict[str, Any] = {
        "temperature": 2, "top_p": 0.5, "frequency_penalty": 2, "presence_penalty": -2, "stop": ["x", " "], "seed": 7,
        "top_k": 5, "user": "alice", "metadata": {"a": "b"}, "max_tokens": 2000, "reasoning": {"effort": "xhigh"},
        "verbosity": "low", "logit_bias": {"1": 1}, "n": 1, "service_tier": "auto", "some_vendors_extra": 1,
    }  # fmt: skip

    # Messages cannot hold two directives in one text, and a transcript's last speaker is the one who is answered.
    assert text_of(await simulated.ask(messages[-1:], model, stream=stream, **fields)) == "yes"
    messages[1]["content"] = "A"
    assert text_of(await simulated.ask(messages, model, stream=stream, **fields)) == "yes"


@both
@pytest.mark.parametrize("model", ["anthropic/claude-4-sonnet", "openai/gpt-4o", "google/gemini-2.5-flash"])
async def test_an_image_is_accepted(simulated: Simulated, model: str, stream: bool) -> None:
    parts = [
        {"type": "text", "text": "Look: [[sim words=seen]]"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]

    assert text_of(await simulated.ask([{"role": "user", "content": parts}], model, stream=stream)) == "seen"


@both
async def test_the_limit_holds_and_is_why_it_ended(simulated: Simulated, stream: bool) -> None:
    outcome = await simulated.ask("[[sim tokens=50]]", stream=stream, max_tokens=17)

    assert (outcome.end.finish_reason, outcome.end.usage.completion_tokens) == ("length", 17)


@both
@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("fail=400", "invalid_request"), ("fail=401", "authentication"), ("fail=402", "insufficient_credits"),
        ("fail=404", "not_found"), ("fail=429", "rate_limited"), ("fail=500", "upstream"), ("fail=503", "overloaded"),
        ("cut=0", "upstream"), ("garbage=html", "upstream"), ("garbage=json", "upstream"), ("garbage=utf8", "upstream"),
        ("nonsense=1", "invalid_request"),
    ],
)  # fmt: skip
async def test_every_trouble_has_its_class(simulated: Simulated, dial: str, expected: str, stream: bool) -> None:
    outcome = await simulated.ask(f"[[sim {dial}]]", stream=stream)

    assert outcome.messages == []
    assert outcome.failure["class"] == expected


@pytest.mark.parametrize(("dial", "words"), [("fail=500 after=2", 2), ("cut=3", 3)])
async def test_trouble_in_a_stream_comes_after_what_was_said(simulated: Simulated, dial: str, words: int) -> None:
    outcome = await simulated.ask(f"[[sim tokens=9 {dial}]]", stream=True)

    assert (outcome.failure["after_first_chunk"], outcome.failure["class"]) == ("true", "upstream")
    assert len(outcome.text.split()) == words


async def test_missing_usage_is_said(simulated: Simulated) -> None:
    assert not (await simulated.ask("[[sim usage=none]]", stream=True)).end.HasField("usage")
