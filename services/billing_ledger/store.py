"""The ledger in PostgreSQL: each use case is one call of one function, hence one transaction and one round trip.

Owns schema `billing_ledger`. Decides nothing: the functions in `migrations/` do, as `core` says in Python.
Invariant: rows are locked in the order accounts, holds, keys, each ascending, so calls never deadlock.
"""

from collections.abc import Sequence

import asyncpg

from libs.errors import AppError, Kind
from libs.pg.transient import database_away_is_unavailable
from services.billing_ledger.core.admission import HoldDecision, HoldOutcome, HoldWish, need_of
from services.billing_ledger.core.settlements import SettlementBatch
from services.billing_ledger.core.windows import day_of, window_of, windows_of_day
from services.billing_ledger.ports import Credits, Grant, KeySpend, Settled

_HOLD = "SELECT * FROM billing_ledger.hold($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
_SETTLE = "SELECT * FROM billing_ledger.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_VOID = "SELECT billing_ledger.void($1)"
_SWEEP = "SELECT billing_ledger.sweep($1, $2, $3, $4)"
_GRANT = "SELECT billing_ledger.grant_credit($1, $2, $3, $4)"
_RENEW = """
    INSERT INTO billing_ledger.hold_owners (owner, lease_until) VALUES ($1, now() + make_interval(secs => $2))
    ON CONFLICT (owner) DO UPDATE SET lease_until = greatest(hold_owners.lease_until, excluded.lease_until)
"""
_CREDITS = """
    SELECT credited_nano_usd, used_nano_usd, held_nano_usd, overdraft_nano_usd
    FROM billing_ledger.accounts WHERE id = $1
"""
_KEY_SPEND = """
    SELECT
        (SELECT spent_nano_usd FROM billing_ledger.keys WHERE key_hash = $1),
        (SELECT spent_nano_usd FROM billing_ledger.key_spend WHERE key_hash = $1 AND time_window = $2),
        (SELECT spent_nano_usd FROM billing_ledger.key_spend WHERE key_hash = $1 AND time_window = $3),
        (SELECT spent_nano_usd FROM billing_ledger.key_spend WHERE key_hash = $1 AND time_window = $4)
"""
_OUTCOMES = {outcome.value: outcome for outcome in HoldOutcome}


class PostgresLedgerStore:
    """Implements `ports.LedgerStore`.

    Args:
        pool: connections in READ COMMITTED, the default.
        hold_timeout_s: how long a decision may take before it is "cannot decide now".
        settle_timeout_s: the same for settling a batch.
    """

    def __init__(self, pool: asyncpg.Pool, *, hold_timeout_s: float = 5.0, settle_timeout_s: float = 30.0) -> None:
        self._pool = pool
        self._hold_timeout_s = hold_timeout_s
        self._settle_timeout_s = settle_timeout_s

    async def hold(self, wishes: Sequence[HoldWish], now_ms: int) -> list[HoldDecision]:
        arguments = _hold_arguments(wishes, now_ms)
        with database_away_is_unavailable():
            row = await self._pool.fetchrow(_HOLD, *arguments, timeout=self._hold_timeout_s)
        assert row is not None
        outcomes, amounts, tokens = row
        return [
            HoldDecision(_OUTCOMES[outcome], amount, count)
            for outcome, amount, count in zip(outcomes, amounts, tokens, strict=True)
        ]

    async def void(self, generation_ids: Sequence[str]) -> int:
        with database_away_is_unavailable():
            voided: int = await self._pool.fetchval(_VOID, generation_ids, timeout=self._hold_timeout_s)
        return voided

    async def settle(self, batch: SettlementBatch) -> Settled:
        days = [day_of(moment_ms) for moment_ms in batch.created_at_ms]
        window_days: list[int] = []
        windows: list[str] = []
        for day in set(days):
            window_days += (day, day, day)
            windows += windows_of_day(day)
        with database_away_is_unavailable():
            row = await self._pool.fetchrow(
                _SETTLE,
                sorted(set(batch.account_ids)),
                window_days,
                windows,
                batch.generation_ids,
                batch.account_ids,
                batch.key_hashes,
                batch.amounts,
                batch.counter_books,
                batch.outcomes,
                batch.review_reasons,
                batch.created_at_ms,
                days,
                timeout=self._settle_timeout_s,
            )
        assert row is not None
        return Settled(frozenset(row[0] or ()), row[1])

    async def grant(self, grant: Grant) -> bool:
        try:
            with database_away_is_unavailable():
                granted: bool = await self._pool.fetchval(
                    _GRANT, grant.account_id, grant.amount, grant.idempotency_key, grant.reason
                )
        except (asyncpg.CheckViolationError, asyncpg.NumericValueOutOfRangeError):
            raise AppError(Kind.INVALID, "AMOUNT_OUT_OF_RANGE", "No account can hold that much credit.") from None
        return granted

    async def credits(self, account_id: str) -> Credits:
        with database_away_is_unavailable():
            row = await self._pool.fetchrow(_CREDITS, account_id)
        return Credits(*row) if row is not None else Credits(0, 0, 0, 0)

    async def key_spend(self, key_hash: str, now_ms: int) -> KeySpend:
        windows = windows_of_day(day_of(now_ms))
        with database_away_is_unavailable():
            row = await self._pool.fetchrow(_KEY_SPEND, key_hash, *windows)
        assert row is not None
        return KeySpend(*(value or 0 for value in row))

    async def renew_lease(self, owner: str, lease_s: float) -> None:
        with database_away_is_unavailable():
            await self._pool.execute(_RENEW, owner, lease_s)

    async def sweep(self, *, lease_s: float, grace_s: float, max_age_s: float, limit: int) -> int:
        with database_away_is_unavailable():
            swept: int = await self._pool.fetchval(_SWEEP, lease_s, grace_s, max_age_s, limit)
        return swept


def _hold_arguments(wishes: Sequence[HoldWish], now_ms: int) -> tuple[Sequence[object], ...]:
    """The columns of `billing_ledger.hold`: places point into sorted lists of distinct accounts and keys, from 1."""
    accounts = sorted({wish.account_id for wish in wishes})
    keys = sorted({wish.key_hash for wish in wishes})
    account_places = {account_id: place for place, account_id in enumerate(accounts, start=1)}
    key_places = {key_hash: place for place, key_hash in enumerate(keys, start=1)}
    spends: dict[tuple[str, str], int] = {}
    spend_places: list[int | None] = []
    for wish in wishes:
        if wish.key_limit is None:
            spend_places.append(None)
        else:
            spend = (wish.key_hash, window_of(wish.key_reset, now_ms))
            spend_places.append(spends.setdefault(spend, len(spends) + 1))
    return (
        accounts,
        keys,
        [key_hash for key_hash, _ in spends],
        [window for _, window in spends],
        [wish.generation_id for wish in wishes],
        [account_places[wish.account_id] for wish in wishes],
        [key_places[wish.key_hash] for wish in wishes],
        [wish.owner for wish in wishes],
        [need_of(wish) for wish in wishes],
        [wish.fixed for wish in wishes],
        [wish.token_price for wish in wishes],
        [wish.tokens for wish in wishes],
        [wish.minimum_tokens for wish in wishes],
        [wish.key_limit for wish in wishes],
        spend_places,
    )
