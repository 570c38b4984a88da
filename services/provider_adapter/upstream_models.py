"""What the operator's own upstream says it serves.

Owns that one question, `GET {base}/models`. Does not cache. Invariant: it answers within two seconds, and tells a server
that lists nothing from one that cannot be reached.
"""

import asyncio
from typing import Any

import orjson

from libs.errors import AppError, Kind
from services.provider_adapter.deadlines import Deadline, PhaseExpiredError
from services.provider_adapter.http_calls import Call, HttpCalls
from services.provider_adapter.protocols.failures import Phase, ProviderFailedError
from services.provider_adapter.registry import Registry

_LIMIT_S = 2.0
_BODY_LIMIT_BYTES = 8 * 1024 * 1024
_MOST_MODELS = 10_000
_LONGEST_MODEL_ID = 256


class UpstreamModels:
    def __init__(self, registry: Registry, calls: HttpCalls) -> None:
        self._upstream = registry.operators_own
        self._calls = calls

    async def list(self) -> list[str] | None:
        """Model ids in the upstream's order; None when it is not configured or does not list them.

        Raises:
            AppError: UPSTREAM_UNREACHABLE, it gave no answer or one that says nothing (5xx).
        """
        if self._upstream is None:
            return None
        loop = asyncio.get_running_loop()
        deadline = Deadline(loop)
        deadline.set(loop.time() + _LIMIT_S, Phase.TOTAL)
        call: Call | None = None
        try:
            with deadline:
                url = self._upstream.url("/models")
                call = await self._calls.get(url, self._upstream.headers, _LIMIT_S, self._upstream.proxy)
                if call.status >= 500:
                    raise _unreachable()
                return _model_ids(await _read(call)) if call.status == 200 else None
        except (PhaseExpiredError, ProviderFailedError):
            raise _unreachable() from None
        finally:
            deadline.close()
            if call is not None:
                call.close(complete=call.at_end)


def _unreachable() -> AppError:
    return AppError(Kind.NO_ROUTE, "UPSTREAM_UNREACHABLE", "The upstream cannot be reached now", retry_after_s=1.0)


async def _read(call: Call) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await call.read():
        size += len(part)
        if size > _BODY_LIMIT_BYTES:
            return b""
        parts.append(part)
    return b"".join(parts)


def _model_ids(body: bytes) -> "list[str] | None":
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    rows = value.get("data") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        return None
    ids = (row.get("id") for row in rows[:_MOST_MODELS] if isinstance(row, dict))
    return [model_id for model_id in ids if isinstance(model_id, str) and 0 < len(model_id) <= _LONGEST_MODEL_ID]
