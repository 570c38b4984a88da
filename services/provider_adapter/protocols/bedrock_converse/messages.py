"""A conversation as Converse's messages: content blocks, tool results first, thoughts kept as they were signed.

Owns blocks and cache points. Does not own parameters (request.py) or media (media.py). Invariant: no block is empty; a
signed thought goes back exactly as it came, or not at all.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.attachments import attachment_of
from services.provider_adapter.protocols.bedrock_converse.media import Documents, media_block
from services.provider_adapter.protocols.bedrock_converse.models import Traits
from services.provider_adapter.protocols.conversation import (
    AssistantTurn,
    Conversation,
    Part,
    Result,
    UserTurn,
    has_text,
    plain_id,
)
from services.provider_adapter.protocols.reasoning_details import is_of
from services.provider_adapter.protocols.thoughts import signed_thoughts

CLAUDE_FORMAT = "anthropic-claude-v1"
BEDROCK_FORMAT = "amazon-bedrock-v1"

_OPENER: Mapping[str, Any] = {"text": "."}
_BETWEEN: Mapping[str, Any] = {"text": "."}
_BESIDE_A_DOCUMENT: Mapping[str, Any] = {"text": "See the document."}
_NO_CONTENT: Mapping[str, Any] = {"text": "(nothing)"}
_UNMARKABLE = frozenset({"document", "video"})

Block = dict[str, Any]


def reasoning_format(traits: Traits) -> str:
    """The name under which a model's thoughts go to callers; Claude's signatures hold at every host of Claude's."""
    return BEDROCK_FORMAT if traits.claude is None else CLAUDE_FORMAT


def cache_point(value: Any, traits: Traits) -> Block | None:
    """What a caller's `cache_control` is here; None: it is none, or the model knows no cache points."""
    if not traits.caches or not isinstance(value, dict) or value.get("type") != "ephemeral":
        return None
    point = {"type": "default"}
    if traits.cache_times and value.get("ttl") in {"5m", "1h"}:
        point["ttl"] = value["ttl"]
    return {"cachePoint": point}


def system_blocks(conversation: Conversation, traits: Traits) -> list[Block]:
    return _texts(conversation.system, traits)


def message_list(conversation: Conversation, traits: Traits) -> list[dict[str, Any]]:
    """The messages; they begin with the user.

    Raises:
        ProviderFailedError: a part has no form here.
    """
    documents = Documents()
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        if isinstance(turn, AssistantTurn):
            _append(messages, "assistant", _assistant_blocks(turn, traits))
            continue
        results, rest = _user_blocks(turn, traits, documents)
        if results and not all(_kind(block) in traits.beside_results for block in rest):
            _append(messages, "user", results)
            _append(messages, "assistant", [dict(_BETWEEN)])
            _append(messages, "user", rest)
        else:
            _append(messages, "user", results + rest)
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [dict(_OPENER)]})
    _trim_prefill(messages)
    return messages


def lost_thinking(messages: list[dict[str, Any]]) -> bool:
    """Whether a tool loop is under way whose thinking did not come back."""
    if len(messages) < 2 or "toolResult" not in messages[-1]["content"][0]:
        return False
    return "reasoningContent" not in messages[-2]["content"][0]


def limit_cache_points(lists: list[list[Block]], most: int) -> None:
    """Takes the earliest cache points away until there are few enough; the later ones cover more."""
    surplus = sum("cachePoint" in block for blocks in lists for block in blocks) - most
    for blocks in lists:
        for place in [place for place, block in enumerate(blocks) if "cachePoint" in block][: max(0, surplus)][::-1]:
            del blocks[place]
            surplus -= 1


def _trim_prefill(messages: list[dict[str, Any]]) -> None:
    """A beginning that the model shall continue must not end in white space."""
    if not messages or messages[-1]["role"] != "assistant":
        return
    last = messages[-1]["content"][-1]
    if "text" in last:
        last["text"] = last["text"].rstrip()


def _texts(parts: list[Part], traits: Traits) -> list[Block]:
    blocks: list[Block] = []
    for part in parts:
        if has_text(part):
            blocks.append({"text": part["text"]})
            _mark(blocks, part, traits)
    return blocks


def _mark(blocks: list[Block], part: Part, traits: Traits) -> None:
    point = cache_point(part.get("cache_control"), traits)
    if point is not None:
        add_cache_point(blocks, point)


def add_cache_point(blocks: list[Block], point: Block) -> None:
    """Puts a point at the end; documents and videos there stay behind it, for the provider refuses it after them."""
    place = len(blocks)
    while place and _kind(blocks[place - 1]) in _UNMARKABLE:
        place -= 1
    if place and "cachePoint" not in blocks[place - 1]:
        blocks.insert(place, point)


def _append(messages: list[dict[str, Any]], role: str, blocks: list[Block]) -> None:
    if not blocks:
        return
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"].extend(blocks)
    else:
        messages.append({"role": role, "content": blocks})


def _user_blocks(turn: UserTurn, traits: Traits, documents: Documents) -> tuple[list[Block], list[Block]]:
    """The results, and all else."""
    results: list[Block] = []
    rest: list[Block] = []
    for result in turn.results:
        content = [block for part in result.parts if (block := _block(part, documents)) is not None]
        inside = {"text", *traits.in_results}
        rest += [block for block in content if _kind(block) not in inside]
        results.append(_result(result, [block for block in content if _kind(block) in inside], traits))
        for part in result.parts:
            _mark(results, part, traits)
    for part in turn.parts:
        block = _block(part, documents)
        if block is not None:
            rest.append(block)
            _mark(rest, part, traits)
    if any("document" in block for block in rest) and not any("text" in block for block in rest):
        rest.append(dict(_BESIDE_A_DOCUMENT))
    return results, rest


def _kind(block: Block) -> str:
    return next(iter(block))


def _result(result: Result, content: list[Block], traits: Traits) -> Block:
    made: Block = {"toolUseId": plain_id(result.call_id), "content": content or [dict(_NO_CONTENT)]}
    if result.missing and traits.result_status:
        made["status"] = "error"
    return {"toolResult": made}


def _assistant_blocks(turn: AssistantTurn, traits: Traits) -> list[Block]:
    said = _texts(turn.parts, traits)
    said += [
        {"toolUse": {"toolUseId": plain_id(call.id), "name": call.name, "input": call.arguments}} for call in turn.calls
    ]
    # A message that is nothing but thoughts is refused.
    return [*_thoughts(turn.details, traits), *said] if said else []


def _thoughts(details: list[Mapping[str, Any]], traits: Traits) -> list[Block]:
    own = reasoning_format(traits)

    def is_own(detail: Mapping[str, Any]) -> bool:
        # What is redacted has another form at Anthropic's own host.
        wanted = BEDROCK_FORMAT if detail.get("type") == "reasoning.encrypted" else own
        return is_of(detail, wanted)

    return [
        {"reasoningContent": {"reasoningText": {"text": thought.text, "signature": thought.signature}}}
        if thought.signature
        else {"reasoningContent": {"redactedContent": thought.data}}
        for thought in signed_thoughts(details, is_own)
    ]


def _block(part: Part, documents: Documents) -> Block | None:
    if part.get("type") == "text":
        return {"text": part["text"]} if has_text(part) else None
    attachment = attachment_of(part)
    return None if attachment is None else media_block(attachment, documents)
