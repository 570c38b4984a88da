"""Accounts and keys in PostgreSQL, schema `key_management`.

Owns the SQL. Decides nothing beyond what has to be atomic. Invariant: no plaintext key ever reaches a statement.
"""

import asyncpg

from libs.pg.transient import database_away_is_unavailable
from services.key_management.core.keys import Key, LimitReset, NewKey

_COLUMNS = """key_hash, account_id, workspace_id, name, label, is_management, disabled, created_at_ms, updated_at_ms,
    expires_at_ms, deleted_at_ms, limit_nano_usd, limit_reset, include_byok_in_limit, creator_user_id"""

# S608: the statements are put together from constants of this module alone.
_GET = f"SELECT {_COLUMNS} FROM key_management.keys WHERE key_hash = $1"  # noqa: S608

_INSERT = f"""
    INSERT INTO key_management.keys (key_hash, account_id, workspace_id, name, label, is_management, created_at_ms,
        expires_at_ms, limit_nano_usd, limit_reset, include_byok_in_limit, creator_user_id)
    SELECT $1, account_id, workspace_id, $3, $4, $5, $6, $7, $8, $9, $10, $11
    FROM key_management.accounts WHERE account_id = $2
    RETURNING {_COLUMNS}
"""  # noqa: S608

_SET_DISABLED = f"""
    UPDATE key_management.keys SET disabled = $3, updated_at_ms = $4
    WHERE key_hash = $1 AND account_id = $2 AND deleted_at_ms IS NULL
    RETURNING {_COLUMNS}
"""  # noqa: S608

_DELETE = """
    UPDATE key_management.keys SET deleted_at_ms = $3, updated_at_ms = $3
    WHERE key_hash = $1 AND account_id = $2 AND deleted_at_ms IS NULL
    RETURNING true
"""

# The update changes nothing; it makes a conflict return the row that another replica has just made.
_ENSURE_BOOTSTRAP_ACCOUNT = """
    INSERT INTO key_management.accounts AS known (account_id, workspace_id, is_bootstrap, created_at_ms)
    VALUES ($1, $2, true, $3)
    ON CONFLICT (is_bootstrap) WHERE is_bootstrap DO UPDATE SET account_id = known.account_id
    RETURNING account_id
"""


class PostgresKeyStore:
    """A `KeyStore` on a pool that is given to it; its tables exist already."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def get_by_hash(self, key_hash: str) -> Key | None:
        with database_away_is_unavailable():
            return _key(await self._pool.fetchrow(_GET, key_hash))

    async def insert_key(self, new: NewKey, *, key_hash: str, label: str, now_ms: int) -> Key | None:
        with database_away_is_unavailable():
            row = await self._pool.fetchrow(
                _INSERT,
                key_hash,
                new.account_id,
                new.name,
                label,
                new.is_management,
                now_ms,
                new.expires_at_ms,
                new.limit_nano_usd,
                new.limit_reset.value,
                new.include_byok_in_limit,
                new.creator_user_id,
            )
        return _key(row)

    async def set_disabled(self, account_id: str, key_hash: str, *, disabled: bool, now_ms: int) -> Key | None:
        with database_away_is_unavailable():
            return _key(await self._pool.fetchrow(_SET_DISABLED, key_hash, account_id, disabled, now_ms))

    async def delete_key(self, account_id: str, key_hash: str, *, now_ms: int) -> bool:
        with database_away_is_unavailable():
            return await self._pool.fetchval(_DELETE, key_hash, account_id, now_ms) is True

    async def ensure_bootstrap_account(self, account_id: str, workspace_id: str, *, now_ms: int) -> str:
        with database_away_is_unavailable():
            return str(await self._pool.fetchval(_ENSURE_BOOTSTRAP_ACCOUNT, account_id, workspace_id, now_ms))


def _key(row: asyncpg.Record | None) -> Key | None:
    if row is None:
        return None
    return Key(
        hash=row["key_hash"],
        account_id=row["account_id"],
        workspace_id=row["workspace_id"],
        name=row["name"],
        label=row["label"],
        is_management=row["is_management"],
        disabled=row["disabled"],
        created_at_ms=row["created_at_ms"],
        updated_at_ms=row["updated_at_ms"],
        expires_at_ms=row["expires_at_ms"],
        deleted_at_ms=row["deleted_at_ms"],
        limit_nano_usd=row["limit_nano_usd"],
        limit_reset=LimitReset(row["limit_reset"]),
        include_byok_in_limit=row["include_byok_in_limit"],
        creator_user_id=row["creator_user_id"],
    )
