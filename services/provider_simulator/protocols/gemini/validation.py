"""Checks a generateContent request field by field, and then what its parts ask of one another.

Owns what Gemini refuses. Does not read the request (content_format.py). Invariant: unknown and ill-typed fields are
refused, as the real API does; what passes here can be counted and answered.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.gemini.signatures import SKIPS, signature_of_call, signature_of_text
from services.provider_simulator.protocols.strict import (
    Check,
    InvalidError,
    Path,
    Problem,
    anything,
    base64_text,
    boolean,
    bracketed,
    fields,
    filled,
    integer,
    items,
    mapping,
    number,
    one_of,
    text,
    wrong,
)

_CONTENTS = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT")
_FORMATS: Mapping[str, tuple[str, ...]] = {
    "STRING": ("date-time", "enum"),
    "INTEGER": ("int32", "int64"),
    "NUMBER": ("float", "double"),
}


def _bytes(where: Path, value: Any) -> None:
    text(where, value)
    base64_text(where, _plain_base64(value))


_BLOB = fields({"mimeType": filled, "data": _bytes, "displayName": text}, ["mimeType", "data"])
_FILE = fields({"mimeType": filled, "fileUri": filled, "displayName": text}, ["fileUri"])
_CALL = fields({"id": filled, "name": filled, "args": mapping}, ["name"])
_RESPONSE = fields({"id": filled, "name": filled, "response": mapping, "parts": anything}, ["name", "response"])
_PART_FIELDS = fields(
    {
        "text": text,
        "inlineData": _BLOB,
        "fileData": _FILE,
        "functionCall": _CALL,
        "functionResponse": _RESPONSE,
        "thought": boolean,
        "thoughtSignature": filled,
        "videoMetadata": mapping,
    }
)


def _part(where: Path, value: Any) -> None:
    _PART_FIELDS(where, value)
    if sum(name in value for name in _CONTENTS) != 1:
        raise wrong((*where, "data"), "required oneof field 'data' must have one initialized field")


_PARTS = items(_part, least=1)
_CONTENT = fields({"role": one_of("user", "model"), "parts": _PARTS}, ["parts"])


def _schema(where: Path, value: Any) -> None:
    """The OpenAPI subset, by hand: it refers to itself."""
    mapping(where, value)
    for name in value:
        if name not in _SCHEMA_FIELDS:
            raise InvalidError((*where, name), Problem.UNKNOWN, "Cannot find field.")
        _SCHEMA_FIELDS[name]((*where, name), value[name])
    kind = value.get("type")
    properties = value.get("properties", {})
    if kind == "OBJECT" and "properties" in value and not properties:
        raise wrong((*where, "properties"), "should be non-empty for OBJECT type")
    if any(name not in properties for name in value.get("required", ())):
        raise wrong((*where, "required"), "property is not defined")
    if "enum" in value and kind != "STRING":
        raise wrong((*where, "enum"), "only allowed for STRING type")
    if kind == "ARRAY" and "items" not in value:
        raise wrong((*where, "items"), "missing field.")
    if "format" in value and value["format"] not in _FORMATS.get(kind or "", ()):
        raise wrong((*where, "format"), "only 'enum' and 'date-time' are supported for STRING type")


def _schemas(where: Path, value: Any) -> None:
    mapping(where, value)
    for name, inner in value.items():
        _schema((*where, name), inner)


_COUNT = integer(0, 2**53)
_SCHEMA_FIELDS: Mapping[str, Check] = {
    "type": one_of(*_TYPES),
    "format": text,
    "title": text,
    "description": text,
    "nullable": boolean,
    "default": anything,
    "example": anything,
    "enum": items(text, least=1),
    "items": _schema,
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "minProperties": _COUNT,
    "maxProperties": _COUNT,
    "minimum": number(-(2**53), 2**53),
    "maximum": number(-(2**53), 2**53),
    "pattern": text,
    "properties": _schemas,
    "required": items(text),
    "anyOf": items(_schema, least=1),
    "propertyOrdering": items(text),
}
_DECLARATION = fields(
    {
        "name": filled,
        "description": text,
        "parameters": _schema,
        "parametersJsonSchema": mapping,
        "response": mapping,
        "responseJsonSchema": mapping,
    },
    ["name"],
)
_TOOL = fields(
    {"functionDeclarations": items(_DECLARATION, least=1), "googleSearch": mapping, "codeExecution": mapping}
)
_CALLING = fields(
    {"mode": one_of("AUTO", "ANY", "NONE", "VALIDATED"), "allowedFunctionNames": items(filled, least=1)}, ["mode"]
)
_THINKING = fields(
    {
        "includeThoughts": boolean,
        "thinkingBudget": integer(-1, 32_768),
        "thinkingLevel": one_of("minimal", "low", "medium", "high", "MINIMAL", "LOW", "MEDIUM", "HIGH"),
    }
)
_CONFIG = fields(
    {
        "maxOutputTokens": integer(1, 65_536),
        "temperature": number(0, 2),
        "topP": number(0, 1),
        "topK": number(1, 2**31),
        "seed": integer(-(2**31), 2**31 - 1),
        "presencePenalty": number(-2, 1.9999),
        "frequencyPenalty": number(-2, 1.9999),
        "stopSequences": items(filled, most=5),
        "candidateCount": integer(1, 1),
        "responseMimeType": one_of("text/plain", "application/json", "text/x.enum"),
        "responseSchema": _schema,
        "responseJsonSchema": mapping,
        "responseModalities": items(one_of("TEXT", "IMAGE", "AUDIO"), least=1),
        "imageConfig": fields({"aspectRatio": text, "imageSize": text}),
        "responseLogprobs": boolean,
        "logprobs": integer(0, 20),
        "thinkingConfig": _THINKING,
    }
)
_REQUEST = fields(
    {
        "contents": items(_CONTENT, least=1),
        "systemInstruction": fields({"role": text, "parts": _PARTS}, ["parts"]),
        "tools": items(_TOOL),
        "toolConfig": fields({"functionCallingConfig": _CALLING}),
        "generationConfig": _CONFIG,
        "safetySettings": items(fields({"category": filled, "threshold": filled}, ["category", "threshold"])),
        "cachedContent": filled,
        "serviceTier": text,
    },
    ["contents"],
)


def check_request(body: Any, model: str) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _REQUEST((), body)
    newest = not model.startswith(("gemini-1", "gemini-2"))
    _check_turns(body["contents"], signed=newest)
    _check_calling(body)
    config = body.get("generationConfig", {})
    _check_thinking(config.get("thinkingConfig", {}), model, newest=newest)
    if config.get("responseMimeType") == "application/json" and body.get("tools") and not newest:
        raise wrong((), "Function calling with a response mime type: 'application/json' is unsupported")
    if ("responseSchema" in config or "responseJsonSchema" in config) and "responseMimeType" not in config:
        raise wrong((), "responseSchema needs a responseMimeType of application/json")
    if "logprobs" in config and not config.get("responseLogprobs"):
        raise wrong((), "Logprobs requires responseLogprobs to be true")


def refusal_words(error: InvalidError) -> str:
    """Google's wording: the place, then the trouble."""
    place = bracketed(error.where)
    if error.problem is Problem.UNKNOWN:
        parent, _, name = place.rpartition(".")
        at = f" at '{parent}'" if parent else ""
        return f'Invalid JSON payload received. Unknown name "{name or place}"{at}: Cannot find field.'
    return f"* GenerateContentRequest.{place}: {error.words}" if place else error.words


