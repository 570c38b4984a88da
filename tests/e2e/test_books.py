"""Money through the front door: what replies say is what credits lose, whatever else goes wrong meanwhile."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.testkit.api import MODEL, Api, eventually
from tests.testkit.books import check_audit, check_books, usage_at_rest
from tests.testkit.mixed_load import run_mix
from tests.testkit.shapes import Shape, running


def api_of(shape: Shape) -> Api:
    return Api(shape.api_base, shape.api_key, shape.management_key)


@pytest.mark.timeout(300)
async def test_500_mixed_concurrent_requests_leave_exact_books(shape: Shape) -> None:
    async with api_of(shape) as api:
        before = await usage_at_rest(api)
        seen = await run_mix([api], 500, at_once=500, seed=7)
        assert sum(one.whole for one in seen) > 200, [one.reply for one in seen if not one.whole][:5]
        await check_books(api, before, seen)
        await check_audit(shape)


async def test_failures_and_empty_completions_cost_nothing(shape: Shape) -> None:
    async with api_of(shape) as api:
        before = await usage_at_rest(api)
        replies = [
            await api.chat("Hello [[sim fail=500]]"),
            await api.chat("Hello [[sim fail=429]]", stream=True),
            await api.chat("Hello [[sim fail=503 after=3]]", stream=True),
            await api.chat("Hello [[sim cut=2]]", stream=True),
            await api.chat("Hello [[sim empty=1]]"),
            await api.chat("Hello [[sim empty=1]]", stream=True),
            await api.chat("Hello [[sim garbage=html]]"),
        ]
        assert [reply.status for reply in replies] == [503, 429, 200, 200, 200, 200, 502]
        assert all(reply.cost == 0 for reply in replies)
        paid = await api.chat("Hello")

        async def only_the_last_was_charged() -> bool:
            return (await api.credits())[1] - before == paid.cost

        await eventually(only_the_last_was_charged)


async def test_the_first_byte_decides_about_fallback(shape: Shape) -> None:
    order = {"order": ["deepinfra", "groq"], "allow_fallbacks": True}
    async with api_of(shape) as api:
        fell_back = await api.chat("Hello [[sim fail=500 only=deepinfra]]", stream=True, provider=order)
        assert fell_back.whole
        assert fell_back.chunks[0]["provider"] == "Groq"
        broke = await api.chat("Hello [[sim fail=500 after=2 only=deepinfra]]", stream=True, provider=order)
        assert not broke.whole
        assert broke.error["code"] >= 500
        assert broke.chunks[-1]["choices"][0]["finish_reason"] == "error"


async def test_a_caller_who_leaves_pays_for_what_was_produced(shape: Shape) -> None:
    async with api_of(shape) as api:
        left = await api.chat_and_leave("Hello [[sim tokens=2000 chunk_ms=10]]", after_chunks=5)

        async def recorded() -> bool:
            record = await api.record(left.generation_id)
            return record is not None and record["cancelled"] and 0 < record["tokens_completion"] < 500

        await eventually(recorded)
        record = await api.record(left.generation_id)
        assert Decimal(record["total_cost"]) > 0


async def test_the_prompt_directive_never_reaches_the_simulator_as_unknown(shape: Shape) -> None:
    async with api_of(shape) as api:
        reply = await api.chat("Hello [[sim nonsense=1]]")
        assert reply.status == 400
        assert "nonsense" in reply.error["message"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "replicas"), [("standalone", ""), ("distributed", "edge_proxy=2 billing_ledger=2")])
async def test_200_at_once_on_credit_for_10_serves_what_credit_allows(kind: str, replicas: str) -> None:
    with running(kind, credit_usd="0.0001", replicas=replicas) as shape:
        doors = shape.output().get("api_bases") or [shape.api_base]
        apis = [Api(base, shape.api_key, shape.management_key) for base in doors]
        try:
            await _check_credit_for_10(apis)
            await check_audit(shape)
        finally:
            await asyncio.gather(*(api.session.close() for api in apis))


async def _check_credit_for_10(apis: list[Api]) -> None:
    """The pinned endpoint and the pinned length make every hold equal; slow replies keep all holds open at once."""
    fields: dict[str, Any] = {"max_tokens": 16, "provider": {"order": ["deepinfra/turbo"], "allow_fallbacks": False}}
    prompt = "Hello [[sim tokens=16 ttft_ms=3000]]"
    one = await apis[0].chat(prompt.replace("3000", "1"), **fields)
    assert one.status == 200, one.body

    async def settled() -> bool:
        return (await apis[0].credits())[1] == one.cost

    await eventually(settled)
    total, used = await apis[0].credits()
    affordable = int((total - used) / one.cost)
    assert 5 < affordable < 150, (total, used, one.cost)
    replies = await asyncio.gather(*(apis[n % len(apis)].chat(prompt, **fields) for n in range(200)))
    served = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 402]
    assert len(served) + len(refused) == 200, {reply.status for reply in replies}
    assert affordable - 1 <= len(served) <= affordable
    for reply in refused:
        assert reply.error["metadata"]["requested_tokens"] == 16
        assert 0 <= reply.error["metadata"]["affordable_tokens"] < 16
        assert str(reply.error["metadata"]["affordable_tokens"]) in reply.error["message"]

    async def balance_is_right() -> bool:
        total, used = await apis[0].credits()
        return used == one.cost + sum((reply.cost for reply in served), Decimal(0)) and total - used >= 0

    await eventually(balance_is_right)


async def test_an_unlimited_request_is_capped_to_the_balance(shape: Shape) -> None:
    """With plenty of credit nothing is capped: the whole answer comes."""
    async with api_of(shape) as api:
        reply = await api.chat("Hello [[sim tokens=300]]", model=MODEL)
        assert reply.usage["completion_tokens"] == 300
