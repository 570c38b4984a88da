"""Cohere's chat as a NativeFormat: reads a checked request into what the core answers.

Owns headers, the reading and the count of tokens. Does not own checks (chat_validation.py) or bytes (chat_reply.py).
Invariant: what is counted is what was sent, directive and all.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.cohere.chat_reply import ChatReply
from services.provider_simulator.protocols.cohere.chat_validation import check_chat
from services.provider_simulator.protocols.cohere.errors import error_body, error_headers
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError, Problem, dotted

_PER_MESSAGE = 3
_PER_ATTACHMENT = 85
_ANY_OBJECT: Mapping[str, Any] = {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post("/v2/chat", server.generate), web.post("/{provider}/v2/chat", server.generate)]


class ChatFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_key(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_chat(body)
        except InvalidError as error:
            raise refused(error) from None
        messages = body["messages"]
        asker = _asker(messages)
        try:
            directive, prompt = find_directive(_texts(messages[asker])) if asker is not None else (None, "")
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        thinks = body.get("thinking", {}).get("type") == "enabled"
        choice = body.get("tool_choice")
        ask = Ask(
            prompt,
            _prompt_tokens(body, counter),
            max_tokens=body.get("max_tokens"),
            tools=_tools(body.get("tools", ())) if choice != "NONE" else (),
            call_required=choice == "REQUIRED",
            tools_answered=asker is not None and any(m["role"] == "tool" for m in messages[asker + 1 :]),
            json_schema=_answer_schema(body.get("response_format", {})),
        )
        return NativeRequest(ask, directive, body.get("stream") is True, thinks, thinks)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ChatReply:  # noqa: ARG002 (replies do not name the model)
        return ChatReply(script, asked)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return error_headers(refused.status), error_body(refused.message)


def check_key(request: web.Request) -> None:
    """The bearer that every route wants.

    Raises:
        RefusedNativeError: there is none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RefusedNativeError("no api key supplied", status=401)


def model_in(body: Mapping[str, Any]) -> str:
    """The model that every request names.

    Raises:
        RefusedNativeError: it does not.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RefusedNativeError("invalid request: model is required")
    return model


def refused(error: InvalidError) -> RefusedNativeError:
    """A failed check in Cohere's words; fields that do not exist are 422, as are those that are missing."""
    words = f"{dotted(error.where)}: {error.words}" if error.where else error.words
    status = 400 if error.problem is Problem.VALUE else 422
    return RefusedNativeError(f"invalid request: {words}", status=status)


def _asker(messages: list[Mapping[str, Any]]) -> int | None:
    """The last user message that says something itself."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user" and _texts(messages[place]):
            return place
    return None


def _items(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(message: Mapping[str, Any]) -> list[str]:
    return [item["text"] for item in _items(message) if item["type"] == "text"]


def _tools(tools: Any) -> tuple[Tool, ...]:
    return tuple(Tool(tool["function"]["name"], tool["function"]["parameters"]) for tool in tools)


def _answer_schema(wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if wanted.get("type") != "json_object":
        return None
    return dict(wanted.get("json_schema") or _ANY_OBJECT)


def _prompt_tokens(body: Mapping[str, Any], counter: CountsText) -> int:
    total = sum(_message_tokens(message, counter) for message in body["messages"])
    for name in ("tools", "documents"):
        if body.get(name):
            total += counter.count(orjson.dumps(body[name]).decode())
    return total


def _message_tokens(message: Mapping[str, Any], counter: CountsText) -> int:
    total = _PER_MESSAGE + counter.count(message.get("tool_plan") or "")
    if message.get("tool_calls"):
        total += counter.count(orjson.dumps(message["tool_calls"]).decode())
    return total + sum(_item_tokens(item, counter) for item in _items(message))


def _item_tokens(item: Mapping[str, Any], counter: CountsText) -> int:
    match item["type"]:
        case "text" | "thinking" as kind:
            return counter.count(item[kind])
        case "document":
            return counter.count(orjson.dumps(item["document"]).decode())
        case _:
            return _PER_ATTACHMENT
