"""The use cases of key_management: each loads, decides, saves.

Owns who is told what. Does not own wire formats or SQL. Invariant: an account learns nothing of another account's keys.
"""

from libs.clock import Clock
from libs.errors import AppError, Kind
from libs.ids import prefixed_id, uuid7
from services.key_management.core.keys import (
    Key,
    NewKey,
    Validity,
    complaint_about,
    hash_of,
    is_hash,
    label_of,
    new_plaintext,
    validity,
)
from services.key_management.ports import KeyStore


class KeyHandlers:
    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def authenticate(self, key_hash: str) -> Key:
        """Who presents the key with this hash.

        Raises:
            AppError: UNAUTHENTICATED `KEY_UNKNOWN` (deleted ones too), `KEY_DISABLED` or `KEY_EXPIRED`.
        """
        key = await self._store.get_by_hash(key_hash) if is_hash(key_hash) else None
        state = Validity.DELETED if key is None else validity(key, self._clock.now_ms())
        if key is None or state is Validity.DELETED:
            raise AppError(Kind.UNAUTHENTICATED, "KEY_UNKNOWN", "Invalid API key")
        if state is Validity.DISABLED:
            raise AppError(Kind.UNAUTHENTICATED, "KEY_DISABLED", "This API key is disabled")
        if state is Validity.EXPIRED:
            raise AppError(Kind.UNAUTHENTICATED, "KEY_EXPIRED", "This API key has expired")
        return key

    async def create(self, new: NewKey) -> tuple[Key, str]:
        """Makes a key; the second value is its plaintext, which exists nowhere else.

        Raises:
            AppError: INVALID, or MISSING `ACCOUNT_UNKNOWN`.
        """
        now_ms = self._clock.now_ms()
        complaint = complaint_about(new, now_ms)
        if complaint is not None:
            raise AppError(Kind.INVALID, *complaint)
        plaintext = new_plaintext()
        key = await self._store.insert_key(new, key_hash=hash_of(plaintext), label=label_of(plaintext), now_ms=now_ms)
        if key is None:
            raise AppError(Kind.MISSING, "ACCOUNT_UNKNOWN", "There is no such account")
        return key, plaintext

    async def set_disabled(self, account_id: str, key_hash: str, *, disabled: bool) -> Key:
        """Switches a key off or on.

        Raises:
            AppError: MISSING `KEY_NOT_FOUND`, for other accounts' keys too.
        """
        key = None
        if is_hash(key_hash):
            now_ms = self._clock.now_ms()
            key = await self._store.set_disabled(account_id, key_hash, disabled=disabled, now_ms=now_ms)
        if key is None:
            raise _not_found()
        return key

    async def delete(self, account_id: str, key_hash: str) -> None:
        """Deletes a key for good.

        Raises:
            AppError: MISSING `KEY_NOT_FOUND`, for other accounts' keys too.
        """
        now_ms = self._clock.now_ms()
        if not is_hash(key_hash) or not await self._store.delete_key(account_id, key_hash, now_ms=now_ms):
            raise _not_found()

    async def ensure_bootstrap_account(self) -> str:
        """The id of the first account, made if there is none."""
        now_ms = self._clock.now_ms()
        return await self._store.ensure_bootstrap_account(
            prefixed_id("acct", now_ms), str(uuid7(now_ms)), now_ms=now_ms
        )


def _not_found() -> AppError:
    return AppError(Kind.MISSING, "KEY_NOT_FOUND", "API key not found")
