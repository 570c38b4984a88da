"""Catalogue reads: models, their endpoints and providers, as the router prepared them.

Owns these routes' HTTP. Does not know the catalogue. Invariant: what the router said is at most a second old here.
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import orjson
from aiohttp import web
from switchyard.routing.v1.routing_pb2 import ListModelsRequest, ModelFilter

from libs.clock import Clock
from libs.errors import AppError, Kind
from services.edge_proxy.authentication import Authenticator
from services.edge_proxy.core.model_query import Query, read_model_query, read_output_modalities, read_page
from services.edge_proxy.http.prepared import Ask, Prepared, PreparedReplies, prepared
from services.edge_proxy.http.replies import json_reply
from services.edge_proxy.ports import Router

_MAX_QUERY: Final = 2048
_EMBEDDINGS: Final = "embeddings"


class CatalogueRoutes:
    """Reads need no key, but for `/models/user`; one that is given must be good."""

    def __init__(self, authenticator: Authenticator, router: Router, clock: Clock) -> None:
        self._authenticator = authenticator
        self._router = router
        self._replies = PreparedReplies(clock)

    async def models(self, request: web.Request) -> web.Response:
        await self._check_key(request)
        return await self._models(request)

    async def user_models(self, request: web.Request) -> web.Response:
        """What the account may use; accounts have no preferences of their own yet, so that is everything."""
        await self._authenticator.key_of(request.headers.get("Authorization"))
        return await self._models(request, only_page=True)

    async def embedding_models(self, request: web.Request) -> web.Response:
        await self._check_key(request)
        return await self._models(request, only_page=True, output_modalities=(_EMBEDDINGS,))

    async def count(self, request: web.Request) -> web.Response:
        await self._check_key(request)

        async def ask(_: str) -> Prepared:
            wanted = ModelFilter(output_modalities=read_output_modalities(_query(request)))
            count = await self._router.count_models(wanted)
            return prepared(orjson.dumps({"data": {"count": count}}))

        return await self._reply(request, ask)

    async def model(self, request: web.Request) -> web.Response:
        """One model; the OpenAI SDK's four fields stand beside `data`."""
        await self._check_key(request)
        model_id = _model_id(request)

        async def ask(_: str) -> Prepared:
            model = orjson.loads(await self._router.model(model_id))
            author = model["id"].partition("/")[0]
            openai_fields = {"id": model["id"], "object": "model", "created": model["created"], "owned_by": author}
            return prepared(orjson.dumps({**openai_fields, "data": model}))

        return await self._reply(request, ask, ("model", model_id))

    async def endpoints(self, request: web.Request) -> web.Response:
        model_id = _model_id(request)
        return await self._plain(request, lambda: self._router.model_endpoints(model_id), ("endpoints", model_id))

    async def zdr_endpoints(self, request: web.Request) -> web.Response:
        return await self._plain(request, self._router.zdr_endpoints, "zdr")

    async def providers(self, request: web.Request) -> web.Response:
        return await self._plain(request, self._router.providers, "providers")

    async def _plain(self, request: web.Request, read: Callable[[], Awaitable[bytes]], key: Hashable) -> web.Response:
        await self._check_key(request)

        async def ask(_: str) -> Prepared:
            return prepared(await read())

        return await self._reply(request, ask, key)

    async def _models(
        self, request: web.Request, *, only_page: bool = False, output_modalities: tuple[str, ...] = ()
    ) -> web.Response:
        async def ask(etag: str) -> Prepared | None:
            query = _query(request)
            message = ListModelsRequest(if_none_match=etag)
            if only_page:
                message.filter.output_modalities.extend(output_modalities)
                message.offset, message.limit = read_page(query)
                message.link = request.path
            else:
                wanted = read_model_query(query)
                message.filter.CopyFrom(ModelFilter(**wanted.filter))
                message.offset, message.limit = wanted.offset, wanted.limit
                message.link = f"{request.path}?{wanted.link}" if wanted.link else request.path
            answer = await self._router.list_models(message)
            return None if answer.not_modified else Prepared(answer.json, answer.etag)

        return await self._reply(request, ask)

    async def _reply(self, request: web.Request, ask: Ask, key: Hashable | None = None) -> web.Response:
        found = await self._replies.get((request.path, _query_text(request)) if key is None else key, ask)
        if found.etag and request.headers.get("If-None-Match") == found.etag:
            return web.Response(status=304, headers={"ETag": found.etag})
        reply = json_reply(found.json)
        if found.etag:
            reply.headers["ETag"] = found.etag
        return reply

    async def _check_key(self, request: web.Request) -> None:
        authorization = request.headers.get("Authorization")
        if authorization:
            await self._authenticator.key_of(authorization)


def _query_text(request: web.Request) -> str:
    text = request.rel_url.raw_query_string
    if len(text) > _MAX_QUERY:
        raise AppError(Kind.INVALID, "INVALID_REQUEST", f"The query is longer than {_MAX_QUERY} characters")
    return text


def _query(request: web.Request) -> Query:
    query = request.rel_url.query
    return {name: query.getall(name) for name in query}


def _model_id(request: web.Request) -> str:
    return "/".join(request.match_info[name] for name in ("author", "slug") if name in request.match_info)
