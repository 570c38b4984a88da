"""The caller's chat request as Gemini's generateContent.

Owns parameters: what is set, clamped, and left out by rule. Does not own contents (contents.py), schemas (schemas.py)
or what models can do (models.py). Invariant: only fields of the format are sent; the output limit never exceeds the
caller's.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from services.provider_adapter.protocols.chat_body import (
    ChatBody,
    integer_in,
    number_in,
    read_chat_body,
    stops_in,
    write_body,
)
from services.provider_adapter.protocols.conversation import read_conversation
from services.provider_adapter.protocols.gemini.contents import GEMINI_API, Door, content_list, system_parts
from services.provider_adapter.protocols.gemini.models import Thinking, Traits, nearest_level, traits_of
from services.provider_adapter.protocols.gemini.schemas import openapi_schema
from services.provider_adapter.protocols.port import Attempt, Prepared

ANSWER_TOOL = "json"

_MOST_STOPS = 5
_MOST_CHOICES = 8
_INT32 = (1 << 31) - 1
_ALMOST_TWO = 1.99
_JSON = "application/json"
_TIERS = frozenset({"flex", "priority"})
_OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"}
)
_ANY_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}


def prepare(attempt: Attempt, door: Door = GEMINI_API) -> Prepared:
    """The request for one attempt at one door.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry.
    """
    chat = read_chat_body(attempt)
    traits = traits_of(attempt.provider_model_id)
    conversation = read_conversation(chat.fields.get("messages"))
    body: dict[str, Any] = {"contents": content_list(conversation, door, signs_calls=traits.signs_calls)}
    _set_system(body, system_parts(conversation), traits)
    declarations = _declarations(chat.fields)
    answer_tool = "" if traits.json_with_tools or not declarations else _answer_tool(chat.fields, declarations)
    if declarations:
        body["tools"] = [{"functionDeclarations": declarations}]
        calling = {"mode": "ANY"} if answer_tool else _calling(chat.fields)
        if calling:
            body["toolConfig"] = {"functionCallingConfig": calling}
    config = _generation_config(chat, traits)
    if not answer_tool:
        _set_answer_format(config, chat.fields)
    if config:
        body["generationConfig"] = config
    if attempt.service_tier in _TIERS:
        body["serviceTier"] = attempt.service_tier
    return Prepared(door.path + _path(attempt), write_body(body), chat.hide_reasoning, answer_tool, tools=chat.tools)


def _path(attempt: Attempt) -> str:
    model = quote(attempt.provider_model_id.removeprefix("models/"), safe="-._~")
    method = "streamGenerateContent?alt=sse" if attempt.stream else "generateContent"
    return f"/models/{model}:{method}"


def _set_system(body: dict[str, Any], parts: list[dict[str, Any]], traits: Traits) -> None:
    if not parts:
        return
    contents = body["contents"]
    if traits.system and contents:
        body["systemInstruction"] = {"parts": parts}
    elif contents and contents[0]["role"] == "user":
        contents[0]["parts"][:0] = parts
    else:
        contents.insert(0, {"role": "user", "parts": parts})


def _declarations(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    tools = fields.get("tools")
    functions = [
        tool["function"]
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict)
        and tool.get("type", "function") == "function"
        and isinstance(tool.get("function"), dict)
    ]
    return [_declaration(function) for function in functions]


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": function.get("name")}
    if isinstance(function.get("description"), str):
        made["description"] = function["description"]
    parameters = function.get("parameters")
    if isinstance(parameters, dict):
        converted = openapi_schema({"type": "object", **parameters})
        if converted is None:
            made["parametersJsonSchema"] = parameters
        elif converted.get("properties") or converted.get("anyOf"):
            # An object without properties is refused; a function without parameters leaves them out.
            made["parameters"] = converted
    return made


def _calling(fields: Mapping[str, Any]) -> dict[str, Any]:
    match fields.get("tool_choice"):
        case "auto":
            return {"mode": "AUTO"}
        case "required":
            return {"mode": "ANY"}
        case "none":
            return {"mode": "NONE"}
        case {"function": {"name": str(name)}}:
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case _:
            return {}


def _answer_tool(fields: Mapping[str, Any], declarations: list[dict[str, Any]]) -> str:
    """Structured output beside tools, for models that refuse both together: the answer is a call, too."""
    schema = _wanted_schema(fields)
    if schema is None or isinstance(fields.get("tool_choice"), dict):
        return ""
    if fields.get("tool_choice") == "none":
        declarations.clear()
        return ""
    description = "Gives the answer to the user, as JSON. Always answer by calling this."
    declarations.append(
        {"description": description, **_declaration({"name": ANSWER_TOOL, "parameters": schema or _ANY_OBJECT})}
    )
    return ANSWER_TOOL


def _wanted_schema(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of structured output; empty: any JSON; None: text."""
    wanted = fields.get("response_format")
    match wanted:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_schema" | "json_object"}:
            return {}
        case _:
            return None


