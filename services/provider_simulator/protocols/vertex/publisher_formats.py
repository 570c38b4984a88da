"""Gemini and Claude as Vertex AI has them: where the model is named, who may call, what is not known there.

Owns these differences. The formats themselves are those of gemini/ and anthropic/. Invariant: what the makers' own
hosts alone know is refused here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from services.provider_simulator.protocols.anthropic.messages_format import MessagesFormat
from services.provider_simulator.protocols.gemini.content_format import ContentFormat
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText

_PLACE = "/{provider}/v1/projects/{project}/locations/{location}/publishers"
_GEMINI = "/google/models/{model:[^:]+}:{method:generateContent|streamGenerateContent}"
_CLAUDE = "/anthropic/models/{model:[^:]+}:{method:rawPredict|streamRawPredict}"
# The newest of the maker's own clients name a day, as they do at its own host.
_CLAUDE_VERSION = re.compile(r"vertex-2023-10-16|\d{4}-\d{2}-\d{2}", re.ASCII)


def routes(gemini: NativeServer, claude: NativeServer) -> list[web.RouteDef]:
    return [web.post(_PLACE + _GEMINI, gemini.generate), web.post(_PLACE + _CLAUDE, claude.generate)]


class VertexContentFormat(ContentFormat):
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        if not _has_token(request):
            super().authorize(request)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:
        for holder in _objects(body.get("contents")):
            for name in ("functionCall", "functionResponse"):
                if isinstance(holder.get(name), dict) and "id" in holder[name]:
                    words = f"Invalid JSON payload received. Unknown name \"id\" at '{name}': Cannot find field."
                    raise RefusedNativeError(words)
        return super().read(request, body, counter)


class VertexMessagesFormat(MessagesFormat):
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        if not _has_token(request):
            raise RefusedNativeError("Request is missing required authentication credential.", status=401)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the body)
        return request.match_info["model"]

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:
        if "model" in body:
            raise RefusedNativeError("model: Extra inputs are not permitted")
        version = body.get("anthropic_version")
        if not isinstance(version, str) or _CLAUDE_VERSION.fullmatch(version) is None:
            raise RefusedNativeError("anthropic_version: Input should be 'vertex-2023-10-16'")
        if "service_tier" in body:
            raise RefusedNativeError("service_tier: Extra inputs are not permitted")
        if any(source.get("type") == "url" for source in _objects(body.get("messages")) if "url" in source):
            raise RefusedNativeError("messages: URL sources are not supported")
        if (request.match_info["method"] == "streamRawPredict") is not (body.get("stream") is True):
            raise RefusedNativeError("stream: must be true with streamRawPredict alone")
        fields = {name: value for name, value in body.items() if name != "anthropic_version"}
        return super().read(request, {**fields, "model": self.model_of(request, body)}, counter)


def _has_token(request: web.Request) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object inside."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield inner
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)
