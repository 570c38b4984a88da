"""Replies and deltas of chat hosts in the one shape that clients get.

Owns finish reasons, messages and the fields that hosts name differently. Does not frame events: stream.py does.
Invariant: fields come in a stable order, `finish_reason` is one of the five words or null, the host's own word stands
beside it.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.calls import whole_calls
from services.provider_adapter.protocols.openai_chat.citations import annotations_of, names_sources
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS, PLAIN
from services.provider_adapter.protocols.openai_chat.errors import broken, broken_within, complaint_of
from services.provider_adapter.protocols.openai_chat.think_tags import split_whole
from services.provider_adapter.protocols.openai_chat.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts

_FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "error": "error",
    "abort": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}
_CONTENT_FIELDS = (
    "content",
    "reasoning",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "images",
    "reasoning_details",
)
_REASONING_FIELDS = ("reasoning", "reasoning_content", "reasoning_details")


def finish_of(told: Any, *, called: bool, native: Any = None) -> tuple[str, str]:
    """The normalised and the native finish reason; both empty when there is none.

    A word that nobody has listed counts as `stop`. A reply that holds calls and says it stopped reports `tool_calls`.

    Args:
        told: the host's finish reason.
        called: the reply holds calls.
        native: that of whoever served, where the host is a gateway that says so.
    """
    if not isinstance(told, str) or not told:
        return "", ""
    normal = _FINISH_REASONS.get(told) or _FINISH_REASONS.get(told.lower(), "stop")
    if called and normal == "stop":
        normal = "tool_calls"
    return normal, (native if isinstance(native, str) and native else told)[:64]


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or holds no choice.
    """
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, "The reply is not valid JSON.")) from error
    failure = failure_in(reply)
    if failure is not None:
        raise ProviderFailedError(failure)
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ProviderFailedError(broken(200, complaint_of(reply)))
    facts = ReplyFacts()
    facts.usage = usage_of(reply.get("usage"))
    note_identity(facts, reply)
    splits = splits_thoughts(attempt, prepared)
    for choice in choices:
        _suit_choice(choice, reply, prepared, splits=splits)
    converted = [_choice(choice, position, facts, prepared) for position, choice in enumerate(choices)]
    return whole_reply(attempt, facts, converted), facts


def whole_reply(attempt: Attempt, facts: ReplyFacts, choices: list[dict[str, Any]]) -> bytes:
    """The reply as one JSON object without `usage`."""
    reply: dict[str, Any] = {
        "id": attempt.generation_id,
        "object": "chat.completion",
        "created": attempt.created_s,
        "model": attempt.model,
        "provider": attempt.provider_name,
        "choices": choices,
        "system_fingerprint": facts.system_fingerprint or attempt.system_fingerprint or None,
    }
    if facts.service_tier:
        reply["service_tier"] = facts.service_tier
    return dumps_reply(reply)


def splits_thoughts(attempt: Attempt, prepared: Prepared) -> bool:
    """Whether the model is known to leave its thoughts in the content."""
    pattern = DIALECTS.get(prepared.dialect, PLAIN).think_tags
    return pattern is not None and pattern.search(attempt.provider_model_id) is not None


def _suit_choice(choice: Any, reply: Mapping[str, Any], prepared: Prepared, *, splits: bool) -> None:
    """Brings a choice of a host with habits of its own to the common shape."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return
    if splits and isinstance(message.get("content"), str):
        thought, message["content"] = split_whole(message["content"])
        if thought and not message.get("reasoning"):
            message["reasoning"] = thought
    if not message.get("annotations") and names_sources(reply):
        annotations = annotations_of(reply)
        if annotations:
            message["annotations"] = annotations
    if not choice.get("finish_reason") and DIALECTS.get(prepared.dialect, PLAIN).ends_unsaid:
        choice["finish_reason"] = "tool_calls" if message.get("tool_calls") else "stop"


def dumps_reply(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        # A reply may parse and yet nest deeper than we can write.
        raise ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, "The reply nests too deeply.")) from error


def failure_in(reply: Any) -> Failure | None:
    """The failure that a body with status 200, or one event of a stream, turns out to be."""
    if type(reply) is not dict:
        return Failure(FailureClass.UPSTREAM, 200, "The reply is not a JSON object.")
    if reply.get("error"):
        return broken_within(complaint_of(reply))
    if "choices" in reply:
        return _failure_of_minimax(reply) if "base_resp" in reply else None
    if reply.get("object") == "error" or reply.get("type") == "error" or "errors" in reply:
        return broken_within(complaint_of(reply))
    return _failure_of_minimax(reply) if "base_resp" in reply else None


def _failure_of_minimax(reply: Mapping[str, Any]) -> Failure | None:
    base = reply["base_resp"]
    if isinstance(base, dict) and base.get("status_code"):
        return broken_within(complaint_of(base))
    return None


def note_identity(facts: ReplyFacts, reply: Mapping[str, Any]) -> None:
    """Keeps the host's id, tier and fingerprint; text of any other type or length is not worth keeping."""
    facts.upstream_id = facts.upstream_id or _label(reply.get("id"))
    facts.service_tier = _label(reply.get("service_tier")) or facts.service_tier
    facts.system_fingerprint = _label(reply.get("system_fingerprint")) or facts.system_fingerprint


