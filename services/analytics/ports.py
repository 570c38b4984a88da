"""What analytics asks of its store."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from services.analytics.core.records import DailyActivity, GenerationRow


class RecordStore(Protocol):
    """Generation records and their daily sums, durable when a method returns.

    Every method raises `AppError` `SERVICE_UNAVAILABLE` while the store cannot be reached.
    """

    async def insert(self, rows: Sequence[GenerationRow]) -> int:
        """Keeps rows with distinct ids and adds those that are new to the sums, all or nothing; returns how many were."""
        ...

    async def get_event(self, account_id: str, generation_id: str) -> bytes | None:
        """The serialized event; None if the account has no such generation."""
        ...

    async def daily_activity(self, account_id: str, first: date, last: date) -> list[DailyActivity]:
        """The account's sums of these days, both included, ordered by their keys."""
        ...
