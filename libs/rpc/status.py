"""`AppError` as plain gRPC carries it: `google.rpc.Status` with `ErrorInfo` and `RetryInfo` in the trailers.

Owns both directions. Does not decide what is an error. Invariant: what went in on one end comes out on the other; a
status of foreign origin becomes the nearest kind, and never shows its details to a customer.
"""

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import aio

from libs.errors import STATUSES, AppError, Kind, internal, unavailable
from libs.rpc.failures import deadline_exceeded

DOMAIN = "switchyard"
DETAILS_KEY = "grpc-status-details-bin"
_KIND = "switchyard.kind"
_MAX_MESSAGE_CHARS = 2000
"""Trailers are bounded to 8 KiB by common proxies, and by grpc itself."""
_KINDS = {kind.value: kind for kind in Kind}


def grpc_code(error: AppError) -> grpc.StatusCode:
    return grpc.StatusCode[STATUSES[error.kind].grpc]


def trailers(error: AppError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that says the whole of an error."""
    # Two kinds may share a gRPC code, so the kind itself goes along.
    info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={**error.metadata, _KIND: error.kind})
    details = [_packed(info)]
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1_000_000_000))
        details.append(_packed(RetryInfo(retry_delay=delay)))
    status = Status(code=grpc_code(error).value[0], message=error.message[:_MAX_MESSAGE_CHARS], details=details)
    return ((DETAILS_KEY, status.SerializeToString()),)


async def abort(context: "aio.ServicerContext[Any, Any]", error: AppError) -> None:
    """Ends a plain gRPC call as failed; does not return."""
    await context.abort(grpc_code(error), error.message[:_MAX_MESSAGE_CHARS], trailers(error))


def app_error(error: aio.AioRpcError, peer: str) -> AppError:
    """The error that a servicer raised; for other failures the nearest one of ours."""
    metadata = error.trailing_metadata()
    details = metadata.get(DETAILS_KEY) if metadata else None
    told = _told(details) if isinstance(details, bytes) else None
    if told is not None:
        return told
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return unavailable(peer)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return deadline_exceeded()
        case grpc.StatusCode.UNIMPLEMENTED:
            return AppError(Kind.MISSING, "METHOD_UNKNOWN", "The peer does not know this method.")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return AppError(Kind.TOO_LARGE, "MESSAGE_TOO_LARGE", "A message is too large.")
        case _:
            return internal()


def _told(details: bytes) -> AppError | None:
    try:
        status = Status.FromString(details)
    except DecodeError:
        return None
    info, retry_after_s = None, None
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo()
            detail.Unpack(info)
        elif detail.Is(RetryInfo.DESCRIPTOR):
            retry = RetryInfo()
            detail.Unpack(retry)
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1_000_000_000
    if info is None or info.domain != DOMAIN:
        return None
    metadata = dict(info.metadata)
    kind = _KINDS.get(metadata.pop(_KIND, ""), Kind.INTERNAL)
    return AppError(kind, info.reason, status.message, metadata, retry_after_s)


def _packed(message: Any) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
