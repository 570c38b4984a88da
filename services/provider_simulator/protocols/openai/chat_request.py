"""Reads the body of `POST /chat/completions` into what the core answers.

Owns the steps from bytes to Ask. Does not own single checks (parameters.py, messages.py). Invariant: what comes out was
checked as the real API checks it, or a RefusedError says what is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.provider_simulator.core.directive import Directive, DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Tool
from services.provider_simulator.protocols.openai.errors import RefusedError
from services.provider_simulator.protocols.openai.messages import check_messages, text_parts
from services.provider_simulator.protocols.openai.parameters import check_parameters, wrong_type
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText, prompt_tokens

_MAX_MODEL_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request.

    Attributes:
        directive: None when the prompt holds none.
    """

    ask: Ask
    directive: Directive | None
    stream: bool
    include_usage: bool


def parse_body(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise RefusedError("We could not parse the JSON body of your request. The API expects a JSON object.")
    return body


def model_of(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if model is None or model == "":
        raise RefusedError("you must provide a model parameter")
    if not isinstance(model, str):
        raise wrong_type("model", "a string", model)
    if len(model) > _MAX_MODEL_CHARACTERS:
        raise RefusedError("The model name is too long.", param="model", code="string_above_max_length")
    return model


def read_request(body: Mapping[str, Any], counter: CountsText, *, refuse_unknown: bool) -> ChatRequest:
    """Checks the body and reads it.

    Raises:
        RefusedError: as the real API would, and for a directive that is not understood.
    """
    check_parameters(body, refuse_unknown=refuse_unknown)
    messages = body.get("messages")
    check_messages(messages)
    assert isinstance(messages, list)
    asker = _last_user(messages)
    try:
        directive, prompt = find_directive(text_parts(messages[asker])) if asker is not None else (None, "")
    except DirectiveError as error:
        raise RefusedError(str(error), param="messages", code="invalid_directive") from None
    choice = body.get("tool_choice")
    ask = Ask(
        prompt,
        prompt_tokens(messages, body.get("tools"), counter),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        tools=_tools(body.get("tools"), choice),
        call_required=choice == "required" or isinstance(choice, dict),
        tools_answered=asker is not None and any(message["role"] == "tool" for message in messages[asker:]),
        json_schema=_json_schema(body.get("response_format")),
    )
    stream_options = body.get("stream_options") or {}
    return ChatRequest(ask, directive, body.get("stream") is True, stream_options.get("include_usage") is True)


def _last_user(messages: Sequence[Mapping[str, Any]]) -> int | None:
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user":
            return place
    return None


def _tools(tools: Any, choice: Any) -> tuple[Tool, ...]:
    if not tools:
        return ()
    chosen = choice["function"]["name"] if isinstance(choice, dict) else None
    functions = (tool["function"] for tool in tools)
    return tuple(
        Tool(function["name"], function.get("parameters") or {"type": "object"})
        for function in functions
        if chosen is None or function["name"] == chosen
    )


def _json_schema(response_format: Any) -> Mapping[str, Any] | None:
    kind = response_format["type"] if response_format else "text"
    if kind == "json_schema":
        return response_format["json_schema"].get("schema") or {"type": "object"}
    if kind == "json_object":
        return {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return None