def _label(value: Any) -> str:
    return value[:256] if isinstance(value, str) else ""


def _choice(choice: Any, position: int, facts: ReplyFacts, prepared: Prepared) -> dict[str, Any]:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, "A choice holds no message."))
    if choice.get("error"):
        raise ProviderFailedError(broken_within(complaint_of(choice)))
    message = choice["message"]
    normalise(message)
    if "tool_calls" in message:
        message["tool_calls"] = whole_calls(message["tool_calls"])
    facts.has_content = has_content(message) or facts.has_content
    if facts.usage is None:
        facts.usage = usage_of(choice.get("usage"))
    finish, native = finish_of(
        choice.get("finish_reason"), called=bool(message.get("tool_calls")), native=choice.get("native_finish_reason")
    )
    if position == 0:
        facts.finish_reason, facts.native_finish_reason = finish, native
    message.pop("role", None)
    index = choice.get("index")
    return whole_choice(
        index if type(index) is int else position, message, (finish, native), prepared, choice.get("logprobs")
    )


def whole_choice(
    index: int, message: dict[str, Any], finish: tuple[str, str], prepared: Prepared, logprobs: Any = None
) -> dict[str, Any]:
    """One choice of a whole reply, in chat's order; the message is used up."""
    if prepared.hide_reasoning:
        hide_reasoning(message)
    ordered = {
        "role": "assistant",
        "content": message.pop("content", None),
        "refusal": message.pop("refusal", None),
        "reasoning": message.pop("reasoning", None),
    }
    return {"index": index, "message": {**ordered, **message}, **_end_of(finish, logprobs)}


def chunk_choice(
    index: int, delta: dict[str, Any], finish: tuple[str, str] = ("", ""), logprobs: Any = None
) -> dict[str, Any]:
    """One choice of a chunk."""
    return {"index": index, "delta": delta, **_end_of(finish, logprobs)}


def _end_of(finish: tuple[str, str], logprobs: Any) -> dict[str, Any]:
    """A finish that is an error says so beside the word, after what came before it (reference behaviour-facts §5.1)."""
    normal, native = finish
    end = {"finish_reason": normal or None, "native_finish_reason": native or None, "logprobs": logprobs}
    if normal == "error":
        end["error"] = {
            "code": 502,
            "message": "The provider ended its reply with an error.",
            "metadata": {"error_type": "provider_unavailable", "provider_code": native},
        }
    return end


def has_content(delta: Mapping[str, Any]) -> bool:
    """Whether a normalised delta or message holds anything that was produced."""
    return any(delta.get(name) for name in _CONTENT_FIELDS)


def hide_reasoning(delta: dict[str, Any]) -> None:
    for name in _REASONING_FIELDS:
        delta.pop(name, None)


def normalise(delta: dict[str, Any]) -> None:
    """Brings a delta or message, in place, to the fields that clients know; unknown fields stay, nulls do not."""
    for name in [name for name, value in delta.items() if value is None and name != "content"]:
        del delta[name]
    content = delta.get("content")
    if isinstance(content, list):
        _flatten(delta, content)
    if "reasoning_content" in delta:
        reasoning = delta.pop("reasoning_content")
        if reasoning and not delta.get("reasoning"):
            delta["reasoning"] = reasoning
    text = delta.get("reasoning")
    if text and isinstance(text, str) and not delta.get("reasoning_details"):
        delta["reasoning_details"] = [{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}]
    if "tool_calls" in delta:
        calls = delta["tool_calls"]
        if not isinstance(calls, list) or not calls:
            del delta["tool_calls"]
        else:
            _normalise_calls(calls)


def _normalise_calls(calls: list[Any]) -> None:
    """Arguments are text in this format, even where a host sends the object."""
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
            function["arguments"] = dumps_reply(function["arguments"]).decode()


def _flatten(delta: dict[str, Any], parts: list[Any]) -> None:
    """Content as a list of typed parts (Mistral, Databricks) becomes text and reasoning."""
    text: list[str] = []
    thoughts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, dict):
            kind = part.get("type")
            if kind == "text" and isinstance(part.get("text"), str):
                text.append(part["text"])
            elif kind in {"thinking", "reasoning"}:
                inner = part.get("thinking") or part.get("summary")
                pieces = inner if isinstance(inner, list) else [{"text": inner}]
                thoughts.extend(p["text"] for p in pieces if isinstance(p, dict) and isinstance(p.get("text"), str))
    delta["content"] = "".join(text)
    if thoughts and not delta.get("reasoning"):
        delta["reasoning"] = "".join(thoughts)
