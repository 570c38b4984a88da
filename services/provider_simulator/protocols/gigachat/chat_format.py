"""GigaChat's chat as a NativeFormat: reads a checked request into what the core answers.

Owns headers, the reading and the count of tokens. Does not own checks (validation.py) or bytes (chat_reply.py).
Invariant: what is counted is what was sent, directive and all; one call at most is made.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import Directive, DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.gigachat.chat_reply import ChatReply
from services.provider_simulator.protocols.gigachat.errors import refusal
from services.provider_simulator.protocols.gigachat.validation import check_chat
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError, dotted

_PER_MESSAGE = 3
_ANY_OBJECT: Mapping[str, Any] = {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def routes(server: NativeServer, path: str = "/chat/completions") -> list[web.RouteDef]:
    return [web.post(f"/api/v1{path}", server.generate), web.post(f"/{{provider}}/api/v1{path}", server.generate)]


class ChatFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_token(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_chat(body)
        except InvalidError as error:
            raise RefusedNativeError(f"Invalid params: {dotted(error.where)}: {error.words}", status=422) from None
        messages = body["messages"]
        asker = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=None)
        try:
            directive, prompt = find_directive([messages[asker]["content"]]) if asker is not None else (None, "")
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        choice = body.get("function_call")
        ask = Ask(
            prompt,
            _prompt_tokens(body, counter),
            max_tokens=body.get("max_tokens"),
            tools=_functions(body, choice),
            call_required=isinstance(choice, dict) or _is_told(messages, "Call one of the functions"),
            tools_answered=asker is not None and any(m["role"] == "function" for m in messages[asker + 1 :]),
            json_schema=_ANY_OBJECT if _is_told(messages, "JSON object") else None,
        )
        thinks = "reasoning_effort" in body
        return NativeRequest(ask, _with_one_call(directive), body.get("stream") is True, thinks, thinks)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ChatReply:
        return ChatReply(script, model, asked)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return refusal(refused)


def check_token(request: web.Request) -> None:
    """The bearer that every route wants; a key is none.

    Raises:
        RefusedNativeError: there is none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RefusedNativeError("Unauthorized", status=401)


def model_in(body: Mapping[str, Any]) -> str:
    """The model that every request names.

    Raises:
        RefusedNativeError: it does not.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RefusedNativeError("Invalid params: model: Field required", status=422)
    return model


def _is_told(messages: list[Mapping[str, Any]], words: str) -> bool:
    """A model obeys what the system tells it in words, where the format has none."""
    return messages[0]["role"] == "system" and words in messages[0]["content"]


def _with_one_call(directive: Directive | None) -> Directive | None:
    if directive is None or directive.tools is None:
        return directive
    return replace(directive, tools=min(directive.tools, 1))


def _functions(body: Mapping[str, Any], choice: Any) -> tuple[Tool, ...]:
    if choice == "none":
        return ()
    chosen = choice["name"] if isinstance(choice, dict) else None
    listed = body.get("functions", ())
    return tuple(Tool(one["name"], one["parameters"]) for one in listed if chosen in {None, one["name"]})


def _prompt_tokens(body: Mapping[str, Any], counter: CountsText) -> int:
    total = sum(_PER_MESSAGE + counter.count(message["content"]) for message in body["messages"])
    total += sum(
        counter.count(orjson.dumps(message["function_call"]).decode())
        for message in body["messages"]
        if "function_call" in message
    )
    return total + (counter.count(orjson.dumps(body["functions"]).decode()) if "functions" in body else 0)
