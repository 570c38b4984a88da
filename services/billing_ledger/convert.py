"""Protobuf messages as the ledger's own terms, and back.

Owns validation of what comes over the wire. Decides nothing about money.
Invariant: what passes here has bounded texts without control characters, and no negative amounts.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from switchyard.events.v1.usage_recorded_pb2 import (
    OUTCOME_CANCELLED,
    OUTCOME_COMPLETED,
    OUTCOME_FAILED,
    UsageRecorded,
)
from switchyard.keys.v1 import keys_pb2
from switchyard.ledger.v1 import ledger_pb2 as pb

from libs.bus.port import Delivered, Rejected
from libs.errors import AppError, Kind
from libs.pricing_messages import prices_from_proto, units_from_proto
from services.billing_ledger.core.admission import HoldDecision, HoldWish
from services.billing_ledger.core.books import counter_book
from services.billing_ledger.core.settlements import (
    Claim,
    SettlementBatch,
    SettlementOutcome,
    SettlementRow,
    problem_of_claim,
    problem_of_time,
)
from services.billing_ledger.core.windows import Reset
from services.billing_ledger.ports import Credits, Grant, KeySpend

MAX_ID_LENGTH = 256
MAX_REASON_LENGTH = 1_000
_OUTCOMES = (OUTCOME_COMPLETED, OUTCOME_CANCELLED, OUTCOME_FAILED)
_RESETS = {
    keys_pb2.LIMIT_RESET_UNSPECIFIED: Reset.NEVER,
    keys_pb2.LIMIT_RESET_NEVER: Reset.NEVER,
    keys_pb2.LIMIT_RESET_DAILY: Reset.DAILY,
    keys_pb2.LIMIT_RESET_WEEKLY: Reset.WEEKLY,
    keys_pb2.LIMIT_RESET_MONTHLY: Reset.MONTHLY,
}


def hold_wish(message: pb.HoldRequest) -> HoldWish:
    fixed, price, tokens = message.fixed_nano_usd, message.token_price, message.tokens
    minimum = message.minimum_tokens
    if min(fixed, price, tokens, minimum) < 0:
        raise AppError(Kind.INVALID, "NEGATIVE_AMOUNT", "Amounts, prices and tokens are never negative.")
    key_limit = message.key_limit_nano_usd if message.HasField("key_limit_nano_usd") else None
    reset = _RESETS.get(message.key_limit_reset)
    if reset is None:
        raise AppError(Kind.INVALID, "UNKNOWN_LIMIT_RESET", "key_limit_reset is not a known window.")
    return HoldWish(
        identifier(message.generation_id, "generation_id"),
        identifier(message.account_id, "account_id"),
        identifier(message.key_hash, "key_hash"),
        identifier(message.owner, "owner"),
        fixed,
        price,
        tokens,
        min(minimum, tokens),
        key_limit,
        reset,
    )


def hold_response(decision: HoldDecision) -> pb.HoldResponse:
    return pb.HoldResponse(held_nano_usd=decision.amount, tokens=decision.tokens)


def grant(message: pb.GrantRequest) -> Grant:
    reason = message.reason
    if len(reason) > MAX_REASON_LENGTH or "\0" in reason:
        raise AppError(Kind.INVALID, "INVALID_REASON", f"reason is a text of at most {MAX_REASON_LENGTH} characters.")
    return Grant(
        identifier(message.account_id, "account_id"),
        message.amount_nano_usd,
        identifier(message.idempotency_key, "idempotency_key"),
        reason,
    )


def credits_response(credits_: Credits) -> pb.GetCreditsResponse:
    return pb.GetCreditsResponse(
        total_credits_nano_usd=credits_.credited,
        total_usage_nano_usd=credits_.used,
        held_nano_usd=credits_.held,
        overdraft_nano_usd=credits_.overdraft,
    )


def key_spend_response(spend: KeySpend) -> pb.GetKeySpendResponse:
    return pb.GetKeySpendResponse(
        total_nano_usd=spend.total,
        daily_nano_usd=spend.daily,
        weekly_nano_usd=spend.weekly,
        monthly_nano_usd=spend.monthly,
    )


def identifier(text: str, name: str) -> str:
    """The text itself.

    Raises:
        AppError: it is empty, too long, or holds what no id of ours holds.
    """
    if is_identifier(text):
        return text
    raise AppError(
        Kind.INVALID,
        "INVALID_IDENTIFIER",
        f"{name} must have 1 to {MAX_ID_LENGTH} printable characters.",
        {"field": name},
    )


def is_identifier(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_LENGTH and text.isprintable()


def settlement_batch(records: Sequence[Delivered], now_ms: int) -> tuple[SettlementBatch, list[Rejected]]:
    """Events as columns, and those that can never be settled as they are."""
    batch = SettlementBatch()
    rejected: list[Rejected] = []
    seen: set[str] = set()
    oldest_ms: int | None = None
    for index, delivered in enumerate(records):
        try:
            event = UsageRecorded.FromString(delivered.record.value)
        except DecodeError:
            rejected.append(Rejected(index, "not a UsageRecorded message"))
            continue
        row = settlement_row(event, now_ms)
        if isinstance(row, str):
            rejected.append(Rejected(index, row))
        elif row.generation_id in seen:
            batch.repeated += 1
        else:
            seen.add(row.generation_id)
            batch.add(row)
            recorded_ms = event.recorded_at_ms
            if recorded_ms > 0 and (oldest_ms is None or recorded_ms < oldest_ms):
                oldest_ms = recorded_ms
    batch.oldest_recorded_at_ms = oldest_ms
    return batch, rejected


def settlement_row(event: UsageRecorded, now_ms: int) -> SettlementRow | str:
    """What an event means for money; a text says why it can never mean anything."""
    generation_id, account_id, key_hash = event.generation_id, event.account_id, event.key_hash
    created_ms, outcome = event.created_at_ms, event.outcome
    if not (is_identifier(generation_id) and is_identifier(account_id) and is_identifier(key_hash)):
        return "generation_id, account_id or key_hash is missing or malformed"
    problem = problem_of_time(created_ms, now_ms)
    if problem is not None:
        return problem
    if outcome not in _OUTCOMES:
        return "outcome is not set"
    amount, book, reason, meaning = 0, "", None, SettlementOutcome.FREE
    if event.review_reason:
        reason, meaning = event.review_reason[:MAX_REASON_LENGTH].replace("\0", ""), SettlementOutcome.REVIEW
    elif event.cost_nano_usd != 0 and outcome != OUTCOME_FAILED:
        problem = _problem_of_charge(event)
        if problem is not None:
            return problem
        amount, meaning = event.cost_nano_usd, SettlementOutcome.CHARGED
        book = counter_book(event.provider_slug, is_byok=event.is_byok)
    return SettlementRow(generation_id, account_id, key_hash, amount, book, meaning, reason, created_ms)


def _problem_of_charge(event: UsageRecorded) -> str | None:
    claim = Claim(
        event.cost_nano_usd, event.prompt_cost_nano_usd, event.completion_cost_nano_usd, event.request_cost_nano_usd
    )
    if not is_identifier(event.provider_slug):
        return "provider_slug is missing or malformed"
    return problem_of_claim(claim, units_from_proto(event.usage), prices_from_proto(event.price), is_byok=event.is_byok)
