"""One script for every format, against the simulator's strict validators: what passes here was accepted as sent."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from libs.clock import SystemClock
from libs.settings import load
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.hosts import load_hosts
from services.provider_adapter.http_calls import HttpCalls
from services.provider_adapter.media.fetcher import open_media_fetcher
from services.provider_adapter.media.settings import MediaSettings
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from services.provider_simulator.server import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings
from tests.integration.provider_adapter.conftest import Adapter, Outcome, limits
from tests.integration.provider_adapter.scripted_upstream import ScriptedUpstream, scripted_upstream, whole
from tests.integration.provider_simulator.raw_http import until

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
PARAMETERS = {
    "type": "object",
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "properties": {
        "city": {"$ref": "#/$defs/City"},
        "days": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        "unit": {"type": "string", "enum": ["c", "f"]},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"City": {"type": "string", "minLength": 1}},
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": PARAMETERS}}


@dataclass
class Provider:
    """One provider of one format, called through the adapter."""

    adapter: Adapter
    simulator: RunningSimulator
    slug: str
    model: str
    web: ScriptedUpstream
    protocol: str = ""

    async def ask(self, messages: Any, *, stream: bool, attempt: dict[str, Any] | None = None, **fields: Any) -> "Said":
        listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        body = orjson.dumps({"model": "m", "messages": listed, **fields})
        outcome = await self.adapter.run(
            body=body,
            stream=stream,
            provider_slug=self.slug,
            provider_model_id=self.model,
            limits=limits(),
            protocol=self.protocol,
            **(attempt or {}),
        )
        return Said(outcome, stream)

    async def providers(self) -> dict[str, dict[str, dict[str, int]]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.simulator.base_url}/sim/stats") as response:
            providers = (await response.json())["providers"]
        assert isinstance(providers, dict)
        return providers

    async def stats(self) -> dict[str, int]:
        (tally,) = (await self.providers())[self.slug].values()
        return tally


@dataclass
class Said:
    """A reply, put together as clients do."""

    outcome: Outcome
    stream: bool

    @property
    def message(self) -> dict[str, Any]:
        assert self.outcome.error is None, self.outcome.error.metadata
        if not self.stream:
            message = orjson.loads(self.outcome.messages[0].result.json)["choices"][0]["message"]
            assert isinstance(message, dict)
            return message
        message = {"role": "assistant", "content": ""}
        calls: list[dict[str, Any]] = []
        for delta in self._deltas():
            for name in ("content", "reasoning", "refusal"):
                if delta.get(name):
                    message[name] = (message.get(name) or "") + delta[name]
            message.setdefault("reasoning_details", []).extend(delta.get("reasoning_details", ()))
            for piece in delta.get("tool_calls", ()):
                if "id" in piece:
                    calls.append({"id": piece["id"], "type": "function", "function": dict(piece["function"])})
                else:
                    calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        if calls:
            message["tool_calls"] = calls
        return message

    def _deltas(self) -> list[dict[str, Any]]:
        events = [orjson.loads(part[6:]) for part in self.outcome.sse.split(b"\n\n") if part]
        return [choice["delta"] for event in events for choice in event["choices"]]

    @property
    def text(self) -> str:
        return self.message["content"] or ""

    @property
    def end(self) -> Any:
        return self.outcome.end


PROVIDERS = {
    "openai_chat": ("groq", "openai/gpt-oss-120b"),
    "openai_responses": ("perplexity-agent", "openai/gpt-5.2"),
    "azure": ("azure", "gpt-5-mini"),
    "anthropic_messages": ("anthropic", "claude-sonnet-4-5"),
    "gemini": ("google", "gemini-2.5-flash"),
    "cohere": ("cohere", "command-a-plus-05-2026"),
    "bedrock_converse": ("amazon-bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "gigachat": ("gigachat", "GigaChat-2-Max"),
    "watsonx": ("watsonx", "meta-llama/llama-4-maverick-17b"),
    "vertex_gemini": ("google-vertex", "gemini-2.5-flash"),
    "vertex_claude": ("google-vertex-anthropic", "claude-sonnet-4-5@20250929"),
    "oci_generic": ("oci", "openai.gpt-5-mini"),
    "oci_cohere": ("oci", "cohere.command-a-reasoning-08-2025"),
}
# Where the host's usual format is another one.
PROTOCOLS = {"oci": "oci"}
# Formats whose replies hold fewer calls than were asked for.
MOST_CALLS = {"gigachat": 1}


@pytest.fixture(params=list(PROVIDERS.values()), ids=list(PROVIDERS))
async def provider(calls: HttpCalls, request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    simulator = await start(load(ProviderSimulatorSettings, {"refuse_unknown_parameters": True}))
    registry = Registry(protocols(), load_hosts(), {}, simulator_base_url=simulator.base_url)
    slug, model = request.param
    async with open_media_fetcher(MediaSettings(allow_private_networks=True)) as media, scripted_upstream() as web:
        attempts = Attempts(calls, SystemClock(), media)
        servicer = ProviderAdapterServicer(registry, attempts, UpstreamModels(registry, calls), None)
        yield Provider(Adapter(servicer), simulator, slug, model, web, PROTOCOLS.get(slug, ""))
    await simulator.stop()


both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@both
async def test_request_that_nests_too_deeply_is_invalid(provider: Provider, stream: bool) -> None:
    deep = b'{"type":"object","properties":{"a":' * 240 + b"{}" + b"}}" * 240
    tools = b'[{"type":"function","function":{"name":"f","parameters":' + deep + b"}}]"
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":' + tools + b"}"
    outcome = await provider.adapter.run(
        body=body,
        stream=stream,
        provider_slug=provider.slug,
        provider_model_id=provider.model,
        protocol=provider.protocol,
        limits=limits(),
    )

    assert outcome.error is not None
    assert outcome.error.metadata.get("class") == "invalid_request", outcome.error
    assert outcome.error.metadata["retryable_elsewhere"] == "false"


@both
async def test_simulated_replies_can_be_told_in_every_format(provider: Provider, stream: bool) -> None:
    said = await provider.ask("[[sim words=one]]", stream=stream)

    assert said.end.system_fingerprint == "switchyard-simulator"
    if stream:
        events = [orjson.loads(part[6:]) for part in said.outcome.sse.split(b"\n\n") if part]
        assert {event["system_fingerprint"] for event in events} == {"switchyard-simulator"}
    else:
        reply = orjson.loads(said.outcome.messages[0].result.json)
        assert reply["system_fingerprint"] == "switchyard-simulator"


@both
async def test_simulators_own_complaint_is_passed_on_as_it_is(provider: Provider, stream: bool) -> None:
    said = await provider.ask("[[sim nonsense=1]]", stream=stream)

    assert said.outcome.error is not None
    assert said.outcome.error.metadata["provider_message"].startswith("Invalid simulator directive: unknown key")


@both
async def test_text_comes_with_the_usage_that_the_provider_counted(provider: Provider, stream: bool) -> None:
    said = await provider.ask("[[sim words=one%20two%20three]]", stream=stream)

    assert said.text == "one two three"
    assert said.end.finish_reason == "stop"
    stats = await provider.stats()
    assert (said.end.usage.prompt_tokens, said.end.usage.completion_tokens) == (
        stats["prompt_tokens"],
        stats["completion_tokens"],
    )
    assert stats["answered"] == 1


@both
async def test_a_tool_loop_of_two_turns_with_parallel_calls(provider: Provider, stream: bool) -> None:
    ask = {"role": "user", "content": "Weather? [[sim tools=2]]"}
    first = await provider.ask([{"role": "system", "content": "Be brief."}, ask], stream=stream, tools=TOOLS)
    calls = first.message["tool_calls"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": '{"t": 7}'} for call in calls]

    second = await provider.ask(
        [{"role": "system", "content": "Be brief."}, ask, first.message, *results], stream=stream, tools=TOOLS
    )

    assert first.end.finish_reason == "tool_calls"
    told = [(call["function"]["name"], orjson.loads(call["function"]["arguments"])) for call in calls]
    assert told == [("weather", {"city": "example"}), ("now", {})][: MOST_CALLS.get(provider.slug)]
    assert second.end.finish_reason == "stop"
    assert second.text


@both
async def test_reasoning_goes_back_as_it_came(provider: Provider, stream: bool) -> None:
    if provider.slug in {"groq", "azure", "gigachat", "watsonx"}:
        pytest.skip("the simulator's chat format, or the model, does not reason")
    fields: dict[str, Any] = {"tools": TOOLS, "reasoning": {"effort": "high"}, "max_tokens": 4000}
    ask = {"role": "user", "content": "Think [[sim tools=2]]"}
    first = await provider.ask([ask], stream=stream, **fields)
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "7"} for c in first.message["tool_calls"]]

    second = await provider.ask([ask, first.message, *results], stream=stream, **fields)

    assert first.message["reasoning"] == "Considering the request."
    # Bedrock counts thoughts among the output and does not tell them apart.
    assert first.end.usage.reasoning_tokens == (0 if provider.slug == "amazon-bedrock" else 4)
    # The simulator refuses thoughts that were changed on the way, and thinking that a tool loop lost.
    assert second.message["reasoning"] == "Considering the request."
    assert second.text
    if provider.slug in {"cohere", "oci"}:
        return  # nothing is signed there
    spoilt = orjson.loads(orjson.dumps(first.message).replace(b"Considering", b"Guessing"))
    for detail in spoilt["reasoning_details"]:
        if detail["type"] == "reasoning.encrypted":
            detail["data"] = "c3BvaWx0"
    refused = await provider.ask([ask, spoilt, *results], stream=stream, **fields)
    assert refused.outcome.failure["class"] == "invalid_request"


@both
async def test_a_loop_that_lost_its_reasoning_goes_on_without(provider: Provider, stream: bool) -> None:
    call = {"id": "call.of another:model", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "noon"},
    ]

    said = await provider.ask(history, stream=stream, tools=TOOLS, reasoning={"effort": "low"}, max_tokens=4000)

    assert said.text


@both
async def test_structured_output_fits_the_schema(provider: Provider, stream: bool) -> None:
    said = await provider.ask("hi", stream=stream, response_format=SCHEMA)
    with_tools = await provider.ask("[[sim tools=1]]", stream=stream, response_format=SCHEMA, tools=TOOLS)
    any_json = await provider.ask("hi", stream=stream, response_format={"type": "json_object"})

    assert orjson.loads(said.text) == {"city": "example"}
    assert said.end.finish_reason == "stop"
    assert with_tools.message["tool_calls"][0]["function"]["name"] == "weather"
    assert isinstance(orjson.loads(any_json.text), dict)
    assert any_json.end.finish_reason == "stop"


@both
async def test_images_and_files_are_accepted(provider: Provider, stream: bool) -> None:
    provider.web.answer(whole(b64decode(PIXEL.partition(",")[2])))
    parts = [
        {"type": "text", "text": "Look: [[sim words=seen]]"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": provider.web.base_url + "/cat.png"}},
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": PDF}},
    ]
    if provider.slug == "watsonx":
        refused = await provider.ask([{"role": "user", "content": parts}], stream=stream)
        assert refused.outcome.failure["retryable_elsewhere"] == "true"
        parts.pop()
    if provider.slug in {"cohere", "gigachat", "oci"}:
        # Text alone is a document there; any other file is refused before anything is sent.
        if provider.slug == "oci":
            # Images go as data, and are fetched for each request.
            provider.web.answer(whole(b64decode(PIXEL.partition(",")[2])))
        refused = await provider.ask([{"role": "user", "content": parts}], stream=stream)
        assert refused.outcome.failure["retryable_elsewhere"] == "true"
        if provider.slug == "gigachat":
            # So is every image.
            refused = await provider.ask([{"role": "user", "content": parts[:2]}], stream=stream)
            assert refused.outcome.failure["retryable_elsewhere"] == "true"
            del parts[1:3]
        parts[-1] = {"type": "file", "file": {"filename": "paper.txt", "file_data": "data:text/plain;base64,cGFwZXI="}}

    assert (await provider.ask([{"role": "user", "content": parts}], stream=stream)).text == "seen"


async def test_whatever_chat_can_say_is_accepted_or_left_out(provider: Provider) -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "One."}]},
        {"role": "system", "content": "Two."},
        {"role": "assistant", "content": "I begin. "},
        {"role": "user", "content": "A", "name": "ann"},
        {"role": "user", "content": [{"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "", "refusal": "No."},
        {"role": "system", "content": "Three."},
        {"role": "user", "content": "Say [[sim words=yes]]"},
    ]
    fields: dict[str, Any] = {
        "temperature": 2,
        "top_p": 0.5,
        "frequency_penalty": 2,
        "presence_penalty": -2,
        "stop": ["x", " ", "y"],
        "seed": 7,
        "user": "alice",
        "metadata": {"a": "b"},
        "max_tokens": 50,
        "reasoning": {"effort": "minimal", "exclude": True},
        "parallel_tool_calls": False,
        "tools": TOOLS,
        "tool_choice": "auto",
        "provider": {"order": ["x"]},
        "service_tier": "auto",
    }
    if provider.slug != "groq":
        fields |= {"top_k": 5, "min_p": 0.1, "logit_bias": {"1": 1}, "prediction": {}, "verbosity": "low", "n": 1}
        fields |= {"some_vendors_extra": 1, "repetition_penalty": 1.1, "cache_control": {"type": "ephemeral"}}

    said = await provider.ask(messages, stream=True, attempt={"user_hash": "h"}, **fields)

    assert said.text == "yes"


@pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "function", "function": {"name": "now"}}])
async def test_every_form_of_tool_choice_is_obeyed(provider: Provider, choice: Any) -> None:
    said = await provider.ask("hi", stream=True, tools=TOOLS, tool_choice=choice)

    forced = choice == "required" or isinstance(choice, dict)
    names = [call["function"]["name"] for call in said.message.get("tool_calls", ())]
    assert names == ([] if not forced else ["now"] if isinstance(choice, dict) else ["weather"])


async def test_the_limit_holds(provider: Provider) -> None:
    said = await provider.ask("[[sim tokens=50]]", stream=True, attempt={"max_tokens": 17}, max_tokens=40)

    assert said.end.finish_reason == "length"
    assert said.end.usage.completion_tokens == 17


@both
@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("fail=400", "invalid_request"),
        ("fail=401", "authentication"),
        ("fail=402", "insufficient_credits"),
        ("fail=403", "permission"),
        ("fail=404", "not_found"),
        ("fail=413", "request_too_large"),
        ("fail=429", "rate_limited"),
        ("fail=500", "upstream"),
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
async def test_every_trouble_has_its_class(provider: Provider, dial: str, expected: str, stream: bool) -> None:
    said = await provider.ask(f"[[sim {dial}]]", stream=stream)

    assert said.outcome.messages == []
    assert said.outcome.failure["class"] == expected
    if dial == "fail=429":
        assert said.outcome.failure["retry_after_s"] == "1"


@pytest.mark.parametrize(("dial", "words"), [("fail=500 after=2", 2), ("cut=3", 3)])
async def test_trouble_in_a_stream_comes_after_what_was_said(provider: Provider, dial: str, words: int) -> None:
    said = await provider.ask(f"[[sim tokens=9 {dial}]]", stream=True)

    assert said.outcome.failure["after_first_chunk"] == "true"
    assert said.outcome.failure["class"] == "upstream"
    assert len(said.outcome.text.split()) == words


@both
async def test_an_empty_completion_is_an_answer_without_an_end(provider: Provider, stream: bool) -> None:
    said = await provider.ask("[[sim empty=1]]", stream=stream)

    assert not said.end.has_content
    assert said.end.finish_reason == ""
    assert said.end.usage.completion_tokens == 0


@both
async def test_a_refusal_is_a_content_filter(provider: Provider, stream: bool) -> None:
    said = await provider.ask("[[sim tokens=0 finish=content_filter]]", stream=stream)

    assert said.end.finish_reason == "content_filter"
    assert said.text == ""


@both
async def test_missing_usage_is_said(provider: Provider, stream: bool) -> None:
    assert not (await provider.ask("[[sim usage=none]]", stream=stream)).end.HasField("usage")


async def test_a_caller_who_leaves_ends_the_providers_call(provider: Provider) -> None:
    task = asyncio.create_task(provider.ask("[[sim stall=2]]", stream=True))

    async def asked() -> bool:
        return provider.slug in (await provider.providers())

    async def cut() -> bool:
        return (await provider.stats())["cut"] == 1

    await until(asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(cut)
