"""Keys at the edge: how old an answer may be, what happens while key_management is away, and bounded memory."""

import asyncio
import gc
import hashlib
import weakref
from typing import Any

import pytest

from libs.clock import ManualClock
from libs.errors import AppError, Kind, unavailable
from services.edge_proxy import authentication
from services.edge_proxy.authentication import (
    FRESH_S,
    REFUSED_FRESH_S,
    STALE_S,
    Authenticator,
    require_inference,
    require_management,
)
from tests.testkit.edge_proxy import FakeKeys, Gate, account_key, until

PLAINTEXT = "sk-sy-v1-abc"
HEADER = f"Bearer {PLAINTEXT}"
AWAY = unavailable("key_management")


def hash_of(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


class Door:
    """An authenticator with one good key."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keys = FakeKeys({hash_of(PLAINTEXT): account_key()})
        self.authenticator = Authenticator(self.keys, self.clock)

    async def refusal(self, header: str | None = HEADER) -> AppError:
        with pytest.raises(AppError) as caught:
            await self.authenticator.key_of(header)
        return caught.value

    async def opens(self, header: str = HEADER) -> bool:
        return (await self.authenticator.key_of(header)).account_id == "acct_1"

    def forget(self) -> None:
        self.keys.known.clear()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.mark.parametrize("header", [HEADER, f"bearer {PLAINTEXT}", f"BEARER   {PLAINTEXT} "])
async def test_good_key_is_asked_for_by_its_hash_alone(door: Door, header: str) -> None:
    assert await door.opens(header)
    assert door.keys.asked == [hash_of(PLAINTEXT)]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "KEY_MISSING"), ("", "KEY_MISSING"), ("Bearer", "KEY_MALFORMED"), ("Bearer  ", "KEY_MALFORMED"),
        (f"Basic {PLAINTEXT}", "KEY_MALFORMED"), (PLAINTEXT, "KEY_MALFORMED"), ("Bearer " + "x" * 513, "KEY_MALFORMED"),
        ("Bearer unknown", "KEY_UNKNOWN"), ("Bearer caf\udce9", "KEY_UNKNOWN"), ("Bearer clé", "KEY_UNKNOWN"),
    ],
)  # fmt: skip
async def test_anything_else_is_401(door: Door, header: str | None, reason: str) -> None:
    error = await door.refusal(header)
    assert (error.http_status, error.reason) == (401, reason)


async def test_answer_serves_while_it_is_fresh_and_no_longer(door: Door) -> None:
    await door.opens()
    door.clock.advance(FRESH_S)
    await door.opens()
    assert len(door.keys.asked) == 1
    door.clock.advance(0.01)
    await door.opens()
    assert len(door.keys.asked) == 2


async def test_disabled_key_stops_within_two_seconds_under_constant_use(door: Door) -> None:
    await door.opens()
    door.forget()
    for _ in range(20):
        door.clock.advance(0.1)
        try:
            await door.opens()
        except AppError:
            return
    pytest.fail("the key still worked after two seconds")


async def test_age_of_an_answer_counts_from_the_question(door: Door) -> None:
    gate = door.keys.gate = Gate()
    first = asyncio.ensure_future(door.opens())
    await until(lambda: gate.reached)
    door.clock.advance(1.0)
    gate.open()
    await first
    door.clock.advance(FRESH_S - 1.0 + 0.01)
    await door.opens()
    assert len(door.keys.asked) == 2


async def test_refusal_serves_briefly_so_that_a_new_key_works_soon(door: Door) -> None:
    door.forget()
    await door.refusal()
    door.clock.advance(REFUSED_FRESH_S)
    await door.refusal()
    assert len(door.keys.asked) == 1
    door.keys.known[hash_of(PLAINTEXT)] = account_key()
    door.clock.advance(0.01)
    assert await door.opens()


async def test_many_requests_at_once_ask_once(door: Door) -> None:
    gate = door.keys.gate = Gate()
    requests = [asyncio.ensure_future(door.opens()) for _ in range(50)]
    await until(lambda: gate.reached)
    gate.open()
    assert all(await asyncio.gather(*requests))
    assert len(door.keys.asked) == 1


async def test_request_that_leaves_does_not_spoil_the_answer_for_the_others(door: Door) -> None:
    gate = door.keys.gate = Gate()
    leaver, stayer = asyncio.ensure_future(door.opens()), asyncio.ensure_future(door.opens())
    await until(lambda: gate.reached)
    leaver.cancel()
    gate.open()
    assert await stayer
    assert leaver.cancelled()
    assert len(door.keys.asked) == 1


async def test_known_key_works_for_a_minute_while_key_management_is_away(door: Door) -> None:
    await door.opens()
    door.keys.failure = AWAY
    door.clock.advance(STALE_S)
    assert await door.opens()
    door.clock.advance(0.01)
    error = await door.refusal()
    assert error.http_status == 503
    assert error.retry_after_s is not None


async def test_while_key_management_is_away_known_keys_do_not_wait_for_it(door: Door) -> None:
    await door.opens()
    door.keys.failure = AWAY
    door.clock.advance(FRESH_S + 0.1)
    assert await door.opens()
    door.keys.gate = Gate()  # from now on it hangs
    door.clock.advance(FRESH_S + 0.1)
    async with asyncio.timeout(2):
        assert await door.opens()
    door.keys.failure = None
    door.forget()
    door.keys.gate.open()
    await until(lambda: not door.authenticator._asking)
    assert (await door.refusal()).reason == "KEY_UNKNOWN"


async def test_serving_from_memory_does_not_make_the_answer_younger(door: Door) -> None:
    await door.opens()
    door.keys.failure = AWAY
    for _ in range(6):
        door.clock.advance(10.0)
        assert await door.opens()
    door.clock.advance(0.01)
    assert (await door.refusal()).http_status == 503


async def test_unknown_and_refused_keys_are_503_while_key_management_is_away(door: Door) -> None:
    assert (await door.refusal("Bearer never-seen")).http_status == 401
    door.keys.failure = AWAY
    door.clock.advance(1.0)
    assert (await door.refusal("Bearer never-seen")).http_status == 503
    assert (await door.refusal()).http_status == 503


async def test_revocation_is_noticed_as_soon_as_key_management_is_back(door: Door) -> None:
    await door.opens()
    door.keys.failure = AWAY
    door.clock.advance(30)
    await door.opens()
    door.keys.failure = None
    door.forget()
    assert (await door.refusal()).http_status == 401


async def test_bug_in_the_answer_reaches_the_caller_and_is_not_remembered(door: Door) -> None:
    door.keys.failure = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        await door.opens()
    door.keys.failure = None
    assert await door.opens()


async def test_remembered_key_still_expires_at_its_time(door: Door) -> None:
    door.keys.known[hash_of(PLAINTEXT)] = account_key(expires_at_ms=door.clock.now_ms() + 1000)
    assert await door.opens()
    door.clock.advance(1.0)
    assert (await door.refusal()).reason == "KEY_EXPIRED"
    assert len(door.keys.asked) == 1


async def test_memory_is_bounded_and_forgets_the_oldest(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_ENTRIES", 3)
    await door.opens()
    for number in range(10):
        await door.refusal(f"Bearer guess-{number}")
    assert len(door.authenticator._memory) == 3
    assert door.authenticator._asking == {}
    asked = len(door.keys.asked)
    await door.opens()
    assert len(door.keys.asked) == asked + 1


async def test_refused_requests_are_not_kept_alive_by_the_memory(door: Door) -> None:
    class Request:
        """Stands for an HTTP request in the frames above."""

    async def handle() -> "weakref.ref[Request]":
        request = Request()
        try:
            await door.authenticator.key_of("Bearer wrong")
        except AppError:
            return weakref.ref(request)
        raise AssertionError("the key was good")

    handled = [await handle() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in handled] == [None, None, None]


@pytest.mark.parametrize(("is_management", "allowed"), [(False, require_inference), (True, require_management)])
def test_keys_of_the_other_kind_are_403(is_management: bool, allowed: Any) -> None:
    key = account_key(is_management=is_management)
    allowed(key)
    forbidden = require_management if allowed is require_inference else require_inference
    with pytest.raises(AppError) as caught:
        forbidden(key)
    assert caught.value.kind is Kind.FORBIDDEN
