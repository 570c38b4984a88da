"""Gemini's generateContent as a NativeFormat: reads a checked request into what the core answers.

Owns the path, the key, the reading and the count of tokens. Does not own checks (validation.py) or bytes
(content_reply.py). Invariant: what is counted is what was sent, directive and all.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.gemini.content_reply import ContentReply
from services.provider_simulator.protocols.gemini.errors import HEADERS, error_body
from services.provider_simulator.protocols.gemini.field_names import in_camel_case
from services.provider_simulator.protocols.gemini.validation import check_request, refusal_words
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError

_PER_CONTENT = 3
_PER_ATTACHMENT = 85
# The newest of Google's own clients ask for v1; the facts that are simulated are those of v1beta.
_PATH = "{version:v1|v1beta}/models/{model:[^:]+}:{method:generateContent|streamGenerateContent}"


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post(f"/{_PATH}", server.generate), web.post(f"/{{provider}}/{_PATH}", server.generate)]


class ContentFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        if not request.headers.get("x-goog-api-key", "").strip() and not request.query.get("key", "").strip():
            words = (
                "Method doesn't allow unregistered callers. Please use API Key or other form of API consumer identity."
            )
            raise RefusedNativeError(words, status=403)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the body)
        return request.match_info["model"]

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:
        stream = request.match_info["method"] == "streamGenerateContent"
        if stream and request.query.get("alt") != "sse":
            raise RefusedNativeError("Streams are simulated with alt=sse only.")
        body = in_camel_case(body)
        try:
            check_request(body, self.model_of(request, body))
        except InvalidError as error:
            raise RefusedNativeError(refusal_words(error)) from None
        return _read(body, stream=stream, counter=counter)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ContentReply:
        return ContentReply(script, model, asked)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return HEADERS, error_body(refused.status, refused.message, refused.kind)


def _read(body: Mapping[str, Any], *, stream: bool, counter: CountsText) -> NativeRequest:
    contents = body["contents"]
    asker = _asker(contents)
    try:
        directive, prompt = find_directive(_texts(contents[asker])) if asker is not None else (None, "")
    except DirectiveError as error:
        raise RefusedNativeError(str(error)) from None
    config = body.get("generationConfig", {})
    thinking = config.get("thinkingConfig", {})
    thinks = bool(thinking.get("thinkingBudget")) or "thinkingLevel" in thinking
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    ask = Ask(
        prompt,
        _prompt_tokens(body, counter),
        max_tokens=config.get("maxOutputTokens"),
        tools=_tools(body.get("tools", ()), calling),
        call_required=calling.get("mode") == "ANY",
        tools_answered=asker is not None and any(_has_responses(content) for content in contents[asker + 1 :]),
        json_schema=_answer_schema(config),
    )
    return NativeRequest(ask, directive, stream, thinks, thinks and thinking.get("includeThoughts") is True)


def _asker(contents: list[Mapping[str, Any]]) -> int | None:
    """The last user content that says something itself."""
    for place in range(len(contents) - 1, -1, -1):
        if contents[place].get("role") != "model" and _texts(contents[place]):
            return place
    return None


def _texts(content: Mapping[str, Any]) -> list[str]:
    return [part["text"] for part in content["parts"] if "text" in part]


def _has_responses(content: Mapping[str, Any]) -> bool:
    return any("functionResponse" in part for part in content["parts"])


def _tools(tools: Any, calling: Mapping[str, Any]) -> tuple[Tool, ...]:
    if calling.get("mode") == "NONE":
        return ()
    allowed = calling.get("allowedFunctionNames")
    declared = [d for tool in tools for d in tool.get("functionDeclarations", ())]
    return tuple(
        Tool(d["name"], d.get("parametersJsonSchema") or json_schema(d.get("parameters") or {"type": "OBJECT"}))
        for d in declared
        if allowed is None or d["name"] in allowed
    )


def _answer_schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    if "responseJsonSchema" in config:
        return dict(config["responseJsonSchema"])
    schema = config.get("responseSchema")
    return json_schema(schema) if schema else {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def json_schema(schema: Any) -> dict[str, Any]:
    """The OpenAPI subset as plain JSON schema: types in small letters."""
    converted: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "type":
            converted[name] = value.lower()
        elif name == "items":
            converted[name] = json_schema(value)
        elif name == "properties":
            converted[name] = {key: json_schema(inner) for key, inner in value.items()}
        elif name == "anyOf":
            converted[name] = [json_schema(inner) for inner in value]
        else:
            converted[name] = value
    return converted


def _prompt_tokens(body: Mapping[str, Any], counter: CountsText) -> int:
    contents = [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else ())]
    total = sum(_PER_CONTENT + _part_tokens(part, counter) for content in contents for part in content["parts"])
    return total + (counter.count(orjson.dumps(body["tools"]).decode()) if body.get("tools") else 0)


def _part_tokens(part: Mapping[str, Any], counter: CountsText) -> int:
    if "text" in part:
        return counter.count(part["text"])
    for name in ("functionCall", "functionResponse"):
        if name in part:
            return counter.count(orjson.dumps(part[name]).decode())
    return _PER_ATTACHMENT
