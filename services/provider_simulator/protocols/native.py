"""What the servers of native formats share: from a request's arrival to its count in the statistics.

Owns that way. Does not own checks, scripts or bytes: a NativeFormat has them. Invariant: every request whose provider
and model are known is counted as asked once, and once under its outcome.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import orjson
from aiohttp import web

from services.provider_simulator.core.catalogue import ANY_PROVIDER, Catalogue, Provider
from services.provider_simulator.core.directive import PLAIN, Directive
from services.provider_simulator.core.script import Ask, Script, UnplayableError, write_script
from services.provider_simulator.core.statistics import Outcome, Statistics, Tally
from services.provider_simulator.player import Rendering, hang_up, play
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText

THOUGHTS = ("Considering", " the", " request", ".")
"""What every model thinks that is told to; one token each."""

Result = TypeVar("Result")

_LARGE_BODY_BYTES = 262_144
_MAX_MODEL_CHARACTERS = 256


class RefusedNativeError(Exception):
    """The request is refused.

    Attributes:
        kind: the format's own word for the error; empty: the customary one for the status.
    """

    def __init__(self, message: str, *, status: int = 400, kind: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """A checked request.

    Attributes:
        thinks: the model thinks before it answers.
        shows_thoughts: and the answer says what.
    """

    ask: Ask
    directive: Directive | None
    stream: bool
    thinks: bool = False
    shows_thoughts: bool = False


class NativeFormat(Protocol):
    """One provider's own wire format."""

    def authorize(self, request: web.Request) -> None: ...

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str: ...

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest: ...

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> Rendering: ...

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]: ...


class NativeServer:
    """Serves one format."""

    def __init__(
        self,
        wire: NativeFormat,
        catalogue: Catalogue,
        statistics: Statistics,
        counter: CountsText,
        *,
        require_key: bool,
        request_limit_s: float,
    ) -> None:
        self._wire = wire
        self._catalogue = catalogue
        self._statistics = statistics
        self._counter = counter
        self._require_key = require_key
        self._request_limit_s = request_limit_s

    async def generate(self, request: web.Request, body: bytes | None = None) -> web.StreamResponse:
        """One completion, streamed or not; `body` stands for the request's own where that came earlier."""
        try:
            async with asyncio.timeout(self._request_limit_s):
                return await self._generate(request, body)
        except TimeoutError:
            hang_up(request)
        except ConnectionError:
            pass
        # Nobody reads this: the connection is closed or closing, and the server drops what it cannot write.
        return web.Response(status=408)

    async def _generate(self, request: web.Request, given: bytes | None) -> web.StreamResponse:
        try:
            if self._require_key:
                self._wire.authorize(request)
            provider = self._provider(request)
            raw = await _read(request) if given is None else given
            body = await _in_turn(len(raw), partial(_parse, raw))
            model = self._wire.model_of(request, body)
            public = provider.public_slug(model) if len(model) <= _MAX_MODEL_CHARACTERS else None
            if public is None:
                raise RefusedNativeError(f"model: {model[:_MAX_MODEL_CHARACTERS]}", status=404)
        except RefusedNativeError as refused:
            return self._refusal(refused)
        tally = self._statistics.tally(provider.slug, public)
        tally.asked += 1
        outcome, script, thoughts = Outcome.CUT, None, 0
        try:
            asked = await _in_turn(len(raw), partial(self._wire.read, request, body, self._counter))
            asked, script = _script(asked, provider, (public, model))
            thoughts = len(THOUGHTS) if asked.thinks else 0
            played = await play(request, script, self._wire.rendering(script, model, asked), stream=asked.stream)
            outcome = played.outcome
        except RefusedNativeError as refused:
            outcome = Outcome.FAILED
            return self._refusal(refused)
        else:
            return played.response
        finally:
            _count(tally, outcome, script, thoughts)

    def _provider(self, request: web.Request) -> Provider:
        slug = request.match_info.get("provider", ANY_PROVIDER)
        provider = self._catalogue.provider(slug)
        if provider is None:
            raise RefusedNativeError(f"There is no provider '{slug}' here.", status=404)
        return provider

    def _refusal(self, refused: RefusedNativeError) -> web.Response:
        headers, body = self._wire.refusal(refused)
        return web.Response(body=body, status=refused.status, headers=headers)


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RefusedNativeError("The request body is too large.", status=413) from None
    except web.RequestPayloadError:
        raise RefusedNativeError("The request body could not be read.") from None


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise RefusedNativeError("The request body is not a JSON object.")
    return body


async def _in_turn(size: int, work: Callable[[], Result]) -> Result:
    """Runs work that grows with the body: a large one's in a thread, so that other replies keep their pace."""
    if size < _LARGE_BODY_BYTES:
        return work()
    return await asyncio.to_thread(work)


def _script(asked: NativeRequest, provider: Provider, names: tuple[str, str]) -> tuple[NativeRequest, Script]:
    """The script, and what is left of the wish to think: thoughts need room within the limit."""
    directive = asked.directive
    if directive is None or not directive.holds_for(provider.slug, names):
        directive = PLAIN
    limit = asked.ask.max_tokens
    if asked.thinks and (directive.empty or (limit is not None and limit <= len(THOUGHTS))):
        asked = replace(asked, thinks=False, shows_thoughts=False)
    ask = asked.ask
    if asked.thinks and limit is not None:
        ask = replace(ask, max_tokens=limit - len(THOUGHTS))
    try:
        return asked, write_script(ask, directive)
    except UnplayableError as error:
        raise RefusedNativeError(str(error)) from None


def _count(tally: Tally, outcome: Outcome, script: Script | None, thoughts: int) -> None:
    match outcome:
        case Outcome.ANSWERED:
            assert script is not None
            tally.count_answered(script.prompt_tokens, script.completion_tokens + thoughts, script.search_units)
        case Outcome.FAILED:
            tally.failed += 1
        case Outcome.CUT:
            tally.cut += 1
