"""The HTTP routes of OpenAI's API: chat completions and the list of models.

Owns what happens between a request's arrival and its count in the statistics. Does not own checks, scripts or bytes.
Invariant: every request whose provider and model are known is counted as asked once, and once under its outcome.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import orjson
from aiohttp import web

from libs.clock import Clock
from services.provider_simulator.core.catalogue import ANY_PROVIDER, Catalogue, Provider
from services.provider_simulator.core.directive import PLAIN
from services.provider_simulator.core.script import Script, UnplayableError, write_script
from services.provider_simulator.core.statistics import Outcome, Statistics, Tally
from services.provider_simulator.player import hang_up, play
from services.provider_simulator.protocols.openai.chat_reply import ChatReply
from services.provider_simulator.protocols.openai.chat_request import ChatRequest, model_of, parse_body, read_request
from services.provider_simulator.protocols.openai.errors import RefusedError, check_key, error_headers, refusal_body
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText

Result = TypeVar("Result")

_LARGE_BODY_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """How strict and how patient the server is."""

    require_bearer: bool
    refuse_unknown_parameters: bool
    request_limit_s: float


class ChatServer:
    def __init__(
        self, catalogue: Catalogue, statistics: Statistics, counter: CountsText, limits: ChatLimits, clock: Clock
    ) -> None:
        self._catalogue = catalogue
        self._statistics = statistics
        self._counter = counter
        self._limits = limits
        self._clock = clock
        self._started_s = clock.now_ms() // 1000

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self.chat_completions),
            web.post("/{provider}/v1/chat/completions", self.chat_completions),
            web.get("/v1/models", self.models),
            web.get("/{provider}/v1/models", self.models),
        ]

    async def models(self, request: web.Request) -> web.StreamResponse:
        """`GET /models`: what this provider serves."""
        try:
            self._authorize(request)
            provider = self._provider(request)
        except RefusedError as refused:
            return _refusal(refused)
        data = [
            {"id": model, "object": "model", "created": self._started_s, "owned_by": provider.slug}
            for model in provider.models
        ]
        return web.Response(body=orjson.dumps({"object": "list", "data": data}), content_type="application/json")

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """`POST /chat/completions`, streamed or not."""
        try:
            async with asyncio.timeout(self._limits.request_limit_s):
                return await self._chat(request)
        except TimeoutError:
            hang_up(request)
        except ConnectionError:
            pass
        # Nobody reads this: the connection is closed or closing, and the server drops what it cannot write.
        return web.Response(status=408)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authorize(request)
            provider = self._provider(request)
            raw = await _read(request)
            body = await _in_turn(len(raw), partial(parse_body, raw))
            model = model_of(body)
            public = provider.public_slug(model)
            if public is None:
                message = f"The model `{model}` does not exist or you do not have access to it."
                raise RefusedError(message, status=404, param="model", code="model_not_found")
        except RefusedError as refused:
            return _refusal(refused)
        tally = self._statistics.tally(provider.slug, public)
        tally.asked += 1
        outcome, script = Outcome.CUT, None
        try:
            chat = await _in_turn(len(raw), partial(self._read_request, body))
            script = _script(chat, provider, (public, model))
            created_s = self._clock.now_ms() // 1000
            reply = ChatReply(script, model, include_usage=chat.include_usage, created_s=created_s)
            played = await play(request, script, reply, stream=chat.stream)
            outcome = played.outcome
        except RefusedError as refused:
            outcome = Outcome.FAILED
            return _refusal(refused)
        else:
            return played.response
        finally:
            _count(tally, outcome, script)

    def _read_request(self, body: Mapping[str, Any]) -> ChatRequest:
        return read_request(body, self._counter, refuse_unknown=self._limits.refuse_unknown_parameters)

    def _authorize(self, request: web.Request) -> None:
        if self._limits.require_bearer:
            check_key(request.headers)

    def _provider(self, request: web.Request) -> Provider:
        slug = request.match_info.get("provider", ANY_PROVIDER)
        provider = self._catalogue.provider(slug)
        if provider is None:
            raise RefusedError(f"There is no provider '{slug}' here.", status=404, code="provider_not_found")
        return provider


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RefusedError("The request body is too large.", status=413, code="request_too_large") from None
    except web.RequestPayloadError:
        raise RefusedError("We could not read the body of your request.") from None


async def _in_turn(size: int, work: Callable[[], Result]) -> Result:
    """Runs work that grows with the body: a large one's in a thread, so that other replies keep their pace."""
    if size < _LARGE_BODY_BYTES:
        return work()
    return await asyncio.to_thread(work)


def _script(chat: ChatRequest, provider: Provider, names: tuple[str, str]) -> Script:
    directive = chat.directive
    if directive is None or not directive.holds_for(provider.slug, names):
        directive = PLAIN
    try:
        return write_script(chat.ask, directive)
    except UnplayableError as error:
        raise RefusedError(str(error), param="tools", code="invalid_directive") from None


def _refusal(refused: RefusedError) -> web.Response:
    return web.Response(body=refusal_body(refused), status=refused.status, headers=error_headers(refused.status))


def _count(tally: Tally, outcome: Outcome, script: Script | None) -> None:
    match outcome:
        case Outcome.ANSWERED:
            assert script is not None
            tally.count_answered(script.prompt_tokens, script.completion_tokens)
        case Outcome.FAILED:
            tally.failed += 1
        case Outcome.CUT:
            tally.cut += 1
