"""Anthropic's replies in chat's shape: finish reasons, thinking, calls and citations.

Owns whole messages and the pieces that streams share with them. Does not frame events: stream.py does. Invariant:
`finish_reason` is one of chat's words or null, the provider's own word stands beside it.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.anthropic_messages.errors import failure_of_event
from services.provider_adapter.protocols.anthropic_messages.messages import REASONING_FORMAT
from services.provider_adapter.protocols.anthropic_messages.usage import Counts
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import dumps_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply, whole_choice, whole_reply

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_TIERS: Mapping[str, str] = {"standard": "default"}


def finish_of(native: Any, *, called: bool, answered: bool = False) -> tuple[str, str]:
    """The normalised and the native finish reason; both empty when there is none.

    Args:
        native: the provider's `stop_reason`.
        called: the reply holds calls of the caller's tools.
        answered: it holds the call of an answer tool, which is an answer to the caller.
    """
    if not isinstance(native, str) or not native:
        return "", ""
    normal = _FINISH_REASONS.get(native, "stop")
    if called and normal == "stop":
        normal = "tool_calls"
    elif answered and not called and normal == "tool_calls":
        normal = "stop"
    return normal, native[:64]


def tier_of(usage: Any) -> str:
    """The service tier in chat's words."""
    tier = label(usage.get("service_tier")) if isinstance(usage, dict) else ""
    return _TIERS.get(tier, tier)


def refusal_in(holder: Mapping[str, Any]) -> str:
    """What the provider says about a refusal."""
    details = holder.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) else ""


def thinking_detail(index: int, **fields: str) -> dict[str, Any]:
    return {"type": "reasoning.text", **fields, "format": REASONING_FORMAT, "index": index}


def redacted_detail(index: int, data: str) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "format": REASONING_FORMAT, "index": index}


def annotation_of(citation: Any, start: int, end: int) -> dict[str, Any] | None:
    """A citation of something with an address; places in documents of the caller's have no form in chat."""
    if not isinstance(citation, dict):
        return None
    url = citation.get("url") or citation.get("source")
    if not isinstance(url, str) or not url:
        return None
    return {
        "type": "url_citation",
        "url_citation": {
            "url": url,
            "title": str(citation.get("title") or ""),
            "content": str(citation.get("cited_text") or ""),
            "start_index": start,
            "end_index": end,
        },
    }


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
    facts, counts, gathered = ReplyFacts(), Counts(), _Gathered(prepared.answer_tool)
    counts.note(reply.get("usage"))
    for block in blocks:
        if isinstance(block, dict):
            gathered.add(block)
    message = gathered.message()
    refusal = refusal_in(reply)
    if refusal:
        message["refusal"] = refusal
    facts.usage = counts.usage()
    facts.upstream_id = label(reply.get("id"))
    facts.service_tier = tier_of(reply.get("usage"))
    facts.has_content = any(message.values())
    finish = finish_of(reply.get("stop_reason"), called=bool(gathered.calls), answered=gathered.answered)
    facts.finish_reason, facts.native_finish_reason = finish
    return whole_reply(attempt, facts, [whole_choice(0, message, finish, prepared)]), facts


class _Gathered:
    """The blocks of one message, in chat's drawers."""

    def __init__(self, answer_tool: str) -> None:
        self._answer_tool = answer_tool
        self._length = 0
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.answered = False

    def add(self, block: Mapping[str, Any]) -> None:
        match block.get("type"):
            case "text":
                self._add_text(block)
            case "thinking":
                text, signature = block.get("thinking"), block.get("signature")
                text = text if isinstance(text, str) else ""
                self._thoughts.append(text)
                fields = {"text": text}
                if isinstance(signature, str) and signature:
                    fields["signature"] = signature
                self._details.append(thinking_detail(len(self._details), **fields))
            case "redacted_thinking":
                self._details.append(redacted_detail(len(self._details), str(block.get("data") or "")))
            case "tool_use":
                self._add_call(block)

    def message(self) -> dict[str, Any]:
        content = "".join(self._texts)
        message: dict[str, Any] = {"content": content if content or not self.calls else None}
        thoughts = "".join(self._thoughts)
        if thoughts:
            message["reasoning"] = thoughts
        if self.calls:
            message["tool_calls"] = self.calls
        if self._details:
            message["reasoning_details"] = self._details
        if self._annotations:
            message["annotations"] = self._annotations
        return message

    def _add_text(self, block: Mapping[str, Any]) -> None:
        text = block.get("text")
        if not isinstance(text, str):
            return
        start, self._length = self._length, self._length + len(text)
        self._texts.append(text)
        citations = block.get("citations")
        for citation in citations if isinstance(citations, list) else ():
            annotation = annotation_of(citation, start, self._length)
            if annotation is not None:
                self._annotations.append(annotation)

    def _add_call(self, block: Mapping[str, Any]) -> None:
        given = block.get("input")
        arguments = given if isinstance(given, str) else dumps_reply(given if given is not None else {}).decode()
        if self._answer_tool and block.get("name") == self._answer_tool:
            self.answered = True
            self._texts.append(arguments)
            return
        function = {"name": label(block.get("name")), "arguments": arguments}
        self.calls.append({"id": label(block.get("id")), "type": "function", "function": function})
