"""Anthropic's replies in chat's shape: finish reasons, thinking, calls and citations.

Owns whole messages and the pieces that streams share with them. Does not frame events: stream.py does. Invariant:
`finish_reason` is one of chat's words or null, the provider's own word stands beside it.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.anthropic_messages.errors import failure_of_event
from services.provider_adapter.protocols.anthropic_messages.messages import REASONING_FORMAT
from services.provider_adapter.protocols.anthropic_messages.usage import Counts
from services.provider_adapter.protocols.blocks import GatheredBlocks, finish_of, url_citation
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import whole_choice, whole_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_TIERS: Mapping[str, str] = {"standard": "default"}


def tier_of(usage: Any) -> str:
    """The service tier in chat's words."""
    tier = label(usage.get("service_tier")) if isinstance(usage, dict) else ""
    return _TIERS.get(tier, tier)


def refusal_in(holder: Mapping[str, Any]) -> str:
    """What the provider says about a refusal."""
    details = holder.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) else ""


def annotation_of(citation: Any, start: int, end: int) -> dict[str, Any] | None:
    """A citation of something with an address; places in documents of the caller's have no form in chat."""
    if not isinstance(citation, dict):
        return None
    url = citation.get("url") or citation.get("source")
    if not isinstance(url, str) or not url:
        return None
    return url_citation(url, citation.get("title"), citation.get("cited_text"), start, end)


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or is no message.
    """
    reply = loads_reply(body)
    if reply.get("type") == "error" or "error" in reply:
        raise ProviderFailedError(failure_of_event(reply))
    blocks = reply.get("content")
    if not isinstance(blocks, list):
        raise broken_reply("The reply holds no content.")
    facts, counts, gathered = ReplyFacts(), Counts(), GatheredBlocks(prepared.answer_tool, REASONING_FORMAT)
    counts.note(reply.get("usage"))
    for block in blocks:
        if isinstance(block, dict):
            _add(gathered, block)
    message = gathered.message()
    refusal = refusal_in(reply)
    if refusal:
        message["refusal"] = refusal
    facts.usage = counts.usage()
    facts.upstream_id = label(reply.get("id"))
    facts.service_tier = tier_of(reply.get("usage"))
    facts.has_content = any(message.values())
    finish = finish_of(
        FINISH_REASONS, reply.get("stop_reason"), called=bool(gathered.calls), answered=gathered.answered
    )
    facts.finish_reason, facts.native_finish_reason = finish
    return whole_reply(attempt, facts, [whole_choice(0, message, finish, prepared)]), facts


def _add(gathered: GatheredBlocks, block: Mapping[str, Any]) -> None:
    match block.get("type"):
        case "text":
            _add_text(gathered, block)
        case "thinking":
            gathered.add_thought(block.get("thinking"), block.get("signature"))
        case "redacted_thinking":
            gathered.add_redacted(str(block.get("data") or ""), REASONING_FORMAT)
        case "tool_use":
            gathered.add_call(block.get("id"), block.get("name"), block.get("input"))


def _add_text(gathered: GatheredBlocks, block: Mapping[str, Any]) -> None:
    text = block.get("text")
    if not isinstance(text, str):
        return
    start, end = gathered.add_text(text)
    citations = block.get("citations")
    for citation in citations if isinstance(citations, list) else ():
        gathered.add_annotation(annotation_of(citation, start, end))