def _check_turns(contents: list[Mapping[str, Any]], *, signed: bool) -> None:
    waiting: list[str] = []
    for place, content in enumerate(contents):
        where: Path = ("contents", place)
        model = content.get("role") == "model"
        calls = [part for part in content["parts"] if "functionCall" in part]
        answers = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        if (calls and not model) or (answers and model):
            raise wrong(where, "function calls are the model's, function responses the user's")
        if sorted(answers) != sorted(waiting):
            raise wrong(
                where,
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.",
            )
        if calls and place == 0:
            raise wrong(where, "function call turn comes immediately after a user turn or a function response turn.")
        waiting = [part["functionCall"]["name"] for part in calls]
        if model:
            _check_signatures(where, content["parts"])
        if calls and signed and "thoughtSignature" not in calls[0]:
            raise wrong(where, "Function call is missing a thought_signature in functionCall parts.")
    if waiting:
        raise wrong(("contents", len(contents) - 1), "the last function call turn has no function response turn")


def _check_signatures(where: Path, parts: list[Mapping[str, Any]]) -> None:
    for place, part in enumerate(parts):
        signature = part.get("thoughtSignature")
        if signature is None or signature in SKIPS:
            continue
        call = part.get("functionCall")
        expected = signature_of_call(call["name"], call.get("args", {})) if call else signature_of_text()
        if _plain_base64(signature) != expected:
            raise wrong((*where, "parts", place), "Thought signature is not valid.")


def _plain_base64(value: str) -> str:
    """Google takes both alphabets, and its own clients send the one for URLs."""
    return value.replace("-", "+").replace("_", "/")


def _check_calling(body: Mapping[str, Any]) -> None:
    names = {d["name"] for tool in body.get("tools", ()) for d in tool.get("functionDeclarations", ())}
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    allowed = calling.get("allowedFunctionNames", ())
    if allowed and calling["mode"] not in {"ANY", "VALIDATED"}:
        raise wrong((), "Allowed function names should be set only when function calling mode is ANY.")
    if any(name not in names for name in allowed):
        raise wrong((), "Function calling config has allowed_function_names that are not declared.")
    if calling.get("mode") == "ANY" and not names:
        raise wrong((), "Function calling config is set without function_declarations.")


def _check_thinking(thinking: Mapping[str, Any], model: str, *, newest: bool) -> None:
    budget = thinking.get("thinkingBudget")
    if "thinkingLevel" in thinking and not newest:
        raise wrong((), "Thinking level is not supported for this model.")
    if "thinkingLevel" in thinking and budget is not None:
        raise wrong((), "You can only set only one of thinking budget and thinking level.")
    if budget is None or budget == -1:
        return
    least, most = (128, 32_768) if "pro" in model else (512, 24_576) if "lite" in model else (0, 24_576)
    if not least <= budget <= most and not (budget == 0 and "lite" in model):
        raise wrong((), f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}.")
