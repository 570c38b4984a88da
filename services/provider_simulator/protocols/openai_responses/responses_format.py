"""Responses as a NativeFormat: reads a checked request into what the core answers.

Owns the reading and the count of tokens. Does not own checks (validation.py) or bytes (responses_reply.py).
Invariant: what is counted is what was sent, directive and all.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.errors import error_body, error_headers
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.openai_responses.responses_reply import ResponsesReply
from services.provider_simulator.protocols.openai_responses.validation import check_request, items_of, refusal_words
from services.provider_simulator.protocols.strict import InvalidError

_PER_ITEM = 3
_PER_ATTACHMENT = 85
_KINDS: Mapping[int, str] = {401: "invalid_request_error", 404: "invalid_request_error"}


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post("/v1/responses", server.generate), web.post("/{provider}/v1/responses", server.generate)]


class ResponsesFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise RefusedNativeError("Missing bearer or basic authentication in header", status=401)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise RefusedNativeError("Missing required parameter: 'model'.", kind="missing_required_parameter")
        return model

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_request(body)
        except InvalidError as error:
            message, code = refusal_words(error)
            raise RefusedNativeError(message, kind=code) from None
        given = items_of(body)
        asker = _asker(given)
        try:
            directive, prompt = find_directive(_texts(given[asker])) if asker is not None else (None, "")
        except DirectiveError as error:
            raise RefusedNativeError(str(error), kind="invalid_directive") from None
        choice = body.get("tool_choice")
        ask = Ask(
            prompt,
            _prompt_tokens(body, given, counter),
            max_tokens=body.get("max_output_tokens"),
            tools=_tools(body.get("tools", ()), choice),
            call_required=choice == "required" or isinstance(choice, dict),
            tools_answered=asker is not None and any(_is_output(item) for item in given[asker:]),
            json_schema=_schema(body.get("text", {}).get("format", {})),
        )
        reasoning = body.get("reasoning") or {}
        effort = reasoning.get("effort")
        thinks = effort not in {None, "none"} or (effort is None and "summary" in reasoning)
        sealed = "reasoning.encrypted_content" in (body.get("include") or ())
        # Thoughts are kept back unless a summary is asked for, but their item is there.
        self_evident = thinks and (sealed or reasoning.get("summary") is not None)
        return NativeRequest(ask, directive, body.get("stream") is True, thinks, self_evident)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ResponsesReply:
        return ResponsesReply(script, model, asked)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        kind = _KINDS.get(refused.status, "invalid_request_error")
        code = refused.kind or ("model_not_found" if refused.status == 404 else None)
        return error_headers(refused.status), error_body(refused.message, kind, None, code)


def _asker(given: list[Mapping[str, Any]]) -> int | None:
    for place in range(len(given) - 1, -1, -1):
        if given[place].get("role") == "user" and _texts(given[place]):
            return place
    return None


def _texts(item: Mapping[str, Any]) -> list[str]:
    content = item.get("content")
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if part["type"] in {"input_text", "output_text"}]


def _is_output(item: Mapping[str, Any]) -> bool:
    return str(item.get("type", "")).endswith("_output")


def _tools(tools: Any, choice: Any) -> tuple[Tool, ...]:
    if choice == "none":
        return ()
    chosen = choice.get("name") if isinstance(choice, dict) else None
    functions = [tool for tool in tools if tool["type"] == "function"]
    return tuple(Tool(t["name"], t["parameters"] or {}) for t in functions if chosen is None or t["name"] == chosen)


def _schema(described: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if described.get("type") == "json_schema":
        schema: Mapping[str, Any] = described["schema"]
        return schema
    if described.get("type") == "json_object":
        return {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return None


def _prompt_tokens(body: Mapping[str, Any], given: list[Mapping[str, Any]], counter: CountsText) -> int:
    total = counter.count(body.get("instructions") or "")
    total += sum(_PER_ITEM + _item_tokens(item, counter) for item in given)
    return total + (counter.count(orjson.dumps(body["tools"]).decode()) if body.get("tools") else 0)


def _item_tokens(item: Mapping[str, Any], counter: CountsText) -> int:
    match item.get("type"):
        case "function_call":
            return counter.count(item["name"]) + counter.count(item["arguments"])
        case "custom_tool_call":
            return counter.count(item["name"]) + counter.count(item["input"])
        case "reasoning":
            return sum(counter.count(part["text"]) for part in item["summary"])
        case "function_call_output" | "custom_tool_call_output":
            return _content_tokens(item["output"], counter)
        case _:
            return _content_tokens(item["content"], counter)


def _content_tokens(content: Any, counter: CountsText) -> int:
    if isinstance(content, str):
        return counter.count(content)
    return sum(counter.count(part["text"]) if "text" in part else _PER_ATTACHMENT for part in content)
