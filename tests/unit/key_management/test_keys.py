import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.key_management.core.keys import (
    Key,
    LimitReset,
    NewKey,
    Validity,
    complaint_about,
    hash_of,
    is_hash,
    label_of,
    new_plaintext,
    validity,
)

KEY = Key(
    hash="0" * 64,
    account_id="acct_1",
    workspace_id="w",
    name="n",
    label="l",
    is_management=False,
    disabled=False,
    created_at_ms=0,
    updated_at_ms=None,
    expires_at_ms=None,
    deleted_at_ms=None,
    limit_nano_usd=None,
    limit_reset=LimitReset.NEVER,
    include_byok_in_limit=False,
    creator_user_id=None,
)
NOW_MS = 1_000


def test_plaintext_has_the_prefix_and_256_random_bits() -> None:
    plaintext = new_plaintext()
    assert plaintext.startswith("sk-sy-v1-")
    assert is_hash(plaintext.removeprefix("sk-sy-v1-"))
    assert new_plaintext() != plaintext


def test_hash_is_the_sha256_of_the_whole_plaintext() -> None:
    assert hash_of("sk-sy-v1-x") == hashlib.sha256(b"sk-sy-v1-x").hexdigest()


def test_label_shows_both_ends_and_six_digits_of_the_secret_at_most() -> None:
    assert label_of("sk-sy-v1-abcdef0123456789") == "sk-sy-v1-abc...789"


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "g" * 64, "٠" * 64])
def test_what_is_no_hash_is_told_apart(text: str) -> None:
    assert not is_hash(text)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (KEY, Validity.GOOD),
        (replace(KEY, disabled=True), Validity.DISABLED),
        (replace(KEY, deleted_at_ms=1, disabled=True), Validity.DELETED),
        (replace(KEY, expires_at_ms=NOW_MS + 1), Validity.GOOD),
        (replace(KEY, expires_at_ms=NOW_MS), Validity.EXPIRED),
        (replace(KEY, expires_at_ms=NOW_MS - 1), Validity.EXPIRED),
        (replace(KEY, expires_at_ms=NOW_MS - 1, disabled=True), Validity.DISABLED),
    ],
)
def test_key_is_good_only_while_nothing_speaks_against_it(key: Key, expected: Validity) -> None:
    assert validity(key, NOW_MS) is expected


@given(expires=st.one_of(st.none(), st.integers(0, 10)), earlier=st.integers(0, 10), later=st.integers(0, 10))
def test_key_that_expired_never_becomes_good_again(expires: int | None, earlier: int, later: int) -> None:
    key = replace(KEY, expires_at_ms=expires)
    earlier, later = sorted((earlier, later))
    if validity(key, earlier) is Validity.EXPIRED:
        assert validity(key, later) is Validity.EXPIRED


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (NewKey("a", ""), "KEY_NAME_INVALID"),
        (NewKey("a", "  "), "KEY_NAME_INVALID"),
        (NewKey("a", "x" * 257), "KEY_NAME_INVALID"),
        (NewKey("a", "x\0"), "KEY_NAME_INVALID"),
        (NewKey("a", "x", creator_user_id="\0"), "KEY_NAME_INVALID"),
        (NewKey("a", "x", limit_nano_usd=-1), "KEY_LIMIT_INVALID"),
        (NewKey("a", "x", expires_at_ms=NOW_MS), "KEY_EXPIRY_INVALID"),
    ],
)
def test_key_that_makes_no_sense_is_complained_about(new: NewKey, reason: str) -> None:
    complaint = complaint_about(new, NOW_MS)
    assert complaint is not None
    assert complaint[0] == reason


@pytest.mark.parametrize(
    "new", [NewKey("a", "x"), NewKey("a", "x" * 256, limit_nano_usd=0, expires_at_ms=NOW_MS + 1, creator_user_id="u")]
)
def test_sensible_key_is_not_complained_about(new: NewKey) -> None:
    assert complaint_about(new, NOW_MS) is None
