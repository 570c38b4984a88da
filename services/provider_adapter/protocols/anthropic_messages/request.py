"""The caller's chat request as Anthropic's Messages.

Owns parameters: what is set, clamped, and left out by rule. Does not own messages (messages.py) or what models can do
(models.py). Invariant: only fields of the format are sent; the output limit never exceeds the caller's.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.anthropic_messages.messages import (
    Block,
    begins_with_thinking,
    cache_mark,
    limit_breakpoints,
    message_list,
    system_blocks,
)
from services.provider_adapter.protocols.anthropic_messages.models import (
    Sampling,
    Traits,
    traits_of,
)
from services.provider_adapter.protocols.anthropic_messages.schemas import strict_schema
from services.provider_adapter.protocols.anthropic_messages.thinking import thinking_fields
from services.provider_adapter.protocols.chat_body import (
    ChatBody,
    integer_in,
    number_in,
    read_chat_body,
    stops_in,
    write_body,
)
from services.provider_adapter.protocols.conversation import AssistantTurn, Conversation, read_conversation
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/messages"
ANSWER_TOOL = "json"

_MOST_STOPS = 8_191
_LARGEST = 1 << 31
_FLAG = re.compile(r"[A-Za-z0-9._-]{1,128}")
_UNMARKABLE = frozenset({"thinking", "redacted_thinking"})
_TIERS: Mapping[str, str] = {
    "auto": "auto",
    "priority": "auto",
    "fast": "auto",
    "default": "standard_only",
    "standard": "standard_only",
}


class Request(NamedTuple):
    """A request before it is bytes; hosts differ in where the model's name goes."""

    body: dict[str, Any]
    hide_reasoning: bool
    answer_tool: str
    headers: Mapping[str, str]
    tools: Any


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    made = request_of(attempt, traits_of(attempt.provider_model_id))
    body = write_body(made.body)
    return Prepared(PATH, body, made.hide_reasoning, made.answer_tool, made.headers, tools=made.tools)


def request_of(attempt: Attempt, traits: Traits) -> Request:
    """The request, for a model with these traits.

    Raises:
        AppError: the caller's body is not a JSON object.
        ProviderFailedError: it holds what this format cannot carry.
    """
    chat = read_chat_body(attempt)
    conversation = read_conversation(chat.fields.get("messages"))
    body: dict[str, Any] = {
        "model": attempt.provider_model_id,
        "max_tokens": _limit(chat.max_tokens, traits),
        **_words(conversation),
    }
    answer_tool = _set_answer_format(body, chat.fields, traits)
    _set_tools(body, chat.fields, conversation, traits, answer_tool)
    _set_thinking(body, chat, traits)
    _set_sampling(body, chat.fields, traits)
    stops = stops_in(chat.fields, _MOST_STOPS)
    if stops:
        body["stop_sequences"] = stops
    if attempt.user_hash:
        body["metadata"] = {"user_id": attempt.user_hash}
    tier = chat.fields.get("service_tier")
    if traits.tiers and isinstance(tier, str) and tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    if attempt.stream:
        body["stream"] = True
    _set_breakpoints(body, chat.fields)
    flags = beta_flags(attempt, chat.fields)
    headers = {"anthropic-beta": ",".join(flags)} if flags else {}
    return Request(body, chat.hide_reasoning, answer_tool, headers, chat.tools)


def beta_flags(attempt: Attempt, fields: Mapping[str, Any]) -> list[str]:
    """The flags of betas that the caller names in a header or as `anthropic_beta`; what cannot be one is left out."""
    given = fields.get("anthropic_beta")
    named = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    stripped = [flag.strip() for flag in (*attempt.anthropic_beta.split(","), *named) if isinstance(flag, str)]
    return list(dict.fromkeys(flag for flag in stripped if _FLAG.fullmatch(flag)))


def _limit(asked: int | None, traits: Traits) -> int:
    if asked is None:
        return traits.output_limit
    return min(asked, traits.output_limit) if traits.clamps else asked


def _words(conversation: Conversation) -> dict[str, Any]:
    system, messages = system_blocks(conversation), message_list(conversation)
    if not messages:
        # Instructions alone are a request too, but not in this format.
        return {"messages": [{"role": "user", "content": system}]} if system else {"messages": []}
    return {"system": system, "messages": messages} if system else {"messages": messages}


def _set_answer_format(body: dict[str, Any], fields: Mapping[str, Any], traits: Traits) -> str:
    """Structured output: natively, or as the input of a tool that has to be called."""
    wanted = fields.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        described = wanted.get("json_schema") if isinstance(wanted, dict) else None
        schema = described.get("schema") if isinstance(described, dict) else None
        if isinstance(schema, dict):
            if not traits.schemas:
                _add_answer_tool(body, schema)
                return ANSWER_TOOL
            body["output_config"] = {"format": {"type": "json_schema", "schema": strict_schema(schema)}}
            return ""
    if kind in {"json_schema", "json_object"}:
        _add_answer_tool(body, {"type": "object", "additionalProperties": True})
        return ANSWER_TOOL
    return ""


