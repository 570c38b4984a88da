"""What a servicer learns about the call it serves, when no gRPC call of its own carries it.

Owns metadata, deadline and peer of one call. Does not send anything. Invariant: read-only; a servicer answers by
returning, yielding or raising `AppError`, never through the context.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import grpc
from grpc import aio

from libs.errors import STATUSES, AppError, Kind
from libs.rpc.calls import MetadataPairs

_KIND_BY_CODE = {statuses.grpc: kind for kind, statuses in reversed(list(STATUSES.items()))}
_NOT_OFFERED = "servicers answer by returning, yielding or raising AppError"


class CallContext(aio.ServicerContext[Any, Any]):
    """The context of a call that came over a session or from this process.

    Args:
        deadline_s: in the running loop's time; None: no deadline.
    """

    def __init__(self, metadata: MetadataPairs | Mapping[str, str] | None, deadline_s: float | None, peer: str) -> None:
        self._metadata = metadata
        self._deadline_s = deadline_s
        self._peer = peer

    def invocation_metadata(self) -> aio.Metadata:
        metadata = self._metadata or ()
        pairs: Iterable[Any] = metadata.items() if isinstance(metadata, Mapping) else metadata
        return aio.Metadata(*pairs)

    def time_remaining(self) -> float:
        """Seconds; infinite without a deadline."""
        if self._deadline_s is None:
            return math.inf
        return max(0.0, self._deadline_s - asyncio.get_running_loop().time())

    def peer(self) -> str:
        return self._peer

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Any = (),  # noqa: ARG002 (grpc's signature)
    ) -> NoReturn:
        """For servicers that know gRPC alone."""
        raise AppError(_KIND_BY_CODE.get(code.name, Kind.INTERNAL), code.name, details)

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def read(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def write(self, message: Any) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    async def send_initial_metadata(self, initial_metadata: Any) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def set_trailing_metadata(self, trailing_metadata: Any) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def set_code(self, code: grpc.StatusCode) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def set_details(self, details: str) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def set_compression(self, compression: grpc.Compression) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def disable_next_message_compression(self) -> NoReturn:
        raise NotImplementedError(_NOT_OFFERED)

    def peer_identities(self) -> None:
        return None

    def peer_identity_key(self) -> None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}
