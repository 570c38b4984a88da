"""What a hold asks for (DESIGN §11 "Hold")."""

from typing import Any

import pytest
from switchyard.common.v1.price_pb2 import PriceSnapshot
from switchyard.keys.v1 import keys_pb2
from switchyard.ledger.v1.ledger_pb2 import HoldRequest
from switchyard.routing.v1.routing_pb2 import Attempt, PlanResponse

from libs.money import NanoUsdPerMillion, cost
from libs.tokens import TokenCounter
from services.edge_proxy.convert import MINIMUM_TOKENS, hold_request
from services.edge_proxy.core.chat_request import parse_chat_request
from tests.testkit.edge_proxy import account_key, chat_body, planned

COUNTER = TokenCounter()


def wish(*attempts: Attempt, key: keys_pb2.Key | None = None, **body: Any) -> tuple[HoldRequest, int]:
    """The hold, and the estimated prompt tokens."""
    request = parse_chat_request(chat_body(**body), COUNTER)
    plan = PlanResponse(attempts=attempts or [planned()])
    return hold_request("gen-1", key or account_key(), request, plan, "edge_1"), request.prompt_tokens


def test_callers_limit_is_held_in_full_or_refused() -> None:
    hold, prompt = wish(max_tokens=50)
    assert (hold.tokens, hold.minimum_tokens) == (50, 50)
    assert hold.token_price == 2_000_000_000
    assert hold.fixed_nano_usd == cost(prompt, NanoUsdPerMillion(1_000_000_000))
    assert (hold.account_id, hold.key_hash, hold.owner, hold.generation_id) == ("acct_1", "a" * 64, "edge_1", "gen-1")


def test_no_limit_holds_for_what_the_endpoint_can_produce_or_less() -> None:
    hold, _ = wish()
    assert (hold.tokens, hold.minimum_tokens) == (4096, MINIMUM_TOKENS)


def test_endpoint_without_an_output_limit_is_bound_by_its_context() -> None:
    hold, prompt = wish(planned(max_completion_tokens=0, context_length=1000))
    assert hold.tokens == 1000 - prompt


def test_prompt_beyond_the_context_still_holds_something() -> None:
    hold, _ = wish(planned(max_completion_tokens=0, context_length=1))
    assert (hold.tokens, hold.minimum_tokens) == (1, 1)


def test_every_choice_is_held_for() -> None:
    assert wish(max_tokens=50, n=3)[0].tokens == 150
    hold, _ = wish(n=3)
    assert (hold.tokens, hold.minimum_tokens) == (3 * 4096, 3 * MINIMUM_TOKENS)


def test_dearest_attempt_decides_each_part() -> None:
    cheap = planned("cheap", price=PriceSnapshot(prompt=10**9, completion=9 * 10**9))
    dear = planned("dear", price=PriceSnapshot(prompt=7 * 10**9, completion=10**9, request=5 * 10**6))
    hold, prompt = wish(cheap, dear, max_tokens=1)
    assert hold.token_price == 9 * 10**9
    assert hold.fixed_nano_usd == cost(prompt, NanoUsdPerMillion(7 * 10**9)) + 5


def test_parts_that_cost_more_than_their_total_are_held_for() -> None:
    price = PriceSnapshot(prompt=10**9, completion=10**9, cache_write=3 * 10**9, reasoning=4 * 10**9, cache_read=1)
    hold, prompt = wish(planned(price=price))
    assert hold.token_price == 4 * 10**9
    assert hold.fixed_nano_usd == cost(prompt, NanoUsdPerMillion(3 * 10**9))


def test_writes_for_an_hour_are_held_for_when_the_request_asks_for_them() -> None:
    price = PriceSnapshot(prompt=10**9, completion=10**9, cache_write=2 * 10**9, cache_write_1h=3 * 10**9)
    for ttl, expected in (("1h", 3 * 10**9), ("5m", 2 * 10**9)):
        part = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral", "ttl": ttl}}
        hold, prompt = wish(planned(price=price), messages=[{"role": "user", "content": [part]}])
        assert hold.fixed_nano_usd == cost(prompt, NanoUsdPerMillion(expected))


def test_tier_that_the_prompt_may_reach_is_held_for_and_a_distant_one_is_not() -> None:
    _, prompt = wish()
    price = PriceSnapshot(prompt=10**9, completion=2 * 10**9)
    price.tiers.add(min_prompt_tokens=prompt, prompt=3 * 10**9, completion=5 * 10**9)
    price.tiers.add(min_prompt_tokens=prompt * 2, prompt=30 * 10**9)
    hold, _ = wish(planned(price=price))
    assert hold.token_price == 5 * 10**9
    assert hold.fixed_nano_usd == cost(prompt, NanoUsdPerMillion(3 * 10**9))


@pytest.mark.parametrize("limit", [None, 0, 5])
def test_limit_of_the_key_goes_along_and_none_stays_none(limit: int | None) -> None:
    changes = {} if limit is None else {"limit_nano_usd": limit}
    key = account_key(limit_reset=keys_pb2.LIMIT_RESET_DAILY, **changes)
    hold, _ = wish(key=key)
    assert hold.HasField("key_limit_nano_usd") is (limit is not None)
    assert hold.key_limit_nano_usd == (limit or 0)
    assert hold.key_limit_reset == keys_pb2.LIMIT_RESET_DAILY
