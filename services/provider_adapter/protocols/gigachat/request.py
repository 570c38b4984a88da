"""The caller's chat request as GigaChat's.

Owns parameters: what is set, clamped, and left out by rule. Does not own messages (messages.py) or schemas (schemas.py).
Invariant: only fields of the format are sent; the output limit is the caller's.

Sources: the SDK's `LegacyChat` (the fields), LiteLLM's `gigachat/chat/transformation.py` (a temperature of 0 is said as a
`top_p` of 0; there is no word for «call any of these»; JSON by a schema is best asked for as the call of a function).
What the format has no word for, and the caller insists on, the system is told in words.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.chat_body import ChatBody, number_in, read_chat_body, write_body
from services.provider_adapter.protocols.conversation import read_conversation
from services.provider_adapter.protocols.gigachat.messages import messages_of
from services.provider_adapter.protocols.plain_schemas import function_schema
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/chat/completions"
ANSWER_FUNCTION = "answer_as_json"

_AS_JSON = "Answer with a JSON object and nothing else."
_BY_CALL = "Call one of the functions; do not answer in any other way."
# The second generation and what came before does not think before it speaks.
_UNTHINKING = re.compile(r"GigaChat(?:-2)?(?:-(?:Lite|Plus|Pro|Max|preview))*(?::.*)?", re.IGNORECASE)
_EFFORTS: Mapping[str, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    chat = read_chat_body(attempt)
    schema, instruction = _answer_format(chat.fields)
    body: dict[str, Any] = {"model": attempt.provider_model_id, "messages": []}
    if attempt.stream:
        body["stream"] = True
    if chat.max_tokens is not None:
        body["max_tokens"] = chat.max_tokens
    answer_function = _set_functions(body, chat.fields, schema)
    if chat.fields.get("tool_choice") == "required" and body.get("function_call") == "auto":
        instruction = _BY_CALL
    body["messages"] = messages_of(read_conversation(chat.fields.get("messages")), instruction)
    _set_sampling(body, chat)
    return Prepared(PATH, write_body(body), chat.hide_reasoning, answer_function, tools=chat.tools)


def _answer_format(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The schema of the answer, or else what the system is to say about it."""
    given = fields.get("response_format")
    if not isinstance(given, dict):
        return None, ""
    described = given.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    match given.get("type"):
        case "json_schema" if isinstance(schema, dict):
            return schema, ""
        case "json_schema" | "json_object":
            return None, _AS_JSON
        case _:
            return None, ""


def _set_functions(body: dict[str, Any], fields: Mapping[str, Any], schema: Mapping[str, Any] | None) -> str:
    """The tools, and among them one that takes the answer where that shall fit a schema; its name, if there is one."""
    given = fields.get("tools")
    tools = given if isinstance(given, list) else []
    declared = [tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]
    functions = [_function(one) for one in declared if isinstance(one.get("name"), str)]
    choice = _choice(fields.get("tool_choice"), functions)
    answers = schema is not None and not isinstance(choice, dict)
    if answers:
        # Told not to call, or with nothing to call, the model can only answer.
        choice = {"name": ANSWER_FUNCTION} if choice == "none" or not functions else "auto"
        functions.append(_answer_function(schema))
    if functions:
        body["functions"] = functions
        body["function_call"] = choice
    return ANSWER_FUNCTION if answers else ""


def _choice(choice: Any, functions: list[dict[str, Any]]) -> str | dict[str, Any]:
    match choice:
        case "none":
            return "none"
        case {"function": {"name": str(name)}}:
            return {"name": name}
        case "required" if len(functions) == 1:
            return {"name": functions[0]["name"]}
        case _:
            return "auto"


def _function(declared: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": declared["name"]}
    if isinstance(declared.get("description"), str) and declared["description"]:
        made["description"] = declared["description"]
    made["parameters"] = function_schema(declared.get("parameters"))
    return made


def _answer_function(schema: Any) -> dict[str, Any]:
    description = "Gives the answer to the user, as JSON. Call this to answer, in the stead of text."
    return {"name": ANSWER_FUNCTION, "description": description, "parameters": function_schema(schema)}


def _set_sampling(body: dict[str, Any], chat: ChatBody) -> None:
    temperature = number_in(chat.fields, "temperature", 0, 2)
    values: dict[str, Any] = {
        "temperature": temperature or None,
        "top_p": 0 if temperature == 0 else number_in(chat.fields, "top_p", 0, 1),
        "repetition_penalty": number_in(chat.fields, "repetition_penalty", 0, 2) or None,
    }
    if chat.reasoning.wanted and not _UNTHINKING.fullmatch(body["model"]):
        limit = chat.max_tokens or 0
        values["reasoning_effort"] = _EFFORTS.get(chat.reasoning.effort_within(limit), "medium")
    body.update({name: value for name, value in values.items() if value is not None})
