import asyncio

import pytest

from services.provider_adapter.deadlines import Deadline, PhaseExpiredError
from services.provider_adapter.protocols.failures import Phase

FAR_S = 60.0


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def passed(seconds: float) -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, event.set)
    await event.wait()


async def test_a_wait_beyond_the_moment_ends_with_its_phase() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)
    deadline.set(loop.time() + FAR_S, Phase.TOTAL)
    deadline.set(loop.time() + 0.01, Phase.IDLE)

    with pytest.raises(PhaseExpiredError) as caught, deadline:
        await forever()

    assert caught.value.phase is Phase.IDLE
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_moment_that_moved_later_does_not_interrupt_early() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)
    deadline.set(loop.time() + 0.01, Phase.IDLE)
    deadline.set(loop.time() + FAR_S, Phase.IDLE)

    with deadline:
        await passed(0.04)
    deadline.close()


async def test_a_moment_that_moved_later_still_comes() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)
    deadline.set(loop.time() + 0.01, Phase.FIRST_EVENT)
    deadline.set(loop.time() + 0.03, Phase.TOTAL)

    with pytest.raises(PhaseExpiredError) as caught, deadline:
        await forever()

    assert caught.value.phase is Phase.TOTAL


async def test_whoever_does_not_wait_is_not_interrupted_but_may_not_wait_again() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)
    deadline.set(loop.time() + 0.01, Phase.TOTAL)

    await passed(0.03)

    with pytest.raises(PhaseExpiredError), deadline:
        await forever()


async def test_a_foreign_cancellation_stays_a_cancellation() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)
    deadline.set(loop.time() + FAR_S, Phase.TOTAL)

    async def wait() -> None:
        with deadline:
            await forever()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    deadline.close()


async def test_a_cancellation_together_with_the_deadline_stays_a_cancellation() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)
    deadline.set(loop.time() + FAR_S, Phase.TOTAL)

    async def wait() -> None:
        with deadline:
            await forever()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    deadline.set(loop.time(), Phase.TOTAL)
    deadline._fire()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    deadline.close()


async def test_one_deadline_serves_waits_in_different_tasks() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadline(loop)

    async def wait_in_vain() -> None:
        deadline.set(loop.time() + 0.01, Phase.IDLE)
        with pytest.raises(PhaseExpiredError), deadline:
            await forever()

    await asyncio.create_task(wait_in_vain())
    await asyncio.create_task(wait_in_vain())
