"""What every `RecordStore` does; subclass with a fixture `store`."""

import asyncio
from datetime import date, timedelta

from services.analytics.core.records import DailyActivity, Outcome
from services.analytics.ports import RecordStore
from tests.testkit.analytics import NOW_MS, TODAY, generation_row

DAY_MS = 86_400_000


async def today(store: RecordStore, account_id: str = "acct_1") -> list[DailyActivity]:
    return await store.daily_activity(account_id, TODAY, TODAY)


class RecordStoreConformance:
    async def test_generation_that_nobody_recorded_is_absent(self, store: RecordStore) -> None:
        assert await store.get_event("acct_1", "gen-1") is None

    async def test_event_comes_back_byte_by_byte_to_its_account_alone(self, store: RecordStore) -> None:
        row = generation_row("gen-1", event=bytes(range(256)))
        assert await store.insert([row]) == 1
        assert await store.get_event("acct_1", "gen-1") == bytes(range(256))
        assert await store.get_event("acct_2", "gen-1") is None

    async def test_nothing_to_insert_is_fine(self, store: RecordStore) -> None:
        assert await store.insert([]) == 0
        assert await today(store) == []

    async def test_generation_that_comes_twice_is_kept_and_summed_once(self, store: RecordStore) -> None:
        first = generation_row("gen-1", cost_nano_usd=50)
        assert await store.insert([first, generation_row("gen-2", cost_nano_usd=7)]) == 2
        again = generation_row("gen-1", cost_nano_usd=999, account_id="acct_2", event=b"other")
        assert await store.insert([again, generation_row("gen-3", cost_nano_usd=1)]) == 1
        assert await store.get_event("acct_1", "gen-1") == first.event
        [row] = await today(store)
        assert (row.requests, row.cost_nano_usd) == (3, 58)
        assert await today(store, "acct_2") == []

    async def test_sums_are_kept_apart_by_what_they_are_of(self, store: RecordStore) -> None:
        changes: list[dict[str, object]] = [
            {},
            {"key_hash": "key_2"},
            {"model": "acme/large"},
            {"endpoint_id": "elsewhere"},
            {"provider_slug": "other"},
            {"is_byok": True},
            {"account_id": "acct_2"},
        ]
        rows = [generation_row(f"gen-{place}", **change) for place, change in enumerate(changes)]
        assert await store.insert(rows) == 7
        own = await today(store)
        assert [row.requests for row in own] == [1] * 6
        assert own == sorted(own)
        assert {row.key_hash for row in own} == {"key_1", "key_2"}
        assert len(await today(store, "acct_2")) == 1

    async def test_requests_count_by_how_they_ended(self, store: RecordStore) -> None:
        outcomes = [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.CANCELLED, Outcome.FAILED]
        rows = [generation_row(f"gen-{place}", outcome=outcome) for place, outcome in enumerate(outcomes)]
        await store.insert(rows[:2])
        await store.insert(rows[2:])
        [row] = await today(store)
        assert (row.requests, row.cancelled, row.failed) == (4, 1, 1)
        assert (row.prompt_tokens, row.completion_tokens, row.reasoning_tokens) == (40, 80, 20)

    async def test_days_end_at_midnight_utc(self, store: RecordStore) -> None:
        moments = [NOW_MS - 1, NOW_MS, NOW_MS + DAY_MS - 1, NOW_MS + DAY_MS]
        rows = [generation_row(f"gen-{place}", created_at_ms=moment) for place, moment in enumerate(moments)]
        await store.insert(rows)
        days = await store.daily_activity("acct_1", TODAY - timedelta(days=9), TODAY + timedelta(days=9))
        assert [(row.day, row.requests) for row in days] == [
            (date(2026, 11, 23), 1),
            (date(2026, 11, 24), 2),
            (date(2026, 11, 25), 1),
        ]
        assert [row.day for row in await today(store)] == [TODAY]

    async def test_sums_may_leave_64_bits(self, store: RecordStore) -> None:
        largest = 2**63 - 1
        changes = {"cost_nano_usd": largest, "prompt_tokens": largest}
        await store.insert([generation_row("gen-1", **changes), generation_row("gen-2", **changes)])
        await store.insert([generation_row("gen-3", **changes)])
        [row] = await today(store)
        assert (row.cost_nano_usd, row.prompt_tokens) == (3 * largest, 3 * largest)

    async def test_batches_at_once_with_the_same_generations_count_each_once(self, store: RecordStore) -> None:
        rows = [generation_row(f"gen-{place}", key_hash=f"key_{place % 3}") for place in range(30)]
        counts = await asyncio.gather(store.insert(rows), store.insert(rows[::-1]), store.insert(rows[10:]))
        assert sum(counts) == 30
        assert [row.requests for row in await today(store)] == [10, 10, 10]
