"""The caller's chat request as Cohere's.

Owns parameters: what is set, clamped, and left out by rule. Does not own messages (messages.py) or what models can do
(models.py). Invariant: only fields of the format are sent, and no two that exclude one another; the output limit never
exceeds the caller's.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.chat_body import (
    ChatBody,
    integer_in,
    number_in,
    read_chat_body,
    stops_in,
    write_body,
)
from services.provider_adapter.protocols.cohere.messages import Item, words_of
from services.provider_adapter.protocols.cohere.models import Traits, traits_of
from services.provider_adapter.protocols.cohere.schemas import answer_schema, requires_something
from services.provider_adapter.protocols.conversation import read_conversation
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/chat"
ANSWER_TOOL = "answer_as_json"

_MOST_STOPS = 5
_LARGEST_SEED = (1 << 63) - 1
_MOST_FIELDS = 200
_MODES = frozenset({"CONTEXTUAL", "STRICT", "OFF"})
_CITATIONS = frozenset({"ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF"})
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    chat = read_chat_body(attempt)
    traits = traits_of(attempt.provider_model_id)
    wanted = _answer_format(chat.fields)
    # Documents beside tools or a schema are refused: a file's text then stands in the message.
    cites = wanted is None and not chat.fields.get("tools")
    words = words_of(read_conversation(chat.fields.get("messages")), thinks=traits.thinks, cites=cites)
    body: dict[str, Any] = {"model": attempt.provider_model_id, "messages": words.messages}
    if attempt.stream:
        body["stream"] = True
    if chat.max_tokens is not None:
        body["max_tokens"] = chat.max_tokens
    answer_tool = _set_tools(body, chat.fields, traits, wanted)
    documents = [*words.documents, *(_documents(chat.fields) if wanted is None else ())]
    if documents:
        body["documents"] = documents
    if wanted is not None and "tools" not in body:
        body["response_format"] = wanted
    _set_thinking(body, chat, traits)
    _set_sampling(body, chat.fields)
    _set_own(body, chat.fields)
    return Prepared(PATH, write_body(body), chat.hide_reasoning, answer_tool, tools=chat.tools)


def _answer_format(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Structured output in this format's words; None where plain text will do."""
    given = fields.get("response_format")
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in {"json_object", "json_schema"}:
        return None
    assert isinstance(given, dict)
    described = given.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    narrowed = answer_schema(schema) if isinstance(schema, dict) and kind == "json_schema" else None
    return {"type": "json_object"} if narrowed is None else {"type": "json_object", "json_schema": narrowed}


def _set_tools(
    body: dict[str, Any], fields: Mapping[str, Any], traits: Traits, wanted: Mapping[str, Any] | None
) -> str:
    """The tools, among them one that takes the answer where it shall be JSON: the format has no other way to both."""
    given = fields.get("tools")
    declared = [tool["function"] for tool in given if _is_function(tool)] if isinstance(given, list) else []
    choice = fields.get("tool_choice")
    if not declared or (choice == "none" and wanted is not None):
        return ""
    tools = [_tool(function) for function in declared]
    match choice:
        case "required":
            body["tool_choice"] = "REQUIRED"
        case "none":
            body["tool_choice"] = "NONE"
        case {"function": {"name": str(name)}}:
            body["tool_choice"] = "REQUIRED"
            tools = [tool for tool in tools if tool["function"]["name"] == name] or tools
    body["tools"] = tools
    if wanted is not None and "tool_choice" not in body:
        body["tool_choice"] = "REQUIRED"
        tools.append(_answer_tool(wanted.get("json_schema") or _NO_PARAMETERS))
        return ANSWER_TOOL
    if traits.strict_tools and all(function.get("strict") is True for function in declared) and _may_be_strict(tools):
        body["strict_tools"] = True
    return ""


def _is_function(tool: Any) -> bool:
    return (
        isinstance(tool, dict) and tool.get("type", "function") == "function" and isinstance(tool.get("function"), dict)
    )


def _tool(function: Mapping[str, Any]) -> Item:
    made: Item = {"name": function.get("name")}
    if isinstance(function.get("description"), str) and function["description"]:
        made["description"] = function["description"]
    parameters = function.get("parameters")
    made["parameters"] = parameters if isinstance(parameters, dict) and parameters else dict(_NO_PARAMETERS)
    return {"type": "function", "function": made}


def _answer_tool(schema: Mapping[str, Any]) -> Item:
    description = "Gives the answer to the user, as JSON. Call this to answer, in the stead of text."
    return {"type": "function", "function": {"name": ANSWER_TOOL, "description": description, "parameters": schema}}


def _may_be_strict(tools: list[Item]) -> bool:
    schemas = [tool["function"]["parameters"] for tool in tools]
    fields = sum(len(schema.get("properties") or ()) for schema in schemas)
    return fields <= _MOST_FIELDS and all(requires_something(schema) for schema in schemas)


def _documents(fields: Mapping[str, Any]) -> list[Any]:
    """Documents that the caller gives in this format's own field."""
    given = fields.get("documents")
    documents: list[Any] = []
    for document in given if isinstance(given, list) else ():
        if isinstance(document, str) and document:
            documents.append(document)
        elif isinstance(document, dict) and isinstance(document.get("data"), dict):
            known = {"data": document["data"]}
            if isinstance(document.get("id"), str):
                known["id"] = document["id"]
            documents.append(known)
    return documents


def _set_thinking(body: dict[str, Any], chat: ChatBody, traits: Traits) -> None:
    reasoning = chat.reasoning
    if not traits.thinks or reasoning.wanted is None:
        return
    if not reasoning.wanted:
        body["thinking"] = {"type": "disabled"}
        return
    limit = chat.max_tokens if chat.max_tokens is not None else traits.output_limit
    budget_tokens = min(reasoning.budget(limit), limit - 1)
    body["thinking"] = {"type": "enabled", "token_budget": max(budget_tokens, 1)}


def _set_sampling(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    values: dict[str, Any] = {
        "temperature": number_in(fields, "temperature", 0, 1),
        "p": number_in(fields, "top_p", 0.01, 0.99),
        "k": integer_in(fields, "top_k", 0, 500),
        "seed": integer_in(fields, "seed", -1, _LARGEST_SEED),
        "frequency_penalty": number_in(fields, "frequency_penalty", 0, 1) or None,
        "presence_penalty": number_in(fields, "presence_penalty", 0, 1) or None,
        "stop_sequences": stops_in(fields, _MOST_STOPS) or None,
    }
    if values["seed"] == -1:
        values["seed"] = None
    if values["frequency_penalty"] is not None:
        # Models take one of the two.
        values["presence_penalty"] = None
    body.update({name: value for name, value in values.items() if value is not None})
    if fields.get("logprobs") is True:
        body["logprobs"] = True


def _set_own(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Fields that are this format's alone; callers name them as the provider does."""
    mode = fields.get("safety_mode")
    if isinstance(mode, str) and mode in _MODES and not {"tools", "documents"} & body.keys():
        body["safety_mode"] = mode
    options = fields.get("citation_options")
    citations = options.get("mode") if isinstance(options, dict) else None
    if isinstance(citations, str) and citations.upper() in _CITATIONS:
        body["citation_options"] = {"mode": citations.upper()}