def _set_answer_format(config: dict[str, Any], fields: Mapping[str, Any]) -> None:
    schema = _wanted_schema(fields)
    if schema is None:
        return
    config["responseMimeType"] = _JSON
    if schema:
        converted = openapi_schema(schema)
        if converted is None:
            config["responseJsonSchema"] = schema
        else:
            config["responseSchema"] = converted


def _generation_config(chat: ChatBody, traits: Traits) -> dict[str, Any]:
    fields = chat.fields
    limit = None if chat.max_tokens is None else min(chat.max_tokens, traits.output_limit)
    choices = integer_in(fields, "n", 1, _MOST_CHOICES)
    config = {
        "maxOutputTokens": limit,
        "temperature": number_in(fields, "temperature", 0, 2),
        "topP": number_in(fields, "top_p", 0, 1),
        "topK": integer_in(fields, "top_k", 0, _INT32) or None,
        "seed": integer_in(fields, "seed", -_INT32, _INT32),
        "presencePenalty": number_in(fields, "presence_penalty", -2, _ALMOST_TWO),
        "frequencyPenalty": number_in(fields, "frequency_penalty", -2, _ALMOST_TWO),
        "stopSequences": stops_in(fields, _MOST_STOPS) or None,
        "candidateCount": choices if choices != 1 else None,
        "responseModalities": _modalities(fields),
        "imageConfig": _image_config(fields),
        "speechConfig": _speech_config(fields),
        "thinkingConfig": _thinking_config(chat, limit or traits.output_limit, traits),
    }
    if fields.get("logprobs") is True:
        config["responseLogprobs"] = True
        config["logprobs"] = integer_in(fields, "top_logprobs", 0, 20) or None
    return {name: value for name, value in config.items() if value is not None}


def _modalities(fields: Mapping[str, Any]) -> list[str] | None:
    wanted = fields.get("modalities")
    if not isinstance(wanted, list):
        return None
    named = [name.upper() for name in wanted if name in {"text", "image", "audio"}]
    return named if named and named != ["TEXT"] else None


def _image_config(fields: Mapping[str, Any]) -> dict[str, str] | None:
    given = fields.get("image_config")
    if not isinstance(given, dict):
        return None
    names = (("aspect_ratio", "aspectRatio"), ("image_size", "imageSize"))
    config = {new_name: given[name] for name, new_name in names if isinstance(given.get(name), str)}
    return config or None


def _speech_config(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The voice, where sound is wanted; OpenAI's voices are no names here."""
    audio = fields.get("audio")
    voice = audio.get("voice") if isinstance(audio, dict) else None
    if "AUDIO" not in (_modalities(fields) or ()) or not isinstance(voice, str) or voice in _OPENAI_VOICES:
        return None
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}


def _thinking_config(chat: ChatBody, limit: int, traits: Traits) -> dict[str, Any] | None:
    reasoning = chat.reasoning
    if traits.thinking is Thinking.NONE or not _mentions_reasoning(chat.fields):
        return None
    shown = {"includeThoughts": not chat.hide_reasoning}
    if reasoning.wanted is None:
        return shown
    if traits.thinking is Thinking.LEVEL:
        effort = reasoning.effort_within(limit) if reasoning.wanted else "minimal"
        return {**shown, "thinkingLevel": nearest_level(effort, traits.levels)}
    if not reasoning.wanted:
        return {"thinkingBudget": 0} if traits.off else {**shown, "thinkingBudget": traits.least_budget}
    budget_tokens = min(max(reasoning.budget(limit), traits.least_budget), traits.most_budget)
    return {**shown, "thinkingBudget": budget_tokens}


def _mentions_reasoning(fields: Mapping[str, Any]) -> bool:
    return any(name in fields for name in ("reasoning", "reasoning_effort", "include_reasoning"))
