"""What analytics keeps of a generation, and the sums it makes per day.

Owns the shape of a row and what makes one unfit. Does not own SQL or wire formats. Invariant: a row that is fit can be
stored and summed; its texts are bounded and its figures are never negative.
"""

from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

MAX_TEXT = 256
_MS_PER_DAY = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()
_EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: before this product
_SKEW_MS = _MS_PER_DAY


class Outcome(IntEnum):
    """As in `switchyard.events.v1.Outcome`."""

    COMPLETED = 1
    CANCELLED = 2
    FAILED = 3


class GenerationRow(NamedTuple):
    """One generation; the order is that of the columns in `store`."""

    generation_id: str
    account_id: str
    key_hash: str
    created_at_ms: int
    outcome: int
    model: str
    endpoint_id: str
    provider_slug: str
    is_byok: bool
    cost_nano_usd: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    event: bytes
    """The whole event, serialized."""


class DailyActivity(NamedTuple):
    """One row of sums; `requests` counts cancelled and failed ones too."""

    day: date
    key_hash: str
    model: str
    endpoint_id: str
    provider_slug: str
    is_byok: bool
    requests: int
    cancelled: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_nano_usd: int


def is_identifier(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and text.isprintable()


def problem_of(row: GenerationRow, now_ms: int) -> str | None:
    """Why a row can never be kept; None when it can.

    The times are those that the ledger takes, so that both have the same generations.
    """
    if not (is_identifier(row.generation_id) and is_identifier(row.account_id) and is_identifier(row.key_hash)):
        return "generation_id, account_id or key_hash is missing or malformed"
    names = row.model, row.endpoint_id, row.provider_slug
    if not all(len(name) <= MAX_TEXT and name.isprintable() for name in names):
        return "model, endpoint_id or provider_slug is malformed"
    if not _EARLIEST_MS <= row.created_at_ms <= now_ms + _SKEW_MS:
        return "created_at_ms is out of range"
    if not Outcome.COMPLETED <= row.outcome <= Outcome.FAILED:
        return "outcome is not set"
    if min(row.cost_nano_usd, row.prompt_tokens, row.completion_tokens, row.reasoning_tokens) < 0:
        return "cost or tokens are negative"
    return None


def day_of(unix_ms: int) -> date:
    """The UTC day of a moment."""
    return _EPOCH + timedelta(days=unix_ms // _MS_PER_DAY)
