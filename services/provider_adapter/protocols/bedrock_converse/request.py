"""The caller's chat request as Bedrock's Converse.

Owns parameters: what is set, clamped, and left out by rule. Does not own messages (messages.py) or what models can do
(models.py). Invariant: only fields of the format are sent; the output limit never exceeds the caller's.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from services.provider_adapter.protocols.anthropic_messages.models import Sampling
from services.provider_adapter.protocols.anthropic_messages.request import beta_flags
from services.provider_adapter.protocols.anthropic_messages.schemas import strict_schema
from services.provider_adapter.protocols.anthropic_messages.thinking import thinking_fields
from services.provider_adapter.protocols.bedrock_converse.messages import (
    Block,
    add_cache_point,
    cache_point,
    limit_cache_points,
    lost_thinking,
    message_list,
    system_blocks,
)
from services.provider_adapter.protocols.bedrock_converse.models import Thinking, TopK, Traits, traits_of
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

ANSWER_TOOL = "json"

_LARGEST_TOP_K = 500
_BARE = ("properties", "required", "$defs", "definitions")
_EFFORTS = ("low", "medium", "high")
_STRONGER: Mapping[str, str] = {"minimal": "low", "xhigh": "high", "max": "high"}
_TIERS: Mapping[str, str] = {"priority": "priority", "fast": "priority", "flex": "flex", "default": "default"}


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    chat = read_chat_body(attempt)
    traits = traits_of(attempt.provider_model_id)
    conversation = read_conversation(chat.fields.get("messages"))
    body = _words(conversation, traits)
    config = _inference(chat, traits)
    answer_tool = _set_answer_format(body, chat.fields, traits)
    _set_tools(body, chat.fields, conversation, traits, answer_tool)
    extra = _own_fields(body, chat, traits, config)
    if traits.claude is not None and (flags := beta_flags(attempt, chat.fields)):
        extra["anthropic_beta"] = flags
    if config:
        body["inferenceConfig"] = config
    if extra:
        body["additionalModelRequestFields"] = extra
    tier = attempt.service_tier or chat.fields.get("service_tier")
    if isinstance(tier, str) and tier in _TIERS:
        body["serviceTier"] = {"type": _TIERS[tier]}
    _set_cache_points(body, chat.fields, traits)
    operation = "converse-stream" if attempt.stream else "converse"
    path = f"/model/{quote(attempt.provider_model_id, safe='')}/{operation}"
    return Prepared(path, write_body(body), chat.hide_reasoning, answer_tool, tools=chat.tools)


def _words(conversation: Conversation, traits: Traits) -> dict[str, Any]:
    system, messages = system_blocks(conversation, traits), message_list(conversation, traits)
    if not messages:
        # Instructions alone are a request too, but not in this format.
        return {"messages": [{"role": "user", "content": system}]} if system else {"messages": []}
    if system and not traits.system:
        messages[0]["content"][:0] = system
        return {"messages": messages}
    return {"messages": messages, "system": system} if system else {"messages": messages}


def _inference(chat: ChatBody, traits: Traits) -> dict[str, Any]:
    """What every model has; sampling of Claude is thinned out once it is known whether it thinks."""
    limit, claude = chat.max_tokens, traits.claude
    if claude is not None:
        limit = claude.output_limit if limit is None else min(limit, claude.output_limit)
    config: dict[str, Any] = {
        "maxTokens": limit,
        "temperature": number_in(chat.fields, "temperature", 0, 1),
        "topP": number_in(chat.fields, "top_p", 0, 1),
        "stopSequences": stops_in(chat.fields, traits.most_stops) or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _set_answer_format(body: dict[str, Any], fields: Mapping[str, Any], traits: Traits) -> str:
    """Structured output: natively, or as the input of a tool that has to be called."""
    wanted = fields.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in {"json_schema", "json_object"}:
        return ""
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    schema = described.get("schema") if isinstance(described, dict) else None
    if kind == "json_object" or not isinstance(schema, dict):
        schema = {"type": "object", "additionalProperties": True}
    elif traits.schemas:
        assert isinstance(described, dict)
        body["outputConfig"] = {"textFormat": _text_format(described, schema)}
        return ""
    description = "Gives the answer to the user, as JSON. Always answer by calling this."
    spec = {"name": ANSWER_TOOL, "description": description, "inputSchema": {"json": _object_schema(schema, traits)}}
    body["toolConfig"] = {"tools": [{"toolSpec": spec}]}
    if "tool" in traits.choices:
        body["toolConfig"]["toolChoice"] = {"tool": {"name": ANSWER_TOOL}}
    elif "any" in traits.choices:
        body["toolConfig"]["toolChoice"] = {"any": {}}
    return ANSWER_TOOL


def _text_format(described: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"schema": orjson.dumps(strict_schema(schema)).decode()}
    for name in ("name", "description"):
        if isinstance(described.get(name), str) and described[name]:
            made[name] = described[name]
    return {"type": "json_schema", "structure": {"jsonSchema": made}}


def _object_schema(schema: Mapping[str, Any], traits: Traits) -> dict[str, Any]:
    kept = {name: schema[name] for name in _BARE if name in schema} if traits.bare_schemas else schema
    return {**kept, "type": "object"}


def _set_tools(
    body: dict[str, Any], fields: Mapping[str, Any], conversation: Conversation, traits: Traits, answer_tool: str
) -> None:
    given = fields.get("tools")
    functions = [tool for tool in given if _is_function(tool)] if isinstance(given, list) else []
    called = {call.name: None for turn in conversation.turns if isinstance(turn, AssistantTurn) for call in turn.calls}
    if fields.get("tool_choice") == "none" and not called:
        functions = []
    if not functions:
        # A history with calls has to name their tools, even if none may be called any more.
        _declare(body, [{"toolSpec": _declared(name)} for name in called if name != ANSWER_TOOL])
        return
    name = _chosen(fields)
    if name is not None and "tool" not in traits.choices:
        # Any call will do where there is but one tool to call.
        functions = [tool for tool in functions if tool["function"].get("name") == name] or functions
    _declare(body, [block for tool in functions for block in _tool(tool, traits)])
    choice = _choice(fields, name, traits)
    if answer_tool and "tool" not in choice:
        choice = {"any": {}} if "any" in traits.choices else {}
    if choice:
        body["toolConfig"]["toolChoice"] = choice
    else:
        body["toolConfig"].pop("toolChoice", None)


def _declare(body: dict[str, Any], tools: list[Block]) -> None:
    if tools:
        config = body.setdefault("toolConfig", {"tools": []})
        config["tools"] = [*tools, *config["tools"]]


def _declared(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"json": {"type": "object"}}}


def _is_function(tool: Any) -> bool:
    return (
        isinstance(tool, dict) and tool.get("type", "function") == "function" and isinstance(tool.get("function"), dict)
    )


def _tool(tool: Mapping[str, Any], traits: Traits) -> list[Block]:
    """The tool, and the cache point after it."""
    function = tool["function"]
    parameters = function.get("parameters")
    schema = _object_schema(parameters if isinstance(parameters, dict) else {}, traits)
    spec: dict[str, Any] = {"name": function.get("name")}
    description = function.get("description")
    if isinstance(description, str) and description.strip():
        spec["description"] = description
    if traits.schemas and function.get("strict") is True:
        spec["strict"] = True
        schema = strict_schema(schema)
    spec["inputSchema"] = {"json": schema}
    blocks: list[Block] = [{"toolSpec": spec}]
    point = cache_point(tool.get("cache_control") or function.get("cache_control"), traits)
    if point is not None and traits.tools_cached:
        blocks.append(point)
    return blocks


def _chosen(fields: Mapping[str, Any]) -> str | None:
    """The one tool that has to be called."""
    match fields.get("tool_choice"):
        case {"function": {"name": str(name)}}:
            return name
        case _:
            return None


def _choice(fields: Mapping[str, Any], name: str | None, traits: Traits) -> dict[str, Any]:
    if name is not None and "tool" in traits.choices:
        return {"tool": {"name": name}}
    if (name is not None or fields.get("tool_choice") == "required") and "any" in traits.choices:
        return {"any": {}}
    return {"auto": {}} if fields.get("tool_choice") == "auto" else {}


def _own_fields(body: dict[str, Any], chat: ChatBody, traits: Traits, config: dict[str, Any]) -> dict[str, Any]:
    """What only this maker's models know; `config` loses what does not go with it."""
    extra: dict[str, Any] = {}
    choice = body.get("toolConfig", {}).get("toolChoice", {})
    match traits.thinking:
        case Thinking.CLAUDE:
            assert traits.claude is not None
            forced = "any" in choice or "tool" in choice
            lost = lost_thinking(body["messages"])
            extra = thinking_fields(chat, traits.claude, config["maxTokens"], forced=forced, lost=lost)
            if _one_call_at_a_time(body, chat, traits):
                extra["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
        case Thinking.NOVA if chat.reasoning.wanted:
            # The highest effort takes no limit, and a limit is a promise.
            effort = _effort(chat)
            effort = "medium" if effort == "high" and "maxTokens" in config else effort
            extra = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
        case Thinking.EFFORT if chat.reasoning.wanted:
            extra = {"reasoning_effort": _effort(chat)}
        case Thinking.QWEN if chat.reasoning.wanted:
            extra = {"reasoning_config": "low" if _effort(chat) == "low" else "high"}
        case _:
            pass
    _thin_out(config, extra, chat, traits)
    return extra


def _one_call_at_a_time(body: Mapping[str, Any], chat: ChatBody, traits: Traits) -> bool:
    choice = body.get("toolConfig", {}).get("toolChoice", {"auto": {}})
    return (
        chat.fields.get("parallel_tool_calls") is False
        and "toolConfig" in body
        and "auto" in choice
        and traits.one_call
    )


def _effort(chat: ChatBody) -> str:
    effort = chat.reasoning.effort_within(chat.max_tokens or 0)
    effort = _STRONGER.get(effort, effort)
    return effort if effort in _EFFORTS else "medium"


def _thin_out(config: dict[str, Any], extra: dict[str, Any], chat: ChatBody, traits: Traits) -> None:
    """Sampling as far as the model takes it beside what it was told of thinking."""
    thinks = extra.get("thinking", {}).get("type") in {"enabled", "adaptive"}
    high = extra.get("reasoningConfig", {}).get("maxReasoningEffort") == "high"
    if thinks or high or traits.sampling is Sampling.NONE:
        config.pop("temperature", None)
        config.pop("topP", None)
        return
    if traits.sampling is Sampling.ONE and "temperature" in config:
        config.pop("topP", None)
    top_k = integer_in(chat.fields, "top_k", 0, _LARGEST_TOP_K)
    if not top_k:
        return
    if traits.top_k is TopK.PLAIN:
        extra["top_k"] = top_k
    elif traits.top_k is TopK.NOVA:
        extra["inferenceConfig"] = {"topK": min(top_k, 128)}


def _set_cache_points(body: dict[str, Any], fields: Mapping[str, Any], traits: Traits) -> None:
    """As many as the model takes; one for the whole request stands at its end."""
    contents = [message["content"] for message in body["messages"]]
    point = cache_point(fields.get("cache_control"), traits)
    if point is not None and contents and body["messages"][-1]["role"] == "user":
        add_cache_point(contents[-1], point)
    limit_cache_points([body.get("toolConfig", {}).get("tools", []), body.get("system", []), *contents], traits.caches)
