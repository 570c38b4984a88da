from dataclasses import fields

import pytest
from switchyard.keys.v1 import keys_pb2 as pb

from libs.errors import AppError
from services.key_management.convert import key_to_proto, new_key_from_proto
from services.key_management.core.keys import Key, LimitReset, NewKey

FULL = Key(
    hash="a" * 64,
    account_id="acct_1",
    workspace_id="w",
    name="laptop",
    label="sk-sy-v1-abc...123",
    is_management=True,
    disabled=True,
    created_at_ms=1,
    updated_at_ms=2,
    expires_at_ms=3,
    deleted_at_ms=None,
    limit_nano_usd=0,
    limit_reset=LimitReset.WEEKLY,
    include_byok_in_limit=True,
    creator_user_id="user_1",
)


def test_every_field_of_a_key_reaches_the_wire() -> None:
    message = key_to_proto(FULL)
    for field in fields(Key):
        if field.name not in {"deleted_at_ms", "limit_reset"}:
            assert getattr(message, field.name) == getattr(FULL, field.name)
    assert message.limit_reset == pb.LIMIT_RESET_WEEKLY
    assert message.HasField("limit_nano_usd")


def test_limit_of_zero_and_no_limit_are_told_apart() -> None:
    request = pb.CreateKeyRequest(account_id="a", name="n")
    assert new_key_from_proto(request) == NewKey("a", "n")
    request.limit_nano_usd = 0
    assert new_key_from_proto(request) == NewKey("a", "n", limit_nano_usd=0)


def test_full_request_is_read_whole() -> None:
    request = pb.CreateKeyRequest(
        account_id="a",
        name="n",
        is_management=True,
        limit_nano_usd=5,
        limit_reset=pb.LIMIT_RESET_DAILY,
        expires_at_ms=9,
        include_byok_in_limit=True,
        creator_user_id="u",
    )
    assert new_key_from_proto(request) == NewKey(
        "a",
        "n",
        is_management=True,
        limit_nano_usd=5,
        limit_reset=LimitReset.DAILY,
        expires_at_ms=9,
        include_byok_in_limit=True,
        creator_user_id="u",
    )


def test_window_of_a_newer_version_is_invalid() -> None:
    request = pb.CreateKeyRequest(account_id="a", name="n")
    request.MergeFromString(b"\x28\x63")  # limit_reset = 99
    with pytest.raises(AppError) as caught:
        new_key_from_proto(request)
    assert caught.value.http_status == 400
