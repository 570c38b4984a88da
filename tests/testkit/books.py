"""The equalities that must hold after any load: credits, replies, records and the audit agree to the nano-dollar."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal

from tests.testkit.api import Api, Json, eventually
from tests.testkit.mixed_load import Seen
from tests.testkit.shapes import CHECKOUT, Shape


async def usage_at_rest(api: Api) -> Decimal:
    """Usage once it stands still, so that nothing of earlier requests is settled later."""
    seen: list[Decimal] = []

    async def still() -> bool:
        seen.append((await api.credits())[1])
        return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3] == seen[-4]

    await eventually(still, every_s=0.5)
    return seen[-1]


async def check_books(api: Api, usage_before: Decimal, seen: Sequence[Seen]) -> None:
    """After a load without kills: credits fell by exactly what the replies said, and what those who left owe."""
    whole = sum((one.reply.cost for one in seen if one.whole and one.reply is not None), Decimal(0))
    left = [one.reply.generation_id for one in seen if one.left and one.reply is not None and one.reply.generation_id]
    records = await _records(api, left)
    owed = sum((Decimal(record["total_cost"]) for record in records.values()), Decimal(0))
    expected = whole + owed

    async def agree() -> bool:
        _, usage = await api.credits()
        return usage - usage_before == expected

    try:
        await eventually(agree, within_s=30)
    except AssertionError:
        _, usage = await api.credits()
        raise AssertionError(
            f"credits fell by {usage - usage_before}, replies said {whole} and leavers owe {owed}"
        ) from None
    await check_records(api, seen)


async def check_records(api: Api, seen: Sequence[Seen]) -> None:
    """Every completed generation has one record, at the cost its reply said."""
    completed = {one.reply.generation_id: one.reply for one in seen if one.whole and one.reply is not None}
    records = await _records(api, list(completed))
    for generation_id, reply in completed.items():
        assert Decimal(records[generation_id]["total_cost"]) == reply.cost, generation_id


async def _records(api: Api, generation_ids: Sequence[str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    room = asyncio.Semaphore(32)

    async def fetch(generation_id: str) -> None:
        async def there() -> bool:
            async with room:
                record = await api.record(generation_id)
            if record is not None:
                found[generation_id] = record
            return record is not None

        await eventually(there, within_s=30, every_s=0.25)

    await asyncio.gather(*(fetch(generation_id) for generation_id in generation_ids))
    return found


def audit(shape: Shape) -> subprocess.CompletedProcess[str]:
    """`make audit` on the running product."""
    return subprocess.run(
        [sys.executable, "-m", "services.audit"],
        cwd=CHECKOUT, env={**os.environ, **shape.environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def check_audit(shape: Shape) -> None:
    """Clean once consumers have caught up."""

    async def clean() -> bool:
        done = await asyncio.to_thread(audit, shape)
        last[:] = [done.stdout + done.stderr]
        return done.returncode == 0

    last = [""]
    try:
        await eventually(clean, within_s=30, every_s=1)
    except AssertionError:
        raise AssertionError(f"the audit is not clean:\n{last[0]}") from None
