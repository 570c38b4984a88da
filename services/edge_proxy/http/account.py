"""Account reads: the key that asks, its account's credits, a generation's record.

Owns these routes' HTTP. Moves nothing. Invariant: a key sees its own account alone.
"""

from typing import Any

import orjson
from aiohttp import web

from libs.errors import AppError, Kind
from libs.ids import is_generation_id
from services.edge_proxy.authentication import Authenticator, require_management
from services.edge_proxy.core.fields import invalid
from services.edge_proxy.http.account_json import credits_json, generation_json, key_json
from services.edge_proxy.http.replies import json_reply
from services.edge_proxy.ports import Analytics, Ledger


class AccountRoutes:
    def __init__(self, authenticator: Authenticator, ledger: Ledger, analytics: Analytics) -> None:
        self._authenticator = authenticator
        self._ledger = ledger
        self._analytics = analytics

    async def key(self, request: web.Request) -> web.Response:
        key = await self._authenticator.key_of(request.headers.get("Authorization"))
        spend = await self._ledger.key_spend(key.hash)
        credits_ = await self._ledger.credits(key.account_id)
        return _data(key_json(key, spend, has_paid=credits_.total_credits_nano_usd > 0))

    async def credits(self, request: web.Request) -> web.Response:
        key = await self._authenticator.key_of(request.headers.get("Authorization"))
        require_management(key)
        answer = await self._ledger.credits(key.account_id)
        return _data(credits_json(answer.total_credits_nano_usd, answer.total_usage_nano_usd))

    async def generation(self, request: web.Request) -> web.Response:
        key = await self._authenticator.key_of(request.headers.get("Authorization"))
        generation_id = request.query.get("id", "")
        if not generation_id:
            raise invalid("id", "is required")
        if not is_generation_id(generation_id):
            raise AppError(Kind.MISSING, "GENERATION_UNKNOWN", f"Generation {generation_id[:64]} was not found")
        answer = await self._analytics.generation(key.account_id, generation_id)
        return _data(generation_json(answer.record))


def _data(data: dict[str, Any]) -> web.Response:
    return json_reply(orjson.dumps({"data": data}))
