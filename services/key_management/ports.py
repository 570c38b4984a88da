"""What key_management asks of its store."""

from typing import Protocol

from services.key_management.core.keys import Key, NewKey


class KeyStore(Protocol):
    """Accounts and keys, durable when a method returns.

    Every method raises `AppError` `SERVICE_UNAVAILABLE` while the store cannot be reached.
    """

    async def get_by_hash(self, key_hash: str) -> Key | None:
        """The key, deleted ones too."""
        ...

    async def insert_key(self, new: NewKey, *, key_hash: str, label: str, now_ms: int) -> Key | None:
        """Keeps a key in its account's workspace; None if there is no such account."""
        ...

    async def set_disabled(self, account_id: str, key_hash: str, *, disabled: bool, now_ms: int) -> Key | None:
        """The key as it is now; None if the account has no such key, or deleted it."""
        ...

    async def delete_key(self, account_id: str, key_hash: str, *, now_ms: int) -> bool:
        """Marks the key as deleted for good; False if the account has no such key, or deleted it before."""
        ...

    async def ensure_bootstrap_account(self, account_id: str, workspace_id: str, *, now_ms: int) -> str:
        """The id of the first account, made with these ids if there is none; the same one for all who ask at once."""
        ...
