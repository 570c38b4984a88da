import asyncio

import pytest

from libs.bus.stopping import Loops, Stop, keep_going, wait_for_event
from libs.retry import Backoff

_QUICK = Backoff(first_s=0.0001, cap_s=0.001)


async def test_session_that_fails_is_followed_by_another() -> None:
    stop = Stop()
    sessions = 0

    async def session() -> None:
        nonlocal sessions
        sessions += 1
        if sessions < 3:
            raise RuntimeError
        stop.set()

    await keep_going(session, stop, _QUICK, "test")
    assert sessions == 3


async def test_cancellation_that_a_library_lets_slip_does_not_end_the_loop() -> None:
    stop = Stop()
    sessions = 0

    async def session() -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 1:
            inner = asyncio.get_running_loop().create_future()
            inner.cancel()
            await inner
        stop.set()

    await keep_going(session, stop, _QUICK, "test")
    assert sessions == 2


async def test_loop_that_does_not_end_in_time_is_cancelled() -> None:
    loops = Loops(finish_s=0.01)
    started, ended = asyncio.Event(), asyncio.Event()

    async def body(_: Stop) -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(loops.run(body))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_error_of_a_loop_reaches_whoever_runs_it() -> None:
    async def body(_: Stop) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Loops(finish_s=1).run(body)


async def test_closed_loops_run_no_more() -> None:
    loops = Loops(finish_s=1)
    await loops.close()

    async def body(_: Stop) -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match="closed"):
        await loops.run(body)


async def test_stop_wakes_whoever_waits_for_something_else() -> None:
    stop = Stop()
    wake = stop.wakes(asyncio.Event())
    stop.set()
    assert await wait_for_event(wake, 10)
    assert await wait_for_event(stop.wakes(asyncio.Event()), 10)


async def test_event_that_does_not_come_is_waited_for_no_longer_than_asked() -> None:
    assert not await wait_for_event(asyncio.Event(), 0.001)
