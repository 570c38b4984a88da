import pytest

from libs.clock import ManualClock
from libs.errors import AppError, Kind
from services.key_management.core.keys import Key, NewKey, hash_of
from services.key_management.handlers import KeyHandlers
from tests.testkit.key_management import MemoryKeyStore, some_hash

OTHER = "acct_other"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def handlers(clock: ManualClock) -> KeyHandlers:
    store = MemoryKeyStore()
    store.add_account(OTHER, "workspace-other")
    return KeyHandlers(store, clock)


async def make(handlers: KeyHandlers, expires_at_ms: int | None = None) -> tuple[Key, str]:
    account_id = await handlers.ensure_bootstrap_account()
    return await handlers.create(NewKey(account_id, "laptop", expires_at_ms=expires_at_ms))


async def refusal_of(handlers: KeyHandlers, key_hash: str) -> str:
    with pytest.raises(AppError) as caught:
        await handlers.authenticate(key_hash)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.http_status == 401
    return caught.value.reason


async def test_key_just_made_authenticates_by_the_hash_of_its_plaintext(handlers: KeyHandlers) -> None:
    key, plaintext = await make(handlers)
    assert await handlers.authenticate(hash_of(plaintext)) == key
    assert plaintext not in repr(key)
    assert key.label == f"{plaintext[:12]}...{plaintext[-3:]}"


async def test_unknown_hash_and_no_hash_at_all_are_refused_alike(handlers: KeyHandlers) -> None:
    assert await refusal_of(handlers, some_hash()) == "KEY_UNKNOWN"
    assert await refusal_of(handlers, "' OR 1=1 --") == "KEY_UNKNOWN"


async def test_disabled_key_is_refused_until_it_is_enabled(handlers: KeyHandlers) -> None:
    key, _ = await make(handlers)
    assert (await handlers.set_disabled(key.account_id, key.hash, disabled=True)).disabled
    assert await refusal_of(handlers, key.hash) == "KEY_DISABLED"
    await handlers.set_disabled(key.account_id, key.hash, disabled=False)
    assert not (await handlers.authenticate(key.hash)).disabled


async def test_deleted_key_is_as_if_it_never_was(handlers: KeyHandlers) -> None:
    key, _ = await make(handlers)
    await handlers.delete(key.account_id, key.hash)
    assert await refusal_of(handlers, key.hash) == "KEY_UNKNOWN"
    with pytest.raises(AppError) as caught:
        await handlers.delete(key.account_id, key.hash)
    assert caught.value.reason == "KEY_NOT_FOUND"


async def test_key_is_refused_from_the_moment_it_expires(handlers: KeyHandlers, clock: ManualClock) -> None:
    key, _ = await make(handlers, expires_at_ms=clock.now_ms() + 1000)
    clock.advance(0.999)
    await handlers.authenticate(key.hash)
    clock.advance(0.001)
    assert await refusal_of(handlers, key.hash) == "KEY_EXPIRED"


async def test_other_accounts_keys_look_missing(handlers: KeyHandlers) -> None:
    key, _ = await make(handlers)
    for attempt in (handlers.set_disabled(OTHER, key.hash, disabled=True), handlers.delete(OTHER, key.hash)):
        with pytest.raises(AppError) as caught:
            await attempt
        assert (caught.value.kind, caught.value.reason) == (Kind.MISSING, "KEY_NOT_FOUND")
    await handlers.authenticate(key.hash)


async def test_hash_that_is_none_is_missing(handlers: KeyHandlers) -> None:
    for attempt in (handlers.set_disabled(OTHER, "x", disabled=True), handlers.delete(OTHER, "x")):
        with pytest.raises(AppError) as caught:
            await attempt
        assert caught.value.reason == "KEY_NOT_FOUND"


async def test_key_for_an_unknown_account_is_missing(handlers: KeyHandlers) -> None:
    with pytest.raises(AppError) as caught:
        await handlers.create(NewKey("acct_unknown", "x"))
    assert (caught.value.kind, caught.value.reason) == (Kind.MISSING, "ACCOUNT_UNKNOWN")


async def test_key_without_a_name_is_invalid(handlers: KeyHandlers) -> None:
    with pytest.raises(AppError) as caught:
        await handlers.create(NewKey(await handlers.ensure_bootstrap_account(), ""))
    assert (caught.value.http_status, caught.value.reason) == (400, "KEY_NAME_INVALID")


async def test_bootstrap_account_stays_the_same(handlers: KeyHandlers, clock: ManualClock) -> None:
    first = await handlers.ensure_bootstrap_account()
    clock.advance(3600)
    assert await handlers.ensure_bootstrap_account() == first
    assert first.startswith("acct_")
