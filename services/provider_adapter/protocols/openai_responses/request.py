"""The caller's chat request as a Responses request.

Owns parameters: what is set, moved and left out by rule. Does not own items (items.py) or what models can do
(openai_models.py). Invariant: only fields of the format are sent; nothing is stored at the provider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.provider_adapter.protocols.chat_body import (
    ChatBody,
    cannot_carry,
    integer_in,
    number_in,
    read_chat_body,
    write_body,
)
from services.provider_adapter.protocols.openai_models import Traits, traits_of
from services.provider_adapter.protocols.openai_responses.items import items_of
from services.provider_adapter.protocols.openai_responses.schemas import can_be_strict
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/responses"

_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_AS_THEY_ARE = ("prompt_cache_key", "prompt_cache_retention", "safety_identifier")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One host's deviations.

    Attributes:
        instructs: whether instructions stand apart from the items.
        stores: whether the host knows `store` and `include`.
        doors: beginnings of the path for some models; the empty name is every other's.
    """

    instructs: bool = True
    stores: bool = True
    doors: Mapping[str, str] = field(default_factory=dict)

    def path(self, model: str) -> str:
        start = next((door for name, door in self.doors.items() if model.startswith(name)), "")
        return start + PATH


_PLAIN = Dialect()
DIALECTS: Mapping[str, Dialect] = {
    "xai": Dialect(instructs=False),
    "perplexity": Dialect(stores=False),
    # Bedrock's own door for OpenAI's formats has two addresses.
    "bedrock": Dialect(doors={"openai.gpt-5": "/openai/v1", "": "/v1"}),
}


def prepare(attempt: Attempt, dialect_name: str) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    dialect = DIALECTS.get(dialect_name, _PLAIN)
    chat = read_chat_body(attempt)
    fields = chat.fields
    modalities = fields.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise cannot_carry("sound in its answer")
    traits = traits_of(attempt.provider_model_id)
    body: dict[str, Any] = {"model": attempt.provider_model_id, **_words(fields, dialect, traits)}
    if chat.max_tokens is not None:
        body["max_output_tokens"] = chat.max_tokens
    include = [_ENCRYPTED] if traits.may_reason else []
    if not _set_reasoning(body, chat, traits):
        _set_sampling(body, fields, include)
    _set_text(body, fields)
    _set_tools(body, fields, traits)
    for name in _AS_THEY_ARE:
        if isinstance(fields.get(name), str):
            body[name] = fields[name]
    if attempt.user_hash:
        body["user"] = attempt.user_hash
    _set_tier(body, attempt.service_tier or fields.get("service_tier"))
    if dialect.stores:
        body["store"] = False
        if include:
            body["include"] = include
    body["stream"] = attempt.stream
    return Prepared(dialect.path(attempt.provider_model_id), write_body(body), chat.hide_reasoning, tools=chat.tools)


def _words(fields: Mapping[str, Any], dialect: Dialect, traits: Traits) -> dict[str, Any]:
    instructions, items = items_of(
        fields.get("messages"), instructs=dialect.instructs, takes_system=traits.takes_system
    )
    return {"instructions": instructions, "input": items} if instructions else {"input": items}


def _set_reasoning(body: dict[str, Any], chat: ChatBody, traits: Traits) -> bool:
    """Says how hard to think; tells whether the model will."""
    asked = None
    if chat.reasoning.wanted is False:
        asked = "none"
    elif chat.reasoning.wanted:
        asked = chat.reasoning.effort_within(chat.max_tokens or 0)
    effort = traits.effort(asked) if asked else None
    reasoning: dict[str, Any] = {"effort": effort} if effort else {}
    told = chat.fields.get("reasoning")
    summary = told.get("summary") if isinstance(told, dict) else None
    if isinstance(summary, str):
        reasoning["summary"] = summary
    elif chat.reasoning.wanted and effort != "none" and not chat.hide_reasoning:
        reasoning["summary"] = "auto"
    if reasoning and traits.may_reason:
        body["reasoning"] = reasoning
    return traits.thinks_at(effort)


def _set_sampling(body: dict[str, Any], fields: Mapping[str, Any], include: list[str]) -> None:
    temperature = number_in(fields, "temperature", 0, 2)
    top_p = number_in(fields, "top_p", 0, 1)
    if temperature is not None:
        body["temperature"] = temperature
    if top_p is not None:
        body["top_p"] = top_p
    if fields.get("logprobs") is True:
        include.append(_LOGPROBS)
        top = integer_in(fields, "top_logprobs", 0, 20)
        if top:
            body["top_logprobs"] = top


def _set_text(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    text: dict[str, Any] = {}
    wanted = fields.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_object":
        text["format"] = {"type": "json_object"}
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if kind == "json_schema" and isinstance(described, dict):
        schema = described.get("schema")
        text["format"] = {
            "type": "json_schema",
            "name": described.get("name") or "answer",
            "schema": schema if isinstance(schema, dict) else {"type": "object"},
            "strict": described.get("strict") is True and can_be_strict(schema),
        }
        if isinstance(described.get("description"), str):
            text["format"]["description"] = described["description"]
    if isinstance(fields.get("verbosity"), str):
        text["verbosity"] = fields["verbosity"]
    if text:
        body["text"] = text


def _set_tools(body: dict[str, Any], fields: Mapping[str, Any], traits: Traits) -> None:
    given = fields.get("tools")
    tools = [tool for tool in map(_tool, given) if tool is not None] if isinstance(given, list) else []
    if not tools:
        return
    body["tools"] = tools
    choice = _tool_choice(fields.get("tool_choice"))
    if choice is not None:
        body["tool_choice"] = choice
    if isinstance(fields.get("parallel_tool_calls"), bool) and traits.takes_parallel:
        body["parallel_tool_calls"] = fields["parallel_tool_calls"]


def _tool(tool: Any) -> dict[str, Any] | None:
    """A tool without the nesting of chat; one that is not strict has to say so here."""
    if not isinstance(tool, dict):
        return None
    custom = tool.get("custom")
    if tool.get("type") == "custom" and isinstance(custom, dict):
        return _custom_tool(custom)
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict):
        return None
    parameters = function.get("parameters")
    made: dict[str, Any] = {"type": "function", "name": function.get("name")}
    if isinstance(function.get("description"), str):
        made["description"] = function["description"]
    made["parameters"] = parameters if isinstance(parameters, dict) else {"type": "object", "properties": {}}
    made["strict"] = function.get("strict") is True and can_be_strict(parameters)
    return made


def _custom_tool(custom: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "custom", "name": custom.get("name")}
    if isinstance(custom.get("description"), str):
        made["description"] = custom["description"]
    wanted = custom.get("format")
    if isinstance(wanted, dict):
        grammar = wanted.get("grammar")
        made["format"] = {"type": "grammar", **grammar} if isinstance(grammar, dict) else wanted
    return made


def _tool_choice(choice: Any) -> Any:
    match choice:
        case "auto" | "none" | "required":
            return choice
        case {"function": {"name": str(name)}}:
            return {"type": "function", "name": name}
        case {"custom": {"name": str(name)}}:
            return {"type": "custom", "name": name}
        case {"allowed_tools": {"mode": str(mode), "tools": list(tools)}}:
            chosen = [made for made in map(_tool_choice, tools) if made is not None]
            return {"type": "allowed_tools", "mode": mode, "tools": chosen}
        case _:
            return None


def _set_tier(body: dict[str, Any], tier: Any) -> None:
    if isinstance(tier, str) and tier:
        body["service_tier"] = "priority" if tier == "fast" else tier
