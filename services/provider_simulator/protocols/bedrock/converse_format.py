"""Bedrock's Converse as a NativeFormat: reads a checked request into what the core answers.

Owns headers, the reading and the count of tokens. Does not own checks (validation.py) or bytes (converse_reply.py).
Invariant: what is counted is what was sent, directive and all.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.bedrock.converse_reply import ConverseReply
from services.provider_simulator.protocols.bedrock.errors import error_body, error_headers
from services.provider_simulator.protocols.bedrock.own_fields import thinks
from services.provider_simulator.protocols.bedrock.validation import check_request, refusal_words
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError

_PER_MESSAGE = 3
_PER_ATTACHMENT = 85
_PATH = "model/{model:[^/]+}/{method:converse|converse-stream}"
_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,\s]+/\d{8}/[a-z0-9-]+/bedrock/aws4_request, ?"
    r"SignedHeaders=[a-z0-9;-]*\bhost;[a-z0-9;-]*x-amz-date[a-z0-9;-]*, ?Signature=[0-9a-f]{64}"
)


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post(f"/{_PATH}", server.generate), web.post(f"/{{provider}}/{_PATH}", server.generate)]


class ConverseFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        told = request.headers.get("Authorization", "").strip()
        if not told:
            raise RefusedNativeError(
                "Missing Authentication Token", status=403, kind="MissingAuthenticationTokenException"
            )
        scheme, _, key = told.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return
        if _SIGNATURE.fullmatch(told) is None or not request.headers.get("x-amz-date"):
            words = "Authorization header requires a Credential, SignedHeaders and a Signature."
            raise RefusedNativeError(words, status=403, kind="IncompleteSignatureException")

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the body)
        return request.match_info["model"]

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:
        try:
            check_request(body, self.model_of(request, body))
        except InvalidError as error:
            raise RefusedNativeError(refusal_words(error)) from None
        messages = body["messages"]
        asker = _asker(messages)
        try:
            directive, prompt = find_directive(_texts(messages[asker])) if asker is not None else (None, "")
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        config = body.get("toolConfig", {})
        choice = config.get("toolChoice", {})
        ask = Ask(
            prompt,
            _prompt_tokens(body, counter),
            max_tokens=body.get("inferenceConfig", {}).get("maxTokens"),
            tools=_tools(config.get("tools", ()), choice.get("tool", {}).get("name")),
            call_required="any" in choice or "tool" in choice,
            tools_answered=asker is not None and any(_has_results(message) for message in messages[asker + 1 :]),
            json_schema=_schema(body),
        )
        thinking = thinks(body)
        shown = body.get("additionalModelRequestFields", {}).get("thinking", {}).get("display") != "omitted"
        stream = request.match_info["method"] == "converse-stream"
        return NativeRequest(ask, directive, stream, thinking, shows_thoughts=thinking and shown)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ConverseReply:  # noqa: ARG002 (replies do not name the model)
        return ConverseReply(script, asked)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return error_headers(refused.status, refused.kind), error_body(refused.message)


def _asker(messages: list[Mapping[str, Any]]) -> int | None:
    """The last user message that says something itself."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user" and _texts(messages[place]):
            return place
    return None


def _texts(message: Mapping[str, Any]) -> list[str]:
    return [block["text"] for block in message["content"] if "text" in block]


def _has_results(message: Mapping[str, Any]) -> bool:
    return any("toolResult" in block for block in message["content"])


def _tools(tools: Any, chosen: str | None) -> tuple[Tool, ...]:
    specs = [tool["toolSpec"] for tool in tools if "toolSpec" in tool]
    return tuple(Tool(s["name"], s["inputSchema"]["json"]) for s in specs if chosen is None or s["name"] == chosen)


def _schema(body: Mapping[str, Any]) -> Any:
    told = body.get("outputConfig", {}).get("textFormat")
    return None if told is None else orjson.loads(told["structure"]["jsonSchema"]["schema"])


def _prompt_tokens(body: Mapping[str, Any], counter: CountsText) -> int:
    total = sum(_block_tokens(block, counter) for block in body.get("system", ()))
    for message in body["messages"]:
        total += _PER_MESSAGE + sum(_block_tokens(block, counter) for block in message["content"])
    tools = body.get("toolConfig", {}).get("tools")
    return total + (counter.count(orjson.dumps(tools).decode()) if tools else 0)


def _block_tokens(block: Mapping[str, Any], counter: CountsText) -> int:
    match block:
        case {"text": text}:
            return counter.count(text)
        case {"toolUse": call}:
            return counter.count(orjson.dumps(call["input"]).decode()) + counter.count(call["name"])
        case {"toolResult": result}:
            return sum(_block_tokens(inner, counter) for inner in result["content"])
        case {"json": told} | {"cachePoint": told}:
            return counter.count(orjson.dumps(told).decode()) if "json" in block else 0
        case {"reasoningContent": {"reasoningText": told}}:
            return counter.count(told["text"])
        case _:
            return _PER_ATTACHMENT
