"""Account reads: credits, keys and generation records, with exact decimals."""

import json
from decimal import Decimal
from typing import Any

import pytest
from switchyard.common.v1.usage_pb2 import USAGE_SOURCE_COUNTED, TokenUsage
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.keys.v1 import keys_pb2
from switchyard.ledger.v1.ledger_pb2 import GetCreditsResponse, GetKeySpendResponse

from services.edge_proxy.http.account_json import iso_time
from tests.testkit.edge_http import MANAGEMENT_KEY, HttpDoor, Reply
from tests.testkit.edge_proxy import MODEL, account_key

GENERATION = "gen-1750000000-abcdefghij0123456789"


def exact(reply: Reply) -> Any:
    return json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)["data"]


def own_key(door: HttpDoor, **changes: Any) -> None:
    key_hash = next(known for known, key in door.edge.keys.known.items() if not key.is_management)
    door.edge.keys.known[key_hash] = account_key(**changes)


async def test_credits_are_exact_and_for_management_keys_alone(door: HttpDoor) -> None:
    door.edge.ledger.credit = GetCreditsResponse(
        total_credits_nano_usd=100_000_000_000, total_usage_nano_usd=12_345_678_901
    )
    reply = await door.get("/credits", key=MANAGEMENT_KEY)
    assert exact(reply) == {"total_credits": Decimal(100), "total_usage": Decimal("12.345678901")}
    assert (await door.get("/credits")).status == 403


@pytest.mark.parametrize("path", ["/key", "/auth/key"])
async def test_key_tells_its_limit_what_is_left_and_what_it_spent(door: HttpDoor, path: str) -> None:
    own_key(door, limit_nano_usd=5_000_000_000, limit_reset=keys_pb2.LIMIT_RESET_DAILY, expires_at_ms=1_750_000_100_000)
    door.edge.ledger.spend = GetKeySpendResponse(
        total_nano_usd=9_000_000_000, daily_nano_usd=1_500_000_001, weekly_nano_usd=2, monthly_nano_usd=3
    )
    data = exact(await door.get(path))
    assert (data["limit"], data["limit_reset"]) == (5, "daily")
    assert data["limit_remaining"] == Decimal("3.499999999")
    assert (data["usage"], data["usage_daily"]) == (9, Decimal("1.500000001"))
    assert (data["usage_weekly"], data["usage_monthly"]) == (Decimal("0.000000002"), Decimal("0.000000003"))
    assert data["expires_at"] == "2025-06-15T15:08:20.000Z"
    assert data["is_management_key"] is False


async def test_key_without_a_limit_says_null_and_one_overspent_has_nothing_left(door: HttpDoor) -> None:
    data = exact(await door.get("/key"))
    assert (data["limit"], data["limit_remaining"], data["limit_reset"], data["expires_at"]) == (None,) * 4
    assert data["is_free_tier"] is True
    door.edge.ledger.spend = GetKeySpendResponse(total_nano_usd=3)
    door.edge.clock.advance(2)
    own_key(door, limit_nano_usd=2, limit_reset=keys_pb2.LIMIT_RESET_NEVER)
    assert exact(await door.get("/key"))["limit_remaining"] == 0


async def test_generation_is_its_record(door: HttpDoor) -> None:
    door.edge.analytics.records["acct_1", GENERATION] = events.UsageRecorded(
        generation_id=GENERATION,
        created_at_ms=1_750_000_000_123,
        model=MODEL,
        provider_name="Alpha",
        outcome=events.OUTCOME_CANCELLED,
        http_status=499,
        usage=TokenUsage(prompt_tokens=10, completion_tokens=5, cache_read_tokens=3, reasoning_tokens=2),
        usage_source=USAGE_SOURCE_COUNTED,
        cost_nano_usd=20_001,
        attempts=[events.AttemptRecord(endpoint_id="alpha/x", provider_name="Alpha", status=200, first_event_ms=7)],
    )
    data = exact(await door.get(f"/generation?id={GENERATION}"))
    assert data["total_cost"] == data["usage"] == Decimal("0.000020001")
    assert (data["model"], data["provider_name"]) == (MODEL, "Alpha")
    assert (data["native_tokens_prompt"], data["native_tokens_completion"]) == (10, 5)
    assert (data["native_tokens_cached"], data["native_tokens_reasoning"]) == (3, 2)
    assert data["cancelled"] is True
    assert data["usage_is_estimated"] is True
    assert data["created_at"] == "2025-06-15T15:06:40.123Z"
    assert data["provider_responses"][0]["status"] == 200


async def test_failed_generation_names_the_model_that_was_asked_for(door: HttpDoor) -> None:
    door.edge.analytics.records["acct_1", GENERATION] = events.UsageRecorded(
        generation_id=GENERATION, requested_model=MODEL, outcome=events.OUTCOME_FAILED, http_status=503
    )
    data = exact(await door.get(f"/generation?id={GENERATION}"))
    assert (data["model"], data["provider_name"], data["total_cost"]) == (MODEL, None, 0)
    assert (data["cancelled"], data["under_review"]) == (False, None)


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?id=", 400), ("?id=x", 404), ("?id=gen-1-" + "é" * 20, 404), (f"?id={GENERATION}", 404)],
)
async def test_generation_that_is_not_there_is_404(door: HttpDoor, query: str, status: int) -> None:
    door.edge.analytics.records["acct_other", GENERATION] = events.UsageRecorded(generation_id=GENERATION)
    assert (await door.get(f"/generation{query}")).status == status


@pytest.mark.parametrize("path", ["/key", "/credits", f"/generation?id={GENERATION}"])
async def test_account_reads_need_a_key(door: HttpDoor, path: str) -> None:
    assert (await door.get(path, key=None)).status == 401
    assert (await door.get(path, key="wrong")).status == 401


def test_times_are_utc_with_milliseconds() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(1_750_000_000_999) == "2025-06-15T15:06:40.999Z"
