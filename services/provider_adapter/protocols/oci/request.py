"""The caller's chat request as Oracle's.

Owns the envelope and parameters: what is set, clamped, and left out by rule. Does not own messages (messages.py) or which
kind of chat a model is asked in (forms.py). Invariant: a request names the operator's compartment and one model, served
on demand; only fields of its kind are sent; the output limit is the caller's.

Sources: Oracle's SDK (`GenericChatRequest`, `CohereChatRequestV2`, `CohereChatRequest`: the fields), LiteLLM's `oci/chat`
(OpenAI's thinkers have a `maxCompletionTokens`; parameters of the first kind's tools by names and types of Python),
OpenCode's provider for OCI (`streamOptions`; results beside a message want `isForceSingleStep`; Gemini is not told how hard
to think).
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.chat_body import (
    ChatBody,
    cannot_carry,
    integer_in,
    number_in,
    read_chat_body,
    stops_in,
    write_body,
)
from services.provider_adapter.protocols.conversation import read_conversation
from services.provider_adapter.protocols.oci.forms import Form, form_of
from services.provider_adapter.protocols.oci.messages import messages_of, turns_of
from services.provider_adapter.protocols.openai_models import Traits, traits_of
from services.provider_adapter.protocols.plain_schemas import function_schema
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/20231130/actions/chat"
ANSWER_TOOL = "answer_as_json"

_MOST_STOPS = 5
_LARGEST_SEED = (1 << 63) - 1
_SMALLEST_BUDGET = 1
_DEFAULT_LIMIT = 4_000
_EFFORTS = ("none", "minimal", "low", "medium", "high")
_PYTHON_TYPES: Mapping[str, str] = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}

Item = dict[str, Any]


def envelope(attempt: Attempt) -> Item:
    """What every request says first: whose it is, and which model is meant."""
    serving = {"servingType": "ON_DEMAND", "modelId": attempt.provider_model_id}
    return {**attempt.account, "servingMode": serving}


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    chat = read_chat_body(attempt)
    form = form_of(attempt.provider_model_id)
    asked: Item = {"apiFormat": form}
    answer_tool = ""
    match form:
        case Form.GENERIC:
            _write_generic(asked, chat, attempt.provider_model_id)
        case Form.COHERE_V2:
            answer_tool = _write_cohere(asked, chat, thinks="reasoning" in attempt.provider_model_id)
        case Form.COHERE:
            _write_first_cohere(asked, chat)
    if attempt.stream:
        asked["isStream"] = True
        asked["streamOptions"] = {"isIncludeUsage": True}
    body = {**envelope(attempt), "chatRequest": asked}
    return Prepared(PATH, write_body(body), chat.hide_reasoning, answer_tool, asked=form, tools=chat.tools)


def _write_generic(asked: Item, chat: ChatBody, model: str) -> None:
    fields, traits = chat.fields, traits_of(model)
    asked["messages"] = messages_of(read_conversation(fields.get("messages")), Form.GENERIC)
    effort = _effort(chat, traits) if not model.startswith("google.") else None
    if chat.max_tokens is not None:
        asked["maxCompletionTokens" if traits.reasons else "maxTokens"] = chat.max_tokens
    values: Item = {"reasoningEffort": effort.upper() if effort in _EFFORTS else None}
    values["seed"] = integer_in(fields, "seed", 0, _LARGEST_SEED)
    if not traits.thinks_at(effort):
        values |= {
            "temperature": number_in(fields, "temperature", 0, 2),
            "topP": number_in(fields, "top_p", 0, 1),
            "topK": integer_in(fields, "top_k", 1, 500) if not traits.is_known else None,
            "frequencyPenalty": number_in(fields, "frequency_penalty", -2, 2),
            "presencePenalty": number_in(fields, "presence_penalty", -2, 2),
            "stop": stops_in(fields, _MOST_STOPS) or None,
        }
    verbosity = fields.get("verbosity")
    if verbosity in {"low", "medium", "high"} and traits.is_known:
        values["verbosity"] = verbosity.upper()
    asked.update({name: value for name, value in values.items() if value is not None})
    functions = _functions(fields)
    if functions:
        asked["tools"] = [{"type": "FUNCTION", **function} for function in functions]
        choice = _generic_choice(fields.get("tool_choice"))
        if choice is not None:
            asked["toolChoice"] = choice
        if isinstance(fields.get("parallel_tool_calls"), bool) and traits.takes_parallel:
            asked["isParallelToolCalls"] = fields["parallel_tool_calls"]
    answer = _generic_answer(fields.get("response_format"))
    if answer is not None:
        asked["responseFormat"] = answer


def _write_cohere(asked: Item, chat: ChatBody, *, thinks: bool) -> str:
    """Cohere's second kind; the name of the tool that takes the answer, if there is one."""
    fields = chat.fields
    asked["messages"] = messages_of(read_conversation(fields.get("messages")), Form.COHERE_V2)
    _set_cohere_sampling(asked, chat)
    functions = _functions(fields)
    match fields.get("tool_choice"):
        case "none" | "required" as word:
            told = word.upper()
        case {"function": {"name": str(name)}}:
            functions = [one for one in functions if one["name"] == name] or functions
            told = "REQUIRED"
        case _:
            told = ""
    answer = _cohere_answer(fields)
    answers = bool(answer and functions and not told)
    if answer and functions and told == "NONE":
        functions = []
    if answers:
        # There is no other way to both.
        functions.append(_answer_tool(answer))
        told = "REQUIRED"
    if functions:
        asked["tools"] = [{"type": "FUNCTION", "function": function} for function in functions]
        if told:
            asked["toolsChoice"] = told
    elif answer:
        asked["responseFormat"] = answer
    _set_thinking(asked, chat, thinks=thinks)
    return ANSWER_TOOL if answers else ""


