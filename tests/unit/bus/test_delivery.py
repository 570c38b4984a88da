import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.delivery import Delivery, DeliveryPolicy, dead_letter, is_transient_by_default, reason_of, show
from libs.bus.port import HEADER_DEAD_REASON, HEADER_EVENT_ID, Delivered, Handler, Record, Rejected
from libs.bus.stopping import Stop, Stopped
from libs.errors import AppError, Kind, unavailable
from libs.retry import Backoff

_QUICK = DeliveryPolicy(backoff=Backoff(first_s=0.0001, cap_s=0.0001), attempts=2, finish_s=0.1)


def _batch(count: int) -> list[Delivered]:
    return [Delivered(Record("t", "k", b"v", {HEADER_EVENT_ID: str(n)}), 0, n, 0) for n in range(count)]


def _delivery(handler: Handler, stop: Stop | None = None, policy: DeliveryPolicy = _QUICK) -> Delivery:
    return Delivery("ledger", handler, stop or Stop(), is_transient=None, policy=policy)


@given(count=st.integers(1, 40), poison=st.sets(st.integers(0, 39)))
def test_poison_anywhere_exactly_it_is_dead_and_all_else_handled_in_order(count: int, poison: set[int]) -> None:
    handled: list[int] = []

    async def handle(batch: Sequence[Delivered]) -> Sequence[Rejected]:
        if any(d.offset in poison for d in batch):
            raise ValueError
        handled.extend(d.offset for d in batch)
        return ()

    dead = asyncio.run(_deliver(handle, count))
    assert [int(r.event_id) for r in dead] == sorted(n for n in poison if n < count)
    assert handled == [n for n in range(count) if n not in poison]


async def _deliver(handler: Handler, count: int) -> list[Record]:
    return await _delivery(handler).deliver(_batch(count))


async def test_failure_that_passes_by_itself_costs_no_record() -> None:
    failures = iter([ValueError()])

    async def handle(_: Sequence[Delivered]) -> Sequence[Rejected]:
        for error in failures:
            raise error
        return ()

    assert await _deliver(handle, 5) == []


async def test_handler_that_rejects_an_index_out_of_range_is_treated_as_failing() -> None:
    async def handle(_: Sequence[Delivered]) -> Sequence[Rejected]:
        return [Rejected(7, "what?")]

    dead = await _deliver(handle, 2)
    assert [r.headers[HEADER_DEAD_REASON] for r in dead] == ["ValueError", "ValueError"]


async def test_stop_while_a_batch_waits_leaves_it_undelivered() -> None:
    stop = Stop()

    async def handle(_: Sequence[Delivered]) -> Sequence[Rejected]:
        stop.set()
        raise ConnectionError

    with pytest.raises(Stopped):
        await _delivery(handle, stop, DeliveryPolicy()).deliver(_batch(3))


async def test_observer_that_always_fails_is_given_up_for_that_batch() -> None:
    shown = 0

    async def observe(_: Sequence[Delivered]) -> None:
        nonlocal shown
        shown += 1
        raise RuntimeError

    await show(observe, _batch(1), Stop(), _QUICK)
    assert shown == _QUICK.attempts


def test_long_reason_is_cut_and_the_place_is_kept() -> None:
    record = dead_letter(_batch(3)[2], "ledger", "x" * 10_000)
    assert record.topic == "t.ledger.dead"
    assert len(record.headers[HEADER_DEAD_REASON]) == 500
    assert record.headers["dead-offset"] == "2"


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (unavailable("ledger"), True),
        (AppError(Kind.INVALID, "BAD", "bad"), False),
        (ValueError(), False),
    ],
)
def test_errors_of_the_world_are_transient_by_default(error: Exception, transient: bool) -> None:
    assert is_transient_by_default(error) is transient


def test_reason_of_an_error_never_tells_its_text() -> None:
    assert reason_of(ValueError("sk-or-v1-secret")) == "ValueError"
    assert reason_of(AppError(Kind.INVALID, "USAGE_ABSURD", "sk-or-v1-secret")) == "USAGE_ABSURD"
