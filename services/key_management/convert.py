"""Between keys as values and keys as protobuf."""

from collections.abc import Mapping

from switchyard.keys.v1 import keys_pb2 as pb

from libs.errors import AppError, Kind
from services.key_management.core.keys import Key, LimitReset, NewKey

_TO_PROTO: Mapping[LimitReset, pb.LimitReset.ValueType] = {
    LimitReset.NEVER: pb.LIMIT_RESET_NEVER,
    LimitReset.DAILY: pb.LIMIT_RESET_DAILY,
    LimitReset.WEEKLY: pb.LIMIT_RESET_WEEKLY,
    LimitReset.MONTHLY: pb.LIMIT_RESET_MONTHLY,
}
_FROM_PROTO: Mapping[int, LimitReset] = {
    pb.LIMIT_RESET_UNSPECIFIED: LimitReset.NEVER,
    **{number: reset for reset, number in _TO_PROTO.items()},
}


def key_to_proto(key: Key) -> pb.Key:
    return pb.Key(
        hash=key.hash,
        account_id=key.account_id,
        name=key.name,
        label=key.label,
        is_management=key.is_management,
        disabled=key.disabled,
        created_at_ms=key.created_at_ms,
        updated_at_ms=key.updated_at_ms,
        expires_at_ms=key.expires_at_ms,
        limit_nano_usd=key.limit_nano_usd,
        limit_reset=_TO_PROTO[key.limit_reset],
        include_byok_in_limit=key.include_byok_in_limit,
        creator_user_id=key.creator_user_id,
        workspace_id=key.workspace_id,
    )


def new_key_from_proto(request: pb.CreateKeyRequest) -> NewKey:
    """What is asked for.

    Raises:
        AppError: INVALID for a window that this version does not know.
    """
    reset = _FROM_PROTO.get(request.limit_reset)
    if reset is None:
        raise AppError(Kind.INVALID, "KEY_LIMIT_INVALID", "limit_reset must be daily, weekly or monthly")
    return NewKey(
        account_id=request.account_id,
        name=request.name,
        is_management=request.is_management,
        limit_nano_usd=request.limit_nano_usd if request.HasField("limit_nano_usd") else None,
        limit_reset=reset,
        include_byok_in_limit=request.include_byok_in_limit,
        expires_at_ms=request.expires_at_ms if request.HasField("expires_at_ms") else None,
        creator_user_id=request.creator_user_id if request.HasField("creator_user_id") else None,
    )