def _set_thinking(asked: Item, chat: ChatBody, *, thinks: bool) -> None:
    reasoning = chat.reasoning
    if not thinks or reasoning.wanted is None:
        return
    asked["thinking"] = {"type": "DISABLED"}
    if reasoning.wanted:
        limit = chat.max_tokens if chat.max_tokens is not None else _DEFAULT_LIMIT
        budget = max(min(reasoning.budget(limit), limit - 1), _SMALLEST_BUDGET)
        asked["thinking"] = {"type": "ENABLED", "tokenBudget": budget}


def _write_first_cohere(asked: Item, chat: ChatBody) -> None:
    fields = chat.fields
    turns = turns_of(read_conversation(fields.get("messages")))
    asked["message"] = turns.message
    if turns.history:
        asked["chatHistory"] = turns.history
    if turns.preamble:
        asked["preambleOverride"] = turns.preamble
    if turns.results:
        asked["toolResults"] = turns.results
        if turns.message:
            asked["isForceSingleStep"] = True
    _set_cohere_sampling(asked, chat)
    functions = _functions(fields)
    choice = fields.get("tool_choice")
    if functions and choice not in (None, "auto", "none"):
        raise cannot_carry("tools that must be called")
    if functions and choice != "none":
        asked["tools"] = [_first_tool(function) for function in functions]
    answer = _cohere_answer(fields)
    if answer and "tools" in asked:
        raise cannot_carry("answers as JSON beside tools")
    if answer:
        asked["responseFormat"] = answer


def _set_cohere_sampling(asked: Item, chat: ChatBody) -> None:
    fields = chat.fields
    values: Item = {
        "maxTokens": chat.max_tokens,
        "temperature": number_in(fields, "temperature", 0, 1),
        "topP": number_in(fields, "top_p", 0.01, 0.99),
        "topK": integer_in(fields, "top_k", 0, 500),
        "seed": integer_in(fields, "seed", 0, _LARGEST_SEED),
        "frequencyPenalty": number_in(fields, "frequency_penalty", 0, 1) or None,
        "presencePenalty": number_in(fields, "presence_penalty", 0, 1) or None,
        "stopSequences": stops_in(fields, _MOST_STOPS) or None,
    }
    if values["frequencyPenalty"] is not None:
        # Models take one of the two.
        values["presencePenalty"] = None
    asked.update({name: value for name, value in values.items() if value is not None})