def _add_answer_tool(body: dict[str, Any], schema: Mapping[str, Any]) -> None:
    description = "Gives the answer to the user, as JSON. Always answer by calling this."
    body["tools"] = [{"name": ANSWER_TOOL, "description": description, "input_schema": _object_schema(schema)}]
    body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}


def _set_tools(
    body: dict[str, Any], fields: Mapping[str, Any], conversation: Conversation, traits: Traits, answer_tool: str
) -> None:
    given = fields.get("tools")
    tools = [_tool(tool, traits) for tool in given if _is_function(tool)] if isinstance(given, list) else []
    if not tools:
        _declare_called_tools(body, conversation)
        return
    choice = _tool_choice(fields)
    if choice.get("type") == "none" and answer_tool:
        return
    if answer_tool:
        choice = choice if choice.get("type") == "tool" else {"type": "any"}
    body["tools"] = [*tools, *body.get("tools", ())]
    if fields.get("parallel_tool_calls") is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    if choice:
        body["tool_choice"] = choice


def _declare_called_tools(body: dict[str, Any], conversation: Conversation) -> None:
    """A history with calls has to name their tools, even if none may be called any more."""
    called = {call.name: None for turn in conversation.turns if isinstance(turn, AssistantTurn) for call in turn.calls}
    called.pop(ANSWER_TOOL, None)
    if called:
        declared = [{"name": name, "input_schema": {"type": "object"}} for name in called]
        body["tools"] = [*declared, *body.get("tools", ())]
        body.setdefault("tool_choice", {"type": "none"})


def _is_function(tool: Any) -> bool:
    return (
        isinstance(tool, dict) and tool.get("type", "function") == "function" and isinstance(tool.get("function"), dict)
    )


def _tool(tool: Mapping[str, Any], traits: Traits) -> dict[str, Any]:
    function = tool["function"]
    parameters = function.get("parameters")
    schema = _object_schema(parameters if isinstance(parameters, dict) else {})
    made: dict[str, Any] = {"name": function.get("name")}
    if isinstance(function.get("description"), str) and function["description"]:
        made["description"] = function["description"]
    if traits.schemas and function.get("strict") is True:
        made["strict"] = True
        schema = strict_schema(schema)
    made["input_schema"] = schema
    mark = cache_mark(tool.get("cache_control") or function.get("cache_control"))
    if mark is not None:
        made["cache_control"] = mark
    return made


def _object_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "type": "object"}


def _tool_choice(fields: Mapping[str, Any]) -> dict[str, Any]:
    match fields.get("tool_choice"):
        case "auto":
            return {"type": "auto"}
        case "required":
            return {"type": "any"}
        case "none":
            return {"type": "none"}
        case {"function": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case _:
            return {}


def _set_thinking(body: dict[str, Any], chat: ChatBody, traits: Traits) -> None:
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    told = thinking_fields(chat, traits, body["max_tokens"], forced=forced, lost=_lost_thinking(body["messages"]))
    if "output_config" in told:
        told["output_config"] = {**told["output_config"], **body.get("output_config", {})}
    body.update(told)


def _lost_thinking(messages: list[dict[str, Any]]) -> bool:
    """Whether a tool loop is under way whose thinking did not come back: to go on thinking is then refused."""
    if len(messages) < 2 or messages[-1]["content"][0]["type"] != "tool_result":
        return False
    calling = messages[-2]
    return calling["role"] == "assistant" and not begins_with_thinking(calling)


def _set_sampling(body: dict[str, Any], fields: Mapping[str, Any], traits: Traits) -> None:
    thinks = body.get("thinking", {}).get("type") in {"enabled", "adaptive"}
    if thinks or traits.sampling is Sampling.NONE:
        return
    temperature = number_in(fields, "temperature", 0, 1)
    top_p = number_in(fields, "top_p", 0, 1)
    top_k = integer_in(fields, "top_k", 0, _LARGEST)
    if temperature is not None:
        body["temperature"] = temperature
    if top_p is not None and (temperature is None or traits.sampling is Sampling.ALL):
        body["top_p"] = top_p
    if top_k:
        body["top_k"] = top_k


def _set_breakpoints(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """At most four; one for the whole request stands on its last block, for not every host knows it elsewhere."""
    system: list[Block] = body.get("system", [])
    blocks = [block for message in body["messages"] for block in message["content"]]
    mark = cache_mark(fields.get("cache_control"))
    last = next((block for block in reversed(blocks) if block["type"] not in _UNMARKABLE), None)
    if mark is not None and last is not None:
        last.setdefault("cache_control", mark)
    limit_breakpoints([*body.get("tools", ()), *system, *blocks])
