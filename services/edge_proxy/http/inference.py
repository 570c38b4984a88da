"""`POST` of every inference route: from HTTP to a generation and back.

Owns these routes' HTTP; what differs between them is their dialect. Does not know how a generation runs. Invariant: every reply to a request that could be read
carries its generation id.
"""

from typing import Final

from aiohttp import web

from libs.errors import AppError, Kind
from libs.tokens import TokenCounter
from libs.traceparent import current_traceparent
from services.edge_proxy.authentication import Authenticator, require_inference
from services.edge_proxy.core.error_body import error_event
from services.edge_proxy.generation import CallerFacts, Generation
from services.edge_proxy.handlers import Generations
from services.edge_proxy.http.body import BodyLimits, read_body
from services.edge_proxy.http.dialects import Dialect
from services.edge_proxy.http.replies import error_reply, json_reply
from services.edge_proxy.http.sse import EventStream
from services.edge_proxy.ports import ClientGoneError
from services.edge_proxy.routing_json import routing_metadata

_METADATA_HEADERS: Final = ("X-OpenRouter-Metadata", "X-OpenRouter-Experimental-Metadata")


class InferenceRoute:
    """One route.

    Args:
        dialect: how its requests are read and its replies are written.
    """

    def __init__(
        self,
        dialect: Dialect,
        authenticator: Authenticator,
        generations: Generations,
        counter: TokenCounter,
        limits: BodyLimits,
        keep_alive_s: float,
    ) -> None:
        self._dialect = dialect
        self._authenticator = authenticator
        self._generations = generations
        self._counter = counter
        self._limits = limits
        self._keep_alive_s = keep_alive_s

    async def post(self, request: web.Request) -> web.StreamResponse:
        key = await self._authenticator.key_of(request.headers.get("Authorization"))
        require_inference(key)
        body = await read_body(request, self._limits)
        asked = self._dialect.parse(body, self._counter)
        generation = self._generations.new(key, asked, caller_facts(request))
        try:
            await self._generations.admit(generation)
            if asked.stream:
                return await self._stream(request, generation)
            reply = await self._generations.complete(generation)
        except AppError as error:
            routing = routing_metadata(generation) if generation.explains else b""
            return error_reply(error, generation_id=generation.id, routing=routing)
        return json_reply(self._dialect.whole(asked, reply), generation_id=generation.id)

    async def explain(self, request: web.Request) -> web.Response:
        """How a request of this route would be routed; nothing is held, run or recorded."""
        key = await self._authenticator.key_of(request.headers.get("Authorization"))
        require_inference(key)
        asked = self._dialect.parse(await read_body(request, self._limits), self._counter)
        generation = self._generations.new(key, asked, caller_facts(request))
        return json_reply(await self._generations.explain(generation))

    async def _stream(self, request: web.Request, generation: Generation) -> web.StreamResponse:
        stream = EventStream(request, generation.id, self._keep_alive_s)
        sink = self._dialect.sink(generation.request, stream)
        try:
            await self._generations.stream(generation, sink)
            return await stream.end()
        except AppError as error:
            if not stream.started:
                raise
            await sink.write(_late_error(generation, error))
            return await stream.end()
        except ClientGoneError:
            raise ConnectionResetError("the caller left") from None
        finally:
            stream.close()


def _late_error(generation: Generation, error: AppError) -> bytes:
    """An error after comments had committed the reply to 200."""
    return error_event(
        error,
        generation_id=generation.id,
        created_s=generation.created_s,
        model=generation.request.models[0],
        provider="",
        routing=routing_metadata(generation) if generation.explains else b"",
    )


def caller_facts(request: web.Request) -> CallerFacts:
    headers = request.headers
    session_id = _text(headers.get("x-session-id"))
    if len(session_id) > 256:
        raise AppError(Kind.INVALID, "INVALID_REQUEST", "x-session-id: must be at most 256 characters")
    return CallerFacts(
        http_referer=_text(headers.get("HTTP-Referer") or headers.get("Referer"))[:512],
        app_title=_text(headers.get("X-OpenRouter-Title") or headers.get("X-Title"))[:128],
        user_agent=_text(headers.get("User-Agent"))[:256],
        session_id=session_id,
        request_id=_text(headers.get("X-Request-Id"))[:128],
        traceparent=current_traceparent() or "",
        anthropic_beta=_text(headers.get("x-anthropic-beta"))[:1024],
        wants_explanation=any(headers.get(name, "").lower() == "enabled" for name in _METADATA_HEADERS),
    )


def _text(value: str | None) -> str:
    """A header's text; bytes that are no UTF-8 arrive as lone surrogates, which no message of ours can carry."""
    if not value:
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
