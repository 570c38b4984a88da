"""Checks requests field by field, and then what their messages ask of one another.

Owns what Oracle refuses. Does not read requests (chat_format.py, embed_format.py). Invariant: unknown and ill-typed fields
are refused; a chat is of the kind that its model takes.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.strict import (
    Path,
    anything,
    boolean,
    fields,
    filled,
    integer,
    items,
    mapping,
    number,
    one_of,
    tagged,
    text,
    wrong,
)

GENERIC, COHERE, COHERE_V2 = "GENERIC", "COHERE", "COHEREV2"

_LARGEST = 1 << 53
_NOT_IN_SCHEMAS = ("$ref", "$defs", "anyOf", "oneOf", "allOf")


def _schema(where: Path, value: Any) -> None:
    mapping(where, value)
    for name in _NOT_IN_SCHEMAS:
        if name in value:
            raise wrong((*where, name), "is not supported")
    for key, inner in (value.get("properties") or {}).items():
        _schema((*where, "properties", key), inner)
    if "items" in value:
        _schema((*where, "items"), value["items"])


def _data_url(where: Path, value: Any) -> None:
    text(where, value)
    if not value.startswith("data:image/") or ";base64," not in value:
        raise wrong(where, "is no image in base64")


_IMAGE = fields(
    {
        "type": text,
        "imageUrl": fields({"url": _data_url, "detail": one_of("AUTO", "LOW", "HIGH")}, ["url"]),
    },
    ["imageUrl"],
)
_TEXT = fields({"type": text, "text": text}, ["text"])
_NAMED = {"name": filled, "arguments": text}
_FUNCTION = {"name": filled, "description": text, "parameters": _schema}
_STREAM = {"isStream": boolean, "streamOptions": fields({"isIncludeUsage": boolean})}


def _messages(image: str, call: Any, *, filled_content: bool) -> Any:
    """Messages of the two kinds of chat that have them; they differ in names, and in what may be left out."""
    said = items(tagged({"TEXT": _TEXT}), least=1)
    shown = items(tagged({"TEXT": _TEXT, image: _IMAGE}), least=1)
    told = {"role": text, "content": said}
    return items(
        tagged(
            {
                "SYSTEM": fields(told, ["content"]),
                "USER": fields({"role": text, "content": shown}, ["content"]),
                "ASSISTANT": fields({**told, "toolCalls": items(call, least=1)}, ["content"] if filled_content else []),
                "TOOL": fields({**told, "toolCallId": filled}, ["content", "toolCallId"]),
            },
            tag="role",
        ),
        least=1,
    )


_GENERIC = fields(
    {
        "apiFormat": text,
        "messages": _messages(
            "IMAGE",
            fields({"id": filled, "type": one_of("FUNCTION"), **_NAMED}, ["id", "type", "name", "arguments"]),
            filled_content=False,
        ),
        **_STREAM,
        "maxTokens": integer(1, _LARGEST),
        "maxCompletionTokens": integer(1, _LARGEST),
        "temperature": number(0, 2),
        "topP": number(0, 1),
        "topK": integer(-1, 500),
        "frequencyPenalty": number(-2, 2),
        "presencePenalty": number(-2, 2),
        "seed": integer(0, 1 << 63),
        "stop": items(filled, least=1),
        "reasoningEffort": one_of("NONE", "MINIMAL", "LOW", "MEDIUM", "HIGH"),
        "verbosity": one_of("LOW", "MEDIUM", "HIGH"),
        "tools": items(
            fields({"type": one_of("FUNCTION"), **_FUNCTION}, ["type", "name", "description", "parameters"]), least=1
        ),
        "toolChoice": tagged(
            {
                **dict.fromkeys(("AUTO", "NONE", "REQUIRED"), fields({"type": text})),
                "FUNCTION": fields({"type": text, "name": filled}, ["name"]),
            }
        ),
        "isParallelToolCalls": boolean,
        "responseFormat": tagged(
            {
                **dict.fromkeys(("TEXT", "JSON_OBJECT"), fields({"type": text})),
                "JSON_SCHEMA": fields(
                    {
                        "type": text,
                        "jsonSchema": fields(
                            {"name": filled, "description": text, "schema": mapping, "isStrict": boolean}, ["name"]
                        ),
                    },
                    ["jsonSchema"],
                ),
            }
        ),
    },
    ["apiFormat", "messages"],
)
_COHERES = {
    "apiFormat": text,
    **_STREAM,
    "maxTokens": integer(1, _LARGEST),
    "temperature": number(0, 1),
    "topP": number(0.01, 0.99),
    "topK": integer(0, 500),
    "frequencyPenalty": number(0, 1),
    "presencePenalty": number(0, 1),
    "seed": integer(0, 1 << 63),
    "stopSequences": items(filled, least=1, most=5),
    "responseFormat": tagged(
        {"TEXT": fields({"type": text}), "JSON_OBJECT": fields({"type": text, "schema": mapping})}
    ),
}
_COHERE_V2 = fields(
    {
        **_COHERES,
        "messages": _messages(
            "IMAGE_URL",
            fields(
                {"id": filled, "type": one_of("FUNCTION"), "function": fields(_NAMED, ["name", "arguments"])},
                ["id", "type", "function"],
            ),
            filled_content=True,
        ),
        "tools": items(
            fields(
                {"type": one_of("FUNCTION"), "function": fields(_FUNCTION, ["name", "parameters"])},
                ["type", "function"],
            ),
            least=1,
        ),
        "toolsChoice": one_of("REQUIRED", "NONE"),
        "thinking": tagged(
            {"DISABLED": fields({"type": text}), "ENABLED": fields({"type": text, "tokenBudget": integer(1, _LARGEST)})}
        ),
        "safetyMode": one_of("CONTEXTUAL", "STRICT", "OFF"),
    },
    ["apiFormat", "messages"],
)
_MADE = fields({"name": filled, "parameters": mapping}, ["name", "parameters"])
_RESULTS = items(fields({"call": _MADE, "outputs": items(mapping, least=1)}, ["call", "outputs"]), least=1)
_COHERE = fields(
    {
        **_COHERES,
        "message": text,
        "chatHistory": items(
            tagged(
                {
                    "USER": fields({"role": text, "message": filled}, ["message"]),
                    "CHATBOT": fields({"role": text, "message": text, "toolCalls": items(_MADE, least=1)}, ["message"]),
                    "TOOL": fields({"role": text, "toolResults": _RESULTS}, ["toolResults"]),
                },
                tag="role",
            )
        ),
        "preambleOverride": filled,
        "tools": items(
            fields(
                {
                    "name": filled,
                    "description": filled,
                    "parameterDefinitions": anything,
                },
                ["name", "description"],
            ),
            least=1,
        ),
        "toolResults": _RESULTS,
        "isForceSingleStep": boolean,
    },
    ["apiFormat", "message"],
)
_DEFINITION = fields(
    {
        "type": one_of("str", "float", "int", "bool", "list", "dict"),
        "description": text,
        "isRequired": boolean,
    },
    ["type"],
)
_SERVING = tagged({"ON_DEMAND": fields({"servingType": text, "modelId": filled}, ["modelId"])}, tag="servingType")
_ENVELOPE = {"compartmentId": filled, "servingMode": _SERVING}
_CHAT = fields({**_ENVELOPE, "chatRequest": mapping}, ["compartmentId", "servingMode", "chatRequest"])
_EMBED = fields(
    {
        **_ENVELOPE,
        "inputs": items(filled, least=1, most=96),
        "inputType": one_of("SEARCH_DOCUMENT", "SEARCH_QUERY", "CLASSIFICATION", "CLUSTERING", "IMAGE"),
        "truncate": one_of("NONE", "START", "END"),
        "isEcho": boolean,
        "outputDimensions": integer(1, 1536),
    },
    ["compartmentId", "servingMode", "inputs"],
)


def check_chat(body: Any) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _CHAT((), body)
    asked, where = body["chatRequest"], ("chatRequest",)
    model = body["servingMode"]["modelId"]
    kind = asked.get("apiFormat")
    if kind not in _kinds_of(model):
        raise wrong((*where, "apiFormat"), "Chat request type does not match serving model.")
    {GENERIC: _GENERIC, COHERE: _COHERE, COHERE_V2: _COHERE_V2}[kind](where, asked)
    if kind == COHERE:
        _check_turns(where, asked)
    else:
        _check_messages((*where, "messages"), asked["messages"])
    chosen = "toolChoice" if kind == GENERIC else "toolsChoice"
    if chosen in asked and "tools" not in asked:
        raise wrong((*where, chosen), "there are no tools")
    if "streamOptions" in asked and not asked.get("isStream"):
        raise wrong((*where, "streamOptions"), "nothing is streamed")


def check_embed(body: Any) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _EMBED((), body)
    if body.get("inputType") == "IMAGE":
        if len(body["inputs"]) > 1:
            raise wrong(("inputs",), "one image at a time")
        _data_url(("inputs", 0), body["inputs"][0])


def _kinds_of(model: str) -> tuple[str, ...]:
    if not model.startswith("cohere."):
        return (GENERIC,)
    # The service takes more of both; models that see take the second kind alone.
    return (COHERE_V2,) if "vision" in model else (COHERE, COHERE_V2) if "command-a" in model else (COHERE,)


def _check_messages(where: Path, messages: list[Mapping[str, Any]]) -> None:
    open_calls: set[str] = set()
    for place, message in enumerate(messages):
        if message["role"] == "TOOL":
            if message["toolCallId"] not in open_calls:
                raise wrong((*where, place, "toolCallId"), "answers no call")
            open_calls.discard(message["toolCallId"])
            continue
        if open_calls:
            raise wrong((*where, place), "a call is not answered")
        if message["role"] == "ASSISTANT":
            if not message.get("content") and not message.get("toolCalls"):
                raise wrong((*where, place), "is empty")
            open_calls = {call["id"] for call in message.get("toolCalls", ())}
    if open_calls:
        raise wrong(where, "a call is not answered")


def _check_turns(where: Path, asked: Mapping[str, Any]) -> None:
    for place, tool in enumerate(asked.get("tools", ())):
        for name, definition in tool.get("parameterDefinitions", {}).items():
            _DEFINITION((*where, "tools", place, "parameterDefinitions", name), definition)
    results = "toolResults" in asked
    if not results and not asked["message"].strip():
        raise wrong((*where, "message"), "message must be at least 1 token long")
    if results and asked["message"] and not asked.get("isForceSingleStep"):
        raise wrong((*where, "message"), "cannot be given with toolResults unless isForceSingleStep is true")
    history = asked.get("chatHistory", [])
    if results and not (history and history[-1].get("toolCalls")):
        raise wrong((*where, "toolResults"), "follow no calls")
