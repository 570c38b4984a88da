"""Cohere's replies in chat's shape: finish reasons, thoughts and plans, calls and citations.

Owns whole replies and the pieces that streams share with them. Does not frame events: stream.py does. Invariant:
`finish_reason` is one of chat's words or null, the provider's own word stands beside it; a reply that failed before it
said anything is a failure.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.cohere.errors import failure_of_event, failure_of_finish, is_error
from services.provider_adapter.protocols.cohere.messages import REASONING_FORMAT, TOOL_PLAN
from services.provider_adapter.protocols.cohere.usage import usage_of
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import dumps_reply, whole_choice, whole_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import (
    broken_reply,
    label,
    loads_reply,
    whole_message,
)

NO_ARGUMENTS = "{}"

_FINISH_REASONS: Mapping[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
    "ERROR": "error",
    "TIMEOUT": "error",
    "USER_CANCEL": "error",
}
# Places in a thought or a plan are not places in the content.
_CITED_ELSEWHERE = frozenset({"THINKING_CONTENT", "PLAN"})
_MOST_SOURCES = 64
_MOST_CITATIONS = 1_024


def finish_of(native: Any, *, called: bool, answered: bool = False) -> tuple[str, str]:
    """The normalised and the native finish reason; both empty when there is none.

    Args:
        native: the provider's `finish_reason`.
        called: the reply holds calls of the caller's tools.
        answered: it holds the call of an answer tool, which is an answer to the caller.
    """
    if not isinstance(native, str) or not native:
        return "", ""
    normal = _FINISH_REASONS.get(native.upper(), "stop")
    if called and normal == "stop":
        normal = "tool_calls"
    elif answered and not called and normal == "tool_calls":
        normal = "stop"
    return normal, native[:64]


def thought_detail(index: int, text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "format": REASONING_FORMAT, "index": index}


def plan_detail(index: int, text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "id": TOOL_PLAN, "format": REASONING_FORMAT, "index": index}


def arguments_of(value: Any) -> str:
    """A call's arguments as chat has them; the provider writes null for a function that takes none."""
    if isinstance(value, str):
        return NO_ARGUMENTS if value.strip() in {"", "null"} else value
    return dumps_reply(value).decode() if value is not None else NO_ARGUMENTS


def annotations_of(citation: Any, offsets: Mapping[int, int]) -> list[dict[str, Any]]:
    """A citation as chat's annotations, one per source.

    Args:
        citation: with `start` and `end` within one block of content.
        offsets: where each block of text begins in the whole content.
    """
    if not isinstance(citation, dict) or citation.get("type") in _CITED_ELSEWHERE:
        return []
    start, end, sources = citation.get("start"), citation.get("end"), citation.get("sources")
    if type(start) is not int or type(end) is not int or not isinstance(sources, list):
        return []
    offset = offsets.get(_block_of(citation), 0)
    cited = citation.get("text")
    place = {
        "content": cited if isinstance(cited, str) else "",
        "start_index": offset + start,
        "end_index": offset + end,
    }
    named = [_named(source) for source in sources[:_MOST_SOURCES] if isinstance(source, dict)]
    return [
        {"type": "url_citation", "url_citation": {"url": url, "title": title, **place}} for url, title in named if url
    ]


def logprobs_of(item: Any) -> list[dict[str, Any]]:
    """The log probability of a piece of text as chat's: the pieces are not always single tokens, so theirs add up."""
    if not isinstance(item, dict):
        return []
    text, values = item.get("text"), item.get("logprobs")
    if not isinstance(text, str) or not isinstance(values, list) or not values:
        return []
    if not all(type(value) in {int, float} for value in values):
        return []
    return [{"token": text, "logprob": sum(values), "bytes": list(text.encode()), "top_logprobs": []}]


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, is no message, or failed before it said anything.
    """
    reply = loads_reply(body)
    message = reply.get("message")
    if not isinstance(message, dict):
        if is_error(reply):
            raise ProviderFailedError(failure_of_event(reply))
        raise broken_reply("The reply holds no message.")
    gathered = _Gathered(prepared.answer_tool)
    gathered.read(message)
    facts = ReplyFacts()
    made = gathered.message()
    facts.usage = usage_of(reply.get("usage"))
    facts.upstream_id = label(reply.get("id"))
    facts.has_content = any(made.values())
    finish = finish_of(reply.get("finish_reason"), called=bool(gathered.calls), answered=gathered.answered)
    if finish[0] == "error" and not facts.has_content:
        raise ProviderFailedError(failure_of_finish(finish[1]))
    facts.finish_reason, facts.native_finish_reason = finish
    choice = whole_choice(0, made, finish, prepared, _whole_logprobs(reply.get("logprobs")))
    return whole_reply(attempt, facts, [choice]), facts


def _whole_logprobs(items: Any) -> dict[str, Any] | None:
    content = [entry for item in items for entry in logprobs_of(item)] if isinstance(items, list) else []
    return {"content": content, "refusal": None} if content else None


def _block_of(citation: Mapping[str, Any]) -> int:
    index = citation.get("content_index")
    return index if type(index) is int else 0


def _named(source: Mapping[str, Any]) -> tuple[str, str]:
    """Where a source is, or else how it is called, and its title."""
    kept = source.get("document") if source.get("type") != "tool" else source.get("tool_output")
    held = kept if isinstance(kept, dict) else {}
    name = label(source.get("id")) or label(held.get("id"))
    return label(held.get("url")) or name, label(held.get("title")) or name


class _Gathered:
    """One message, in chat's drawers."""

    def __init__(self, answer_tool: str) -> None:
        self._answer_tool = answer_tool
        self._length = 0
        self._offsets: dict[int, int] = {}
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.answered = False

    def read(self, message: Mapping[str, Any]) -> None:
        content = message.get("content")
        if isinstance(content, str):
            self._add_text(0, content)
        for index, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                self._add_block(index, block)
        plan = message.get("tool_plan")
        if isinstance(plan, str) and plan:
            self._thoughts.append(plan)
            self._details.append(plan_detail(len(self._details), plan))
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                self._add_call(call, call["function"])
        citations = message.get("citations")
        for citation in citations[:_MOST_CITATIONS] if isinstance(citations, list) else ():
            self._annotations.extend(annotations_of(citation, self._offsets))

    def message(self) -> dict[str, Any]:
        return whole_message(self._texts, self._thoughts, self.calls, self._details, self._annotations)

    def _add_block(self, index: int, block: Mapping[str, Any]) -> None:
        match block.get("type"):
            case "text":
                self._add_text(index, block.get("text"))
            case "thinking":
                thought = block.get("thinking")
                if isinstance(thought, str) and thought:
                    self._thoughts.append(thought)
                    self._details.append(thought_detail(len(self._details), thought))

    def _add_text(self, index: int, text: Any) -> None:
        if not isinstance(text, str):
            return
        self._offsets[index] = self._length
        self._length += len(text)
        self._texts.append(text)

    def _add_call(self, call: Mapping[str, Any], function: Mapping[str, Any]) -> None:
        arguments = arguments_of(function.get("arguments"))
        if self._answer_tool and function.get("name") == self._answer_tool:
            self.answered = True
            self._add_text(-1, arguments)
            return
        named = {"name": label(function.get("name")), "arguments": arguments}
        self.calls.append({"id": label(call.get("id")), "type": "function", "function": named})
