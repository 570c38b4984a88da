"""A record store in memory, and builders for what goes into it.

Owns the plainest statement of what a store of records does. Invariant: it passes the same conformance suite as
PostgreSQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from switchyard.common.v1.usage_pb2 import USAGE_SOURCE_PROVIDER, TokenUsage
from switchyard.events.v1.usage_recorded_pb2 import OUTCOME_COMPLETED, Outcome, UsageRecorded

from libs.bus.port import HEADER_EVENT_ID, HEADER_TRACEPARENT, Delivered, Record
from libs.errors import AppError, Kind
from services.analytics.convert import row_of
from services.analytics.core import records
from services.analytics.core.records import DailyActivity, GenerationRow, day_of

TOPIC = "switchyard.usage.v1"
NOW_MS = 1_795_478_400_000  # 2026-11-24, 00:00 UTC
TODAY = date(2026, 11, 24)


@dataclass
class MemoryRecordStore:
    """Implements `ports.RecordStore`; `away` makes every call fail as if the database were away."""

    away: bool = False
    rows: dict[str, GenerationRow] = field(default_factory=dict)

    async def insert(self, rows: Sequence[GenerationRow]) -> int:
        self._fail_if_away()
        fresh = {row.generation_id: row for row in rows if row.generation_id not in self.rows}
        self.rows.update(fresh)
        return len(fresh)

    async def get_event(self, account_id: str, generation_id: str) -> bytes | None:
        self._fail_if_away()
        row = self.rows.get(generation_id)
        return row.event if row is not None and row.account_id == account_id else None

    async def daily_activity(self, account_id: str, first: date, last: date) -> list[DailyActivity]:
        self._fail_if_away()
        groups: dict[tuple[date, str, str, str, str, bool], list[GenerationRow]] = {}
        for row in self.rows.values():
            day = day_of(row.created_at_ms)
            if row.account_id == account_id and first <= day <= last:
                key = (day, row.key_hash, row.model, row.endpoint_id, row.provider_slug, row.is_byok)
                groups.setdefault(key, []).append(row)
        return [
            DailyActivity(
                *key,
                requests=len(group),
                cancelled=sum(row.outcome == records.Outcome.CANCELLED for row in group),
                failed=sum(row.outcome == records.Outcome.FAILED for row in group),
                prompt_tokens=sum(row.prompt_tokens for row in group),
                completion_tokens=sum(row.completion_tokens for row in group),
                reasoning_tokens=sum(row.reasoning_tokens for row in group),
                cost_nano_usd=sum(row.cost_nano_usd for row in group),
            )
            for key, group in sorted(groups.items())
        ]

    def _fail_if_away(self) -> None:
        if self.away:
            raise AppError(Kind.NO_ROUTE, "SERVICE_UNAVAILABLE", "The database is away.", retry_after_s=1.0)


def generation_event(
    generation_id: str = "gen-1795478400-AAAAAAAAAAAAAAAAAAAA",
    *,
    account_id: str = "acct_1",
    key_hash: str = "key_1",
    created_at_ms: int = NOW_MS,
    outcome: "Outcome.ValueType" = OUTCOME_COMPLETED,
    model: str = "acme/small",
    cost_nano_usd: int = 50,
    prompt_tokens: int = 10,
    completion_tokens: int = 20,
    review_reason: str = "",
    trace_json: bytes = b"",
) -> UsageRecorded:
    """A whole event; a `model` of "" is one that nothing answered."""
    return UsageRecorded(
        generation_id=generation_id,
        account_id=account_id,
        key_hash=key_hash,
        workspace_id="workspace-1",
        created_at_ms=created_at_ms,
        recorded_at_ms=NOW_MS + 1_500,
        outcome=outcome,
        http_status=200,
        requested_model="acme/asked",
        model=model,
        endpoint_id="acme-cloud:acme/small" if model else "",
        provider_slug="acme-cloud" if model else "",
        provider_name="Acme Cloud" if model else "",
        api_type="completions",
        streamed=True,
        usage=TokenUsage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, reasoning_tokens=5),
        usage_source=USAGE_SOURCE_PROVIDER,
        cost_nano_usd=cost_nano_usd,
        review_reason=review_reason,
        finish_reason="stop",
        latency_ms=200,
        generation_time_ms=1_500,
        user_id="user-7",
        session_id="session-9",
        trace_json=trace_json,
    )


def generation_row(generation_id: str = "gen-1795478400-AAAAAAAAAAAAAAAAAAAA", **changes: Any) -> GenerationRow:
    """The row of a `generation_event`, with columns replaced."""
    event = generation_event(generation_id)
    return row_of(event, event.SerializeToString())._replace(**changes)


def delivered(value: UsageRecorded | bytes, offset: int = 0, traceparent: str = "") -> Delivered:
    """A record as consumers get it."""
    if isinstance(value, bytes):
        return Delivered(Record(TOPIC, "acct_1", value, {HEADER_EVENT_ID: "unknown"}), 0, offset, NOW_MS)
    headers = {HEADER_EVENT_ID: value.generation_id, HEADER_TRACEPARENT: traceparent}
    return Delivered(Record(TOPIC, value.account_id, value.SerializeToString(), headers), 0, offset, NOW_MS)
