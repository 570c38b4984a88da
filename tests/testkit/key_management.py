"""A key store in memory, for everyone who needs keys in a test."""

from dataclasses import replace

from services.key_management.core.keys import Key, NewKey, hash_of


class MemoryKeyStore:
    """Keeps what PostgreSQL would keep; `KeyStoreConformance` proves that."""

    def __init__(self) -> None:
        self._accounts: dict[str, str] = {}
        self._keys: dict[str, Key] = {}
        self._bootstrap: str | None = None

    async def get_by_hash(self, key_hash: str) -> Key | None:
        return self._keys.get(key_hash)

    async def insert_key(self, new: NewKey, *, key_hash: str, label: str, now_ms: int) -> Key | None:
        workspace_id = self._accounts.get(new.account_id)
        if workspace_id is None:
            return None
        if key_hash in self._keys:
            raise ValueError("hash is taken")
        key = Key(
            hash=key_hash,
            account_id=new.account_id,
            workspace_id=workspace_id,
            name=new.name,
            label=label,
            is_management=new.is_management,
            disabled=False,
            created_at_ms=now_ms,
            updated_at_ms=None,
            expires_at_ms=new.expires_at_ms,
            deleted_at_ms=None,
            limit_nano_usd=new.limit_nano_usd,
            limit_reset=new.limit_reset,
            include_byok_in_limit=new.include_byok_in_limit,
            creator_user_id=new.creator_user_id,
        )
        self._keys[key_hash] = key
        return key

    async def set_disabled(self, account_id: str, key_hash: str, *, disabled: bool, now_ms: int) -> Key | None:
        key = self._own(account_id, key_hash)
        if key is None:
            return None
        changed = replace(key, disabled=disabled, updated_at_ms=now_ms)
        self._keys[key_hash] = changed
        return changed

    async def delete_key(self, account_id: str, key_hash: str, *, now_ms: int) -> bool:
        key = self._own(account_id, key_hash)
        if key is None:
            return False
        self._keys[key_hash] = replace(key, deleted_at_ms=now_ms, updated_at_ms=now_ms)
        return True

    async def ensure_bootstrap_account(self, account_id: str, workspace_id: str, *, now_ms: int) -> str:
        if self._bootstrap is None:
            self._bootstrap = account_id
            self._accounts[account_id] = workspace_id
        return self._bootstrap

    def add_account(self, account_id: str, workspace_id: str) -> None:
        self._accounts[account_id] = workspace_id

    def _own(self, account_id: str, key_hash: str) -> Key | None:
        key = self._keys.get(key_hash)
        return key if key and key.account_id == account_id and key.deleted_at_ms is None else None


def some_hash(text: str = "a") -> str:
    return hash_of(text)
