"""The use cases of analytics: keep what was recorded, show it to whom it belongs.

Owns who may see a record. Does not own wire formats or SQL. Invariant: an account learns nothing of another account's
generations, not even that they exist.
"""

from collections.abc import Sequence

from libs.errors import AppError, Kind
from services.analytics.core.records import GenerationRow, is_identifier
from services.analytics.ports import RecordStore


class AnalyticsHandlers:
    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def record(self, rows: Sequence[GenerationRow]) -> int:
        """Keeps rows with distinct ids; returns how many were new."""
        return await self._store.insert(rows) if rows else 0

    async def get_generation(self, account_id: str, generation_id: str) -> bytes:
        """The serialized event of a generation.

        Raises:
            AppError: MISSING `GENERATION_UNKNOWN`, for other accounts' generations too.
        """
        event = None
        if is_identifier(account_id) and is_identifier(generation_id):
            event = await self._store.get_event(account_id, generation_id)
        if event is None:
            raise AppError(Kind.MISSING, "GENERATION_UNKNOWN", f"Generation {generation_id[:64]} was not found")
        return event
