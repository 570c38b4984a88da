"""kill -9 under load, a bounded number of times; `make chaos` does it at length."""

import pytest

from tests.chaos.run import run_chaos
from tests.testkit.shapes import running


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "kills"), [("standalone", 2), ("distributed", 9)])
async def test_killed_processes_lose_nothing_and_charge_nothing_twice(kind: str, kills: int) -> None:
    with running(kind, credit_usd="1000") as shape:
        report = await run_chaos(shape, kills, seed=11)
        assert report.whole > 50