def _cohere_answer(fields: Mapping[str, Any]) -> Item | None:
    kind, described = _answer_in(fields.get("response_format"))
    schema = described.get("schema")
    if not kind:
        return None
    return {"type": "JSON_OBJECT", **({"schema": schema} if isinstance(schema, dict) else {})}


def _answer_tool(answer: Item | None) -> Item:
    description = "Gives the answer to the user, as JSON. Call this to answer, in the stead of text."
    schema = answer.get("schema") if answer else None
    return {"name": ANSWER_TOOL, "description": description, "parameters": function_schema(schema)}


def _generic_answer(given: Any) -> Item | None:
    kind, described = _answer_in(given)
    schema = described.get("schema")
    if kind == "json_schema" and isinstance(schema, dict):
        name = described.get("name")
        made: Item = {"name": name if isinstance(name, str) and name else "answer", "schema": schema}
        if isinstance(described.get("description"), str) and described["description"]:
            made["description"] = described["description"]
        if isinstance(described.get("strict"), bool):
            made["isStrict"] = described["strict"]
        return {"type": "JSON_SCHEMA", "jsonSchema": made}
    return {"type": "JSON_OBJECT"} if kind else None


def _answer_in(given: Any) -> tuple[str, Mapping[str, Any]]:
    """The kind of JSON that the answer shall be, and what is said of it; empty where text will do."""
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in {"json_object", "json_schema"}:
        return "", {}
    described = given.get("json_schema")
    return kind, described if kind == "json_schema" and isinstance(described, dict) else {}


def _generic_choice(choice: Any) -> Item | None:
    match choice:
        case "auto" | "none" | "required":
            return {"type": choice.upper()}
        case {"function": {"name": str(name)}}:
            return {"type": "FUNCTION", "name": name}
        case _:
            return None


def _effort(chat: ChatBody, traits: Traits) -> str | None:
    if chat.reasoning.wanted is None or not traits.may_reason:
        return None
    if not chat.reasoning.wanted:
        return traits.effort("none") if traits.is_known else None
    return traits.effort(chat.reasoning.effort_within(chat.max_tokens or 0))


def _functions(fields: Mapping[str, Any]) -> list[Item]:
    given = fields.get("tools")
    tools = given if isinstance(given, list) else []
    declared = [tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]
    return [_function(one) for one in declared if isinstance(one.get("name"), str)]


def _function(declared: Mapping[str, Any]) -> Item:
    description = declared.get("description")
    return {
        "name": declared["name"],
        "description": description if isinstance(description, str) else "",
        "parameters": function_schema(declared.get("parameters")),
    }


def _first_tool(function: Item) -> Item:
    """A tool in Cohere's first kind of chat, whose parameters have a type each and nothing below that."""
    schema = function["parameters"]
    required = schema.get("required", ())
    definitions = {
        name: {
            "type": _PYTHON_TYPES.get(inner.get("type", ""), "str"),
            "description": _told(inner),
            "isRequired": name in required,
        }
        for name, inner in schema["properties"].items()
    }
    made: Item = {"name": function["name"], "description": function["description"] or function["name"]}
    if definitions:
        made["parameterDefinitions"] = definitions
    return made


def _told(schema: Mapping[str, Any]) -> str:
    """The description, and in words what has no field."""
    said = schema.get("description")
    words = [said] if isinstance(said, str) and said else []
    if "enum" in schema:
        words.append(f"One of {write_body(schema['enum']).decode()}.")
    if "properties" in schema or "items" in schema:
        words.append(f"As this JSON schema says: {write_body(schema).decode()}")
    return " ".join(words)
