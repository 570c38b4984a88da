"""Oracle's chat as a NativeFormat: reads a checked request into what the core answers.

Owns headers, the reading and the count of tokens. Does not own checks (validation.py) or bytes (chat_reply.py).
Invariant: a signature that is there must be of all the words that the service wants.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script, Tool
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.oci.chat_reply import ChatReply
from services.provider_simulator.protocols.oci.errors import refusal
from services.provider_simulator.protocols.oci.validation import COHERE, GENERIC, check_chat
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError, dotted

_PARAMETER = re.compile(r'([A-Za-z]+)="([^"]*)"(?:,|$)')
_KEY_ID = re.compile(r"[^/]+/[^/]+/[^/]+")
_SIGNED = frozenset({"date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256"})
_JSON_TYPES: Mapping[str, str] = {
    "str": "string",
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_PER_MESSAGE = 3
_PER_IMAGE = 85
_ANY_OBJECT: Mapping[str, Any] = {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}


@dataclass(frozen=True, slots=True)
class ChatRequest(NativeRequest):
    """A checked request, of one of the kinds of chat."""

    kind: str = GENERIC


def routes(server: NativeServer, action: str = "chat") -> list[web.RouteDef]:
    return [web.post(f"{prefix}/20231130/actions/{action}", server.generate) for prefix in ("", "/{provider}")]


class ChatFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_proof(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> ChatRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_chat(body)
        except InvalidError as error:
            raise RefusedNativeError(f"{dotted(error.where)}: {error.words}") from None
        asked = body["chatRequest"]
        kind = asked["apiFormat"]
        prompts, answered = _turn(asked) if kind != COHERE else ([asked["message"]], "toolResults" in asked)
        try:
            directive, prompt = find_directive(_prompts_of_results(asked) if kind == COHERE and answered else prompts)
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        choice = asked.get("toolChoice", {}).get("type") if kind == GENERIC else asked.get("toolsChoice")
        ask = Ask(
            prompt,
            _prompt_tokens(asked, counter),
            max_tokens=asked.get("maxTokens", asked.get("maxCompletionTokens")),
            tools=() if choice == "NONE" else _tools(asked, kind),
            call_required=choice in {"REQUIRED", "FUNCTION"},
            tools_answered=answered,
            json_schema=_schema(asked.get("responseFormat", {})),
        )
        thinks = asked.get("reasoningEffort", "NONE") != "NONE" or asked.get("thinking", {}).get("type") == "ENABLED"
        return ChatRequest(ask, directive, asked.get("isStream") is True, thinks, thinks, kind)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ChatReply:
        assert isinstance(asked, ChatRequest)
        return ChatReply(script, model, asked, asked.kind)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return refusal(refused)


def check_proof(request: web.Request) -> None:
    """A signature of the right words, or a bearer.

    Raises:
        RefusedNativeError: there is neither.
    """
    scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Signature":
        accepted = _is_signature(dict(_PARAMETER.findall(proof))) and "x-content-sha256" in request.headers
    else:
        accepted = scheme.lower() == "bearer" and bool(proof.strip())
    if not accepted:
        raise RefusedNativeError("The required information to complete authentication was not provided.", status=401)


def _is_signature(told: Mapping[str, str]) -> bool:
    return (
        told.get("version") == "1"
        and told.get("algorithm") == "rsa-sha256"
        and _KEY_ID.fullmatch(told.get("keyId", "")) is not None
        and set(told.get("headers", "").split()) == _SIGNED
        and bool(told.get("signature"))
    )


def model_in(body: Mapping[str, Any]) -> str:
    """The model that every request names.

    Raises:
        RefusedNativeError: it does not.
    """
    serving = body.get("servingMode")
    model = serving.get("modelId") if isinstance(serving, dict) else None
    if not isinstance(model, str) or not model:
        raise RefusedNativeError("servingMode.modelId: missing field")
    return model


def _turn(asked: Mapping[str, Any]) -> tuple[list[str], bool]:
    """What the user said last, and whether calls were answered since."""
    messages = asked["messages"]
    asker = max((place for place, message in enumerate(messages) if message["role"] == "USER"), default=None)
    if asker is None:
        return [], False
    said = [item["text"] for item in messages[asker]["content"] if item["type"] == "TEXT"]
    return said, any(message["role"] == "TOOL" for message in messages[asker + 1 :])


def _prompts_of_results(asked: Mapping[str, Any]) -> list[str]:
    """The user's last words before the calls."""
    spoken = [turn["message"] for turn in asked.get("chatHistory", ()) if turn["role"] == "USER"]
    return [asked["message"] or (spoken[-1] if spoken else "")]


def _tools(asked: Mapping[str, Any], kind: str) -> tuple[Tool, ...]:
    given = asked.get("tools", ())
    if kind == COHERE:
        return tuple(Tool(one["name"], _defined(one.get("parameterDefinitions", {}))) for one in given)
    functions = [one.get("function", one) for one in given]
    chosen = asked.get("toolChoice", {}).get("name")
    return tuple(Tool(one["name"], one["parameters"]) for one in functions if chosen in {None, one["name"]})


def _defined(definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = {name: {"type": _JSON_TYPES[one["type"]]} for name, one in definitions.items()}
    required = [name for name, one in definitions.items() if one.get("isRequired")]
    return {"type": "object", "properties": properties, "required": required}


def _schema(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    schema = answer.get("schema", answer.get("jsonSchema", {}).get("schema"))
    if schema is not None:
        return schema  # type: ignore[no-any-return]
    return _ANY_OBJECT if answer.get("type", "TEXT") != "TEXT" else None


def _prompt_tokens(asked: Mapping[str, Any], counter: CountsText) -> int:
    """What is said, message by message, images at a price of their own; tools and calls as they are written."""
    total = 0
    for message in asked.get("messages", ()):
        total += _PER_MESSAGE
        for item in message.get("content", ()):
            total += counter.count(item["text"]) if item["type"] == "TEXT" else _PER_IMAGE
        total += _written(message.get("toolCalls"), counter)
    for turn in asked.get("chatHistory", ()):
        total += _PER_MESSAGE + counter.count(turn.get("message", "")) + _written(turn.get("toolCalls"), counter)
        total += _written(turn.get("toolResults"), counter)
    for name in ("message", "preambleOverride"):
        total += _PER_MESSAGE + counter.count(asked[name]) if asked.get(name) else 0
    return total + _written(asked.get("toolResults"), counter) + _written(asked.get("tools"), counter)


def _written(value: Any, counter: CountsText) -> int:
    return counter.count(orjson.dumps(value).decode()) if value else 0
