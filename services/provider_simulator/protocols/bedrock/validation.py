"""Checks a Converse request field by field, and then what its parts ask of one another.

Owns what Bedrock refuses. Does not read the request (converse_format.py). Invariant: unknown and ill-typed fields are
refused; what passes here can be counted and answered.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_simulator.protocols.anthropic.signatures import is_signed
from services.provider_simulator.protocols.anthropic.validation import closed_schema
from services.provider_simulator.protocols.bedrock.own_fields import (
    check_own_fields,
    knows_text_format,
    refused_beside_results,
)
from services.provider_simulator.protocols.strict import (
    Check,
    InvalidError,
    Path,
    base64_text,
    boolean,
    dotted,
    fields,
    filled,
    integer,
    items,
    mapping,
    matching,
    number,
    one_of,
    text,
    union,
    wrong,
)

Block = Mapping[str, Any]

_MOST_CACHE_POINTS = 4
_MOST_TOKENS = 128_000
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_DOCUMENT_NAME = re.compile(r"(?!.*\s\s)[a-zA-Z0-9\s()\[\]-]{1,200}")

_EMPTY = fields({})
_BYTES = union({"bytes": base64_text})
_CACHE_POINT = fields({"type": one_of("default"), "ttl": one_of("5m", "1h")}, ["type"])


def _media(*formats: str) -> Check:
    return fields({"format": one_of(*formats), "source": _BYTES}, ["format", "source"])


_IMAGE = _media("png", "jpeg", "gif", "webp")
_AUDIO = _media(
    *("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm")
)
_VIDEO = _media("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp")
_DOCUMENT = fields(
    {
        "format": one_of("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"),
        "name": matching(_DOCUMENT_NAME),
        "source": union({"bytes": base64_text, "text": filled}),
        "context": text,
        "citations": fields({"enabled": boolean}, ["enabled"]),
    },
    ["name", "source"],
)
_RESULT = fields(
    {
        "toolUseId": matching(_ID),
        "content": items(
            union({"json": mapping, "text": filled, "image": _IMAGE, "document": _DOCUMENT, "video": _VIDEO})
        ),
        "status": one_of("success", "error"),
    },
    ["toolUseId", "content"],
)
_CALL = fields({"toolUseId": matching(_ID), "name": matching(_NAME), "input": mapping}, ["toolUseId", "name", "input"])
_REASONING = union(
    {"reasoningText": fields({"text": text, "signature": filled}, ["text"]), "redactedContent": base64_text}
)
_CONTENT = union(
    {
        "text": filled,
        "image": _IMAGE,
        "document": _DOCUMENT,
        "audio": _AUDIO,
        "video": _VIDEO,
        "toolUse": _CALL,
        "toolResult": _RESULT,
        "reasoningContent": _REASONING,
        "cachePoint": _CACHE_POINT,
    }
)
_TOOL = fields(
    {
        "name": matching(_NAME),
        "description": filled,
        "inputSchema": union({"json": mapping}),
        "strict": boolean,
    },
    ["name", "inputSchema"],
)
_REQUEST = fields(
    {
        "messages": items(
            fields({"role": one_of("user", "assistant"), "content": items(_CONTENT, least=1)}, ["role", "content"]),
            least=1,
        ),
        "system": items(union({"text": filled, "cachePoint": _CACHE_POINT})),
        "inferenceConfig": fields(
            {
                "maxTokens": integer(1, _MOST_TOKENS),
                "temperature": number(0, 1),
                "topP": number(0, 1),
                "stopSequences": items(filled, most=2_500),
            }
        ),
        "toolConfig": fields(
            {
                "tools": items(union({"toolSpec": _TOOL, "cachePoint": _CACHE_POINT}), least=1),
                "toolChoice": union(
                    {"auto": _EMPTY, "any": _EMPTY, "tool": fields({"name": matching(_NAME)}, ["name"])}
                ),
            },
            ["tools"],
        ),
        "additionalModelRequestFields": mapping,
        "additionalModelResponseFieldPaths": items(filled, most=10),
        "requestMetadata": mapping,
        "performanceConfig": fields({"latency": one_of("standard", "optimized")}),
        "serviceTier": fields({"type": one_of("priority", "default", "flex", "reserved")}, ["type"]),
        "outputConfig": fields(
            {
                "textFormat": fields(
                    {
                        "type": one_of("json_schema"),
                        "structure": union(
                            {"jsonSchema": fields({"schema": filled, "name": text, "description": text}, ["schema"])}
                        ),
                    },
                    ["type", "structure"],
                ),
                "effort": text,
            }
        ),
    },
    ["messages"],
)


def check_request(body: Any, model: str) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _REQUEST((), body)
    _check_turns(body["messages"])
    _check_neighbours(body["messages"], refused_beside_results(model))
    _check_documents(body["messages"])
    _check_tools(body)
    _check_text_format(body, model)
    check_own_fields(body, model)
    points = _count_points([body.get("toolConfig", {}).get("tools", []), body.get("system", []), body["messages"]])
    if points > _MOST_CACHE_POINTS:
        raise wrong((), f"A maximum of {_MOST_CACHE_POINTS} cache points may be provided. Found {points}.")


def refusal_words(error: InvalidError) -> str:
    where = f" at '{dotted(error.where)}'" if error.where else ""
    return f"1 validation error detected: Value{where} failed to satisfy constraint: {error.words}"


def _check_turns(messages: list[Block]) -> None:
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        where: Path = ("messages", place)
        wanted = "assistant" if place % 2 else "user"
        if message["role"] != wanted:
            words = "A conversation must start with a user message and alternate between user and assistant."
            raise wrong(where, words)
        blocks = message["content"]
        of_user = {"toolResult", "image", "document", "audio", "video"}
        for inner, block in enumerate(blocks):
            kind = next(iter(block))
            if (kind in of_user) if wanted == "assistant" else (kind in {"toolUse", "reasoningContent"}):
                raise wrong((*where, "content", inner), f"A message of the {wanted} cannot hold {kind}.")
        _check_results(where, blocks, waiting)
        waiting = {block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block}
        _check_signatures(where, blocks)
    if waiting:
        raise wrong(("messages",), f"Expected toolResult blocks for the following Ids: {', '.join(sorted(waiting))}")
    last = messages[-1]["content"][-1]
    if len(messages) % 2 == 0 and last.get("text", "") != last.get("text", "").rstrip():
        raise wrong(("messages",), "final assistant content cannot end with trailing whitespace")


def _check_results(where: Path, blocks: list[Block], waiting: set[str]) -> None:
    results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
    if set(results) != waiting or len(set(results)) < len(results):
        words = f"Expected toolResult blocks for the following Ids: {', '.join(sorted(waiting)) or 'none'}"
        raise wrong((*where, "content"), words)


def _check_neighbours(messages: list[Block], refused: frozenset[str]) -> None:
    for place, message in enumerate(messages):
        kinds = [next(iter(block)) for block in message["content"]]
        if "toolResult" in kinds and refused & set(kinds):
            raise wrong(("messages", place), "Tool results cannot stand in one message with that content.")
        for before, kind in itertools.pairwise(kinds):
            if kind == "cachePoint" and before in {"document", "video"}:
                raise wrong(("messages", place), "A cache point cannot follow a document or a video.")


def _check_signatures(where: Path, blocks: list[Block]) -> None:
    thoughts = ["reasoningContent" in block for block in blocks]
    if True in thoughts[thoughts.count(True) :]:
        raise wrong(where, "reasoningContent must come first")
    for place, block in enumerate(blocks):
        told = block.get("reasoningContent", {}).get("reasoningText")
        if told is not None and not is_signed(told["text"], told.get("signature", "")):
            raise wrong((*where, "content", place), "Invalid `signature` in `thinking` block")


def _check_documents(messages: list[Block]) -> None:
    names = [block["document"]["name"] for message in messages for block in message["content"] if "document" in block]
    if len(set(names)) < len(names):
        raise wrong(("messages",), "The names of documents must be unique.")
    for place, message in enumerate(messages):
        kinds = {kind for block in message["content"] for kind in block}
        if "document" in kinds and "text" not in kinds:
            raise wrong(("messages", place), "A text block is required when using documents.")


def _check_tools(body: Mapping[str, Any]) -> None:
    config = body.get("toolConfig", {})
    names = [tool["toolSpec"]["name"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    if len(set(names)) < len(names):
        raise wrong(("toolConfig", "tools"), "The names of tools must be unique.")
    for tool in config.get("tools", ()):
        spec = tool.get("toolSpec", {})
        schema = spec.get("inputSchema", {}).get("json", {"type": "object"})
        if schema.get("type") != "object":
            words = "The value at toolConfig.tools.toolSpec.inputSchema.json.type must be one of the following: object."
            raise wrong(("toolConfig", "tools"), words)
        if spec.get("strict") is True:
            closed_schema(("toolConfig", "tools"), schema)
    chosen = config.get("toolChoice", {}).get("tool", {}).get("name")
    if chosen is not None and chosen not in names:
        raise wrong(("toolConfig", "toolChoice"), f"The tool {chosen} is not among the tools.")
    used = any("toolUse" in block or "toolResult" in block for m in body["messages"] for block in m["content"])
    if used and not names:
        words = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        raise wrong(("toolConfig",), words)


def _check_text_format(body: Mapping[str, Any], model: str) -> None:
    told = body.get("outputConfig", {}).get("textFormat")
    if told is None:
        return
    if not knows_text_format(model):
        raise wrong(("outputConfig", "textFormat"), "This model doesn't support the textFormat field.")
    try:
        schema = orjson.loads(told["structure"]["jsonSchema"]["schema"])
    except orjson.JSONDecodeError:
        raise wrong(("outputConfig", "textFormat"), "The schema is not valid JSON.") from None
    closed_schema(("outputConfig", "textFormat"), schema)


def _count_points(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_count_points, value))
    if not isinstance(value, dict):
        return 0
    return int("cachePoint" in value) + _count_points(value.get("content"))
