"""The edge's calls to the services behind it: what is asked again, for how long, and what that means to the caller."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded

from libs.bus.port import Record
from libs.errors import AppError, Kind, unavailable
from libs.metrics import Metrics
from services.edge_proxy import clients
from services.edge_proxy.clients import _patiently
from services.edge_proxy.main import Leftovers
from services.edge_proxy.usage_log import SpooledUsageLog
from tests.testkit.edge_proxy import TRACEPARENT, Gate, until

REFUSED = AppError(Kind.PAYMENT, "INSUFFICIENT_CREDITS", "no")
LOST = AppError(Kind.NO_ROUTE, "PEER_LOST", "connection lost")
LATE = AppError(Kind.TIMEOUT, "DEADLINE_EXCEEDED", "late")


class Peer:
    """Answers after failing as told; remembers how much time each call was given."""

    def __init__(self, *failures: AppError) -> None:
        self.failures = list(failures)
        self.limits_s: list[float] = []

    async def __call__(self, timeout_s: float) -> str:
        self.limits_s.append(timeout_s)
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


async def refusal(call: Callable[[float], Awaitable[Any]]) -> AppError:
    with pytest.raises(AppError) as caught:
        await _patiently(call, "router")
    return caught.value


@pytest.mark.parametrize("failure", [LOST, unavailable("router")])
async def test_service_that_comes_back_soon_is_not_noticed(failure: AppError) -> None:
    peer = Peer(failure, failure)
    assert await _patiently(peer, "router") == "answer"
    assert len(peer.limits_s) == 3
    assert peer.limits_s == sorted(peer.limits_s, reverse=True)
    assert peer.limits_s[0] <= clients.WAIT_S


@pytest.mark.parametrize(
    "failure", [REFUSED, AppError(Kind.NO_ROUTE, "NO_ENDPOINT", "x"), AppError(Kind.TIMEOUT, "X", "x")]
)
async def test_answer_that_says_no_is_not_asked_for_again(failure: AppError) -> None:
    peer = Peer(failure)
    assert await refusal(peer) is failure
    assert len(peer.limits_s) == 1


async def test_deadline_is_503_without_another_try() -> None:
    peer = Peer(LATE)
    error = await refusal(peer)
    assert (error.http_status, error.metadata["service"]) == (503, "router")
    assert len(peer.limits_s) == 1


async def test_service_that_stays_away_is_503_after_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "WAIT_S", 0.2)
    peer = Peer(*[LOST] * 100)
    started_s = time.monotonic()
    error = await refusal(peer)
    assert (error.http_status, error.reason) == (503, "SERVICE_UNAVAILABLE")
    assert error.retry_after_s is not None
    assert time.monotonic() - started_s < 2
    assert 1 < len(peer.limits_s) < 10


class FakeSpool:
    """Takes records."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def append(self, record: Record) -> None:
        self.records.append(record)


async def test_usage_becomes_a_record_known_by_its_generation() -> None:
    spool: Any = FakeSpool()
    event = UsageRecorded(generation_id="gen-1", account_id="acct_1")
    await SpooledUsageLog(spool, Metrics()).append(event, TRACEPARENT)
    record = spool.records[0]
    assert (record.topic, record.key, record.event_id) == ("switchyard.usage.v1", "acct_1", "gen-1")
    assert UsageRecorded.FromString(record.value) == event
    assert dict(record.headers) == {
        "event-id": "gen-1",
        "message-type": "switchyard.events.v1.UsageRecorded",
        "produced-by": "edge_proxy",
        "traceparent": TRACEPARENT,
    }


async def test_leftovers_are_awaited_and_their_failures_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    leftovers, gate, done = Leftovers(), Gate(), []

    async def work() -> None:
        await gate.passed()
        leftovers.spawn(more())

    async def more() -> None:
        await asyncio.sleep(0)
        done.append("more")

    async def refused() -> None:
        raise REFUSED

    async def bug() -> None:
        raise ValueError("a bug")

    for piece in (work(), refused(), bug()):
        leftovers.spawn(piece)
    finishing = asyncio.ensure_future(leftovers.finish())
    await until(lambda: gate.reached)
    assert not finishing.done()
    gate.open()
    await asyncio.wait_for(finishing, 5)
    assert done == ["more"]
    assert [record.message for record in caplog.records] == ["work left over from a request failed"]
