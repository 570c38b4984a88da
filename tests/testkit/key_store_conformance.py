"""What every `KeyStore` does; subclass with a fixture `store`."""

import asyncio

import pytest

from services.key_management.core.keys import Key, LimitReset, NewKey
from services.key_management.ports import KeyStore
from tests.testkit.key_management import some_hash

HASH = some_hash()
ACCOUNT = "acct_1"


async def with_account(store: KeyStore) -> KeyStore:
    await store.ensure_bootstrap_account(ACCOUNT, "workspace-1", now_ms=1)
    return store


async def insert(store: KeyStore, new: NewKey | None = None, key_hash: str = HASH) -> Key:
    key = await store.insert_key(
        new or NewKey(ACCOUNT, "laptop"), key_hash=key_hash, label="sk-sy-v1-abc...123", now_ms=10
    )
    assert key is not None
    return key


class KeyStoreConformance:
    async def test_key_that_nobody_made_is_absent(self, store: KeyStore) -> None:
        assert await store.get_by_hash(HASH) is None

    async def test_key_comes_back_with_every_field(self, store: KeyStore) -> None:
        await with_account(store)
        new = NewKey(
            account_id=ACCOUNT,
            name="naïve ☃",
            is_management=True,
            limit_nano_usd=2**63 - 1,
            limit_reset=LimitReset.MONTHLY,
            include_byok_in_limit=True,
            expires_at_ms=2_000_000_000_000,
            creator_user_id="user_1",
        )
        expected = Key(
            hash=HASH,
            account_id=ACCOUNT,
            workspace_id="workspace-1",
            name="naïve ☃",
            label="sk-sy-v1-abc...123",
            is_management=True,
            disabled=False,
            created_at_ms=10,
            updated_at_ms=None,
            expires_at_ms=2_000_000_000_000,
            deleted_at_ms=None,
            limit_nano_usd=2**63 - 1,
            limit_reset=LimitReset.MONTHLY,
            include_byok_in_limit=True,
            creator_user_id="user_1",
        )
        assert await insert(store, new) == expected
        assert await store.get_by_hash(HASH) == expected

    async def test_key_for_an_unknown_account_is_not_made(self, store: KeyStore) -> None:
        made = await store.insert_key(NewKey("acct_unknown", "x"), key_hash=HASH, label="l", now_ms=1)
        assert made is None
        assert await store.get_by_hash(HASH) is None

    async def test_key_is_switched_off_and_on(self, store: KeyStore) -> None:
        await insert(await with_account(store))
        off = await store.set_disabled(ACCOUNT, HASH, disabled=True, now_ms=20)
        assert off is not None
        assert (off.disabled, off.updated_at_ms) == (True, 20)
        assert await store.get_by_hash(HASH) == off
        on = await store.set_disabled(ACCOUNT, HASH, disabled=False, now_ms=30)
        assert on is not None
        assert (on.disabled, on.updated_at_ms) == (False, 30)

    async def test_deleted_key_is_marked_and_stays_so(self, store: KeyStore) -> None:
        await insert(await with_account(store))
        assert await store.delete_key(ACCOUNT, HASH, now_ms=20)
        assert not await store.delete_key(ACCOUNT, HASH, now_ms=30)
        assert await store.set_disabled(ACCOUNT, HASH, disabled=False, now_ms=30) is None
        key = await store.get_by_hash(HASH)
        assert key is not None
        assert key.deleted_at_ms == 20

    async def test_hash_of_a_deleted_key_stays_taken(self, store: KeyStore) -> None:
        await insert(await with_account(store))
        await store.delete_key(ACCOUNT, HASH, now_ms=20)
        with pytest.raises(Exception, match=r"taken|unique"):
            await insert(store)

    async def test_other_accounts_cannot_touch_a_key(self, store: KeyStore) -> None:
        key = await insert(await with_account(store))
        assert await store.set_disabled("acct_2", HASH, disabled=True, now_ms=20) is None
        assert not await store.delete_key("acct_2", HASH, now_ms=20)
        assert await store.get_by_hash(HASH) == key

    async def test_bootstrap_account_is_made_once_however_many_ask_at_once(self, store: KeyStore) -> None:
        ids = await asyncio.gather(
            *(store.ensure_bootstrap_account(f"acct_{n}", f"workspace-{n}", now_ms=n) for n in range(20))
        )
        assert len(set(ids)) == 1
        assert await store.ensure_bootstrap_account("acct_late", "workspace-late", now_ms=99) == ids[0]
        assert (await insert(store, NewKey(ids[0], "x"))).workspace_id == ids[0].replace("acct_", "workspace-")
