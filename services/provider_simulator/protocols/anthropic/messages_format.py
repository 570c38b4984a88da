"""Anthropic's Messages as a NativeFormat: reads a checked request into what the core answers.

Owns headers, the reading and the count of tokens. Does not own checks (validation.py) or bytes (messages_reply.py).
Invariant: what is counted is what was sent, directive and all.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.anthropic.errors import error_body, error_headers
from services.provider_simulator.protocols.anthropic.messages_reply import MessagesReply
from services.provider_simulator.protocols.anthropic.validation import blocks_of, check_request, refusal_words
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError

_PER_MESSAGE = 3
_PER_ATTACHMENT = 85
# Clients name the day whose format they speak; what is simulated is that of 2023-06-01.
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post("/v1/messages", server.generate), web.post("/{provider}/v1/messages", server.generate)]


class MessagesFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        if not request.headers.get("x-api-key", "").strip() and not bearer:
            raise RefusedNativeError("x-api-key header is required", status=401)
        if _VERSION.fullmatch(request.headers.get("anthropic-version", "")) is None:
            raise RefusedNativeError("anthropic-version: header is required")

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise RefusedNativeError("model: Field required")
        return model

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_request(body)
        except InvalidError as error:
            raise RefusedNativeError(refusal_words(error)) from None
        messages = body["messages"]
        asker = _asker(messages)
        try:
            directive, prompt = find_directive(_texts(messages[asker])) if asker is not None else (None, "")
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        thinks = body.get("thinking", {}).get("type") in {"enabled", "adaptive"}
        choice = body.get("tool_choice", {})
        ask = Ask(
            prompt,
            _prompt_tokens(body, counter),
            max_tokens=body["max_tokens"],
            tools=_tools(body.get("tools", ()), choice),
            call_required=choice.get("type") in {"any", "tool"},
            tools_answered=asker is not None and any(_has_results(message) for message in messages[asker + 1 :]),
            json_schema=body.get("output_config", {}).get("format", {}).get("schema"),
        )
        return NativeRequest(ask, directive, body.get("stream") is True, thinks, _shows(body, thinks=thinks))

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> MessagesReply:
        return MessagesReply(script, model, asked)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return error_headers(refused.status), error_body(refused.status, refused.message, refused.kind)


def _shows(body: Mapping[str, Any], *, thinks: bool) -> bool:
    return thinks and body["thinking"].get("display") != "omitted"


def _asker(messages: list[Mapping[str, Any]]) -> int | None:
    """The last user message that says something itself."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user" and _texts(messages[place]):
            return place
    return None


def _texts(message: Mapping[str, Any]) -> list[str]:
    return [block["text"] for block in blocks_of(message) if block["type"] == "text"]


def _has_results(message: Mapping[str, Any]) -> bool:
    return any(block["type"] == "tool_result" for block in blocks_of(message))


def _tools(tools: Any, choice: Mapping[str, Any]) -> tuple[Tool, ...]:
    if choice.get("type") == "none":
        return ()
    chosen = choice.get("name")
    return tuple(Tool(t["name"], t["input_schema"]) for t in tools if chosen is None or t["name"] == chosen)


def _prompt_tokens(body: Mapping[str, Any], counter: CountsText) -> int:
    system = body.get("system", "")
    total = counter.count(system) if isinstance(system, str) else _blocks_tokens(system, counter)
    for message in body["messages"]:
        total += _PER_MESSAGE + _blocks_tokens(blocks_of(message), counter)
    return total + (counter.count(orjson.dumps(body["tools"]).decode()) if body.get("tools") else 0)


def _blocks_tokens(blocks: Any, counter: CountsText) -> int:
    return sum(_block_tokens(block, counter) for block in blocks)


def _block_tokens(block: Mapping[str, Any], counter: CountsText) -> int:
    match block["type"]:
        case "text":
            return counter.count(block["text"])
        case "tool_use":
            return counter.count(orjson.dumps(block["input"]).decode()) + counter.count(block["name"])
        case "tool_result":
            content = block.get("content", "")
            return counter.count(content) if isinstance(content, str) else _blocks_tokens(content, counter)
        case "thinking":
            return counter.count(block["thinking"])
        case _:
            return _PER_ATTACHMENT
