import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from services.provider_simulator.main import RunningSimulator
from tests.integration.provider_simulator.raw_http import (
    DEADLINE_S,
    RawReply,
    chat_body,
    connect,
    exchange,
    get,
    request_bytes,
    tally,
    until,
)

PATH = "/groq/v1/chat/completions"
SLUG = "openai/gpt-oss-120b"
REQUESTS = 200


def groq_request(content: str, **fields: Any) -> bytes:
    return request_bytes({**chat_body(content, **fields), "model": "gpt-oss-120b"}, PATH)


async def test_statistics_go_by_provider_and_public_slug(simulator: RunningSimulator) -> None:
    await exchange(simulator.base_url, groq_request("[[sim tokens=4]]"))
    usage_of = json.loads(await _body(simulator, request_bytes(chat_body("[[sim tokens=2]]"))))["usage"]

    groq = await tally(simulator.base_url, "groq", SLUG)
    upstream = await tally(simulator.base_url)
    assert (groq["asked"], groq["answered"], groq["completion_tokens"]) == (1, 1, 4)
    assert upstream == {
        "asked": 1,
        "answered": 1,
        "failed": 0,
        "cut": 0,
        "prompt_tokens": usage_of["prompt_tokens"],
        "completion_tokens": 2,
    }


async def test_refused_request_of_a_known_model_counts_as_failed(simulator: RunningSimulator) -> None:
    await exchange(simulator.base_url, groq_request("hello", temperature=7))
    await exchange(simulator.base_url, groq_request("[[sim speed=7]]"))
    await exchange(simulator.base_url, request_bytes(chat_body(), PATH))

    stats = await get(simulator.base_url, "/sim/stats")
    assert list(stats["providers"]["groq"]) == [SLUG]
    counted = stats["providers"]["groq"][SLUG]
    assert (counted["asked"], counted["failed"], counted["prompt_tokens"]) == (2, 2, 0)


async def test_caller_who_leaves_in_the_middle_counts_as_cut(simulator: RunningSimulator) -> None:
    for fields in ({"stream": True}, {}):
        await _leave(simulator, groq_request("[[sim ttft_ms=600000]]", **fields))
    await _leave(simulator, groq_request("[[sim chunk_ms=600000]]", stream=True), after=b"data: ")

    await until(_all_counted(simulator, 3))
    assert (await tally(simulator.base_url, "groq", SLUG))["cut"] == 3


async def test_caller_who_never_reads_a_long_answer_and_leaves_counts_as_cut(simulator: RunningSimulator) -> None:
    await _leave(simulator, groq_request("[[sim tokens=100000]]", stream=True), after=b"data: ")

    await until(_all_counted(simulator, 1))
    counted = await tally(simulator.base_url, "groq", SLUG)
    assert (counted["cut"], counted["completion_tokens"]) == (1, 0)


async def test_counts_add_up_under_mixed_load(simulator: RunningSimulator) -> None:
    seen: Counter[str] = Counter()
    await asyncio.gather(*(_mixed(simulator, number, seen) for number in range(REQUESTS)))
    await until(_all_counted(simulator, REQUESTS))

    counted = await tally(simulator.base_url, "groq", SLUG)
    assert counted["asked"] == REQUESTS
    assert counted["answered"] == seen["answered"]
    assert counted["failed"] == seen["failed"]
    assert counted["cut"] == seen["cut"]
    assert counted["prompt_tokens"] == seen["prompt_tokens"]
    assert counted["completion_tokens"] == seen["completion_tokens"]
    assert min(seen["answered"], seen["failed"], seen["cut"]) > 10


async def _mixed(simulator: RunningSimulator, number: int, seen: Counter[str]) -> None:
    """One of eight sorts of request; notes what the caller saw of it."""
    match number % 8:
        case 0:
            await _answered(simulator, groq_request(f"plain {number} [[sim tokens={number % 50}]]"), seen)
        case 1:
            streamed = groq_request(f"[[sim chunk_ms=1 tokens={number % 20 + 1}]]", stream=True, **_USAGE)
            await _answered(simulator, streamed, seen)
        case 2:
            await exchange(simulator.base_url, groq_request("[[sim fail=429]]"))
            seen["failed"] += 1
        case 3:
            await exchange(simulator.base_url, groq_request("[[sim fail=500 after=2]]", stream=True))
            seen["failed"] += 1
        case 4:
            await exchange(simulator.base_url, groq_request("[[sim cut=2]]", stream=number % 16 == 4))
            seen["cut"] += 1
        case 5:
            await _leave(simulator, groq_request("[[sim stall=1]]", stream=True), after=b"data: ")
            seen["cut"] += 1
        case 6:
            await _leave(simulator, groq_request("[[sim chunk_ms=30000]]", stream=True), after=b"data: ")
            seen["cut"] += 1
        case _:
            await exchange(simulator.base_url, groq_request("[[sim garbage=json]]"))
            seen["failed"] += 1


_USAGE = {"stream_options": {"include_usage": True}}


async def _answered(simulator: RunningSimulator, raw: bytes, seen: Counter[str]) -> None:
    body = await _body(simulator, raw)
    if b"data: [DONE]" in body:
        usage_line = next(line for line in body.split(b"\n") if b'"choices":[],' in line)
        usage = json.loads(usage_line.removeprefix(b"data: "))["usage"]
    else:
        usage = json.loads(body)["usage"]
    seen["answered"] += 1
    seen["prompt_tokens"] += usage["prompt_tokens"]
    seen["completion_tokens"] += usage["completion_tokens"]


async def _body(simulator: RunningSimulator, raw: bytes) -> bytes:
    reply: RawReply | None = await exchange(simulator.base_url, raw)
    assert reply is not None
    assert reply.status == 200
    return reply.body


async def _leave(simulator: RunningSimulator, raw: bytes, after: bytes = b"") -> None:
    """Sends a request and closes the connection when `after` was seen, or when the simulator has taken it."""
    before = (await _asked(simulator)) if not after else 0
    reader, writer = await connect(simulator.base_url)
    writer.write(raw)
    if after:
        async with asyncio.timeout(DEADLINE_S):
            await reader.readuntil(after)
    else:

        async def taken() -> bool:
            return await _asked(simulator) > before

        await until(taken)
    writer.close()
    await writer.wait_closed()


async def _asked(simulator: RunningSimulator) -> int:
    stats = await get(simulator.base_url, "/sim/stats")
    return int(stats["providers"].get("groq", {}).get(SLUG, {"asked": 0})["asked"])


def _all_counted(simulator: RunningSimulator, requests: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        counted = await tally(simulator.base_url, "groq", SLUG)
        return counted["asked"] == requests == counted["answered"] + counted["failed"] + counted["cut"]

    return check
