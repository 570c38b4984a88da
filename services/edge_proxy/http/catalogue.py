"""Catalogue reads: models and their endpoints, as the router prepared them.

Owns these routes' HTTP. Does not know the catalogue. Invariant: what the router said is at most a second old here.
"""

import asyncio
import math
from typing import Any, Final

import orjson
from aiohttp import web

from libs.clock import Clock
from libs.errors import AppError, Kind
from services.edge_proxy.authentication import Authenticator
from services.edge_proxy.http.replies import json_reply
from services.edge_proxy.ports import Router

_FRESH_S: Final = 1.0


class CatalogueRoutes:
    """Reads need no key; one that is given must be good."""

    def __init__(self, authenticator: Authenticator, router: Router, clock: Clock) -> None:
        self._authenticator = authenticator
        self._router = router
        self._clock = clock
        self._asked_s = -math.inf
        self._etag = ""
        self._json = b""
        self._by_id: dict[str, Any] = {}
        self._asking = asyncio.Lock()

    async def models(self, request: web.Request) -> web.Response:
        await self._check_key(request)
        await self._refresh()
        if self._etag and request.headers.get("If-None-Match") == self._etag:
            return web.Response(status=304, headers={"ETag": self._etag})
        reply = json_reply(self._json)
        if self._etag:
            reply.headers["ETag"] = self._etag
        return reply

    async def model(self, request: web.Request) -> web.Response:
        """One model; the OpenAI SDK's four fields stand beside `data`."""
        await self._check_key(request)
        await self._refresh()
        model_id = _model_id(request)
        model = self._by_id.get(model_id)
        if model is None:
            raise AppError(Kind.MISSING, "MODEL_UNKNOWN", f"Model {model_id[:256]} was not found")
        author = model_id.partition("/")[0]
        openai_fields = {"id": model_id, "object": "model", "created": model["created"], "owned_by": author}
        return json_reply(orjson.dumps({**openai_fields, "data": model}))

    async def endpoints(self, request: web.Request) -> web.Response:
        await self._check_key(request)
        return json_reply(await self._router.model_endpoints(_model_id(request)))

    async def _check_key(self, request: web.Request) -> None:
        authorization = request.headers.get("Authorization")
        if authorization:
            await self._authenticator.key_of(authorization)

    async def _refresh(self) -> None:
        if self._clock.monotonic_s() - self._asked_s <= _FRESH_S:
            return
        async with self._asking:
            if self._clock.monotonic_s() - self._asked_s <= _FRESH_S:
                return
            asked_s = self._clock.monotonic_s()
            answer = await self._router.list_models()
            if answer.etag != self._etag or not self._etag:
                self._json = answer.json
                self._by_id = {model["id"]: model for model in orjson.loads(answer.json)["data"]}
                self._etag = answer.etag
            self._asked_s = asked_s


def _model_id(request: web.Request) -> str:
    return "/".join(request.match_info[name] for name in ("author", "slug") if name in request.match_info)
