"""The caller's chat request as a host of the chat format wants it.

Owns what is set, renamed and left out. Does not judge the request: the edge has checked it, the provider will.
Invariant: fields that steer the gateway and the caller's raw `user` never reach a provider; unknown fields do.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from libs.errors import AppError, Kind
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS, PLAIN, Dialect, History, Reasoning
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/chat/completions"

GATEWAY_FIELDS = (
    "provider",
    "models",
    "route",
    "transforms",
    "plugins",
    "preset",
    "usage",
    "session_id",
    "trace",
    "debug",
    "metadata",
    "user",
    "include_reasoning",
    "structured_outputs",
    "stop_server_tools_when",
    "max_tool_calls",
    "image_config",
)
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
_REASONING_NAMES = ("reasoning", "reasoning_effort", "include_reasoning")
_MESSAGE_ONLY_OURS = ("reasoning_details", "reasoning", "reasoning_content", "annotations", "images", "model")
# Shares of the output limit that efforts stand for (reference behaviour-facts §13), as upper bounds.
_EFFORT_BY_SHARE = ((0.15, "minimal"), (0.35, "low"), (0.65, "medium"), (0.875, "high"))


def prepare(attempt: Attempt, dialect_name: str) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
    """
    dialect = DIALECTS.get(dialect_name, PLAIN)
    try:
        body = orjson.loads(attempt.body)
    except orjson.JSONDecodeError as error:
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body is not a JSON object.")
    # A null is as if absent to us, but an error to some hosts.
    body = {name: value for name, value in body.items() if value is not None}
    hide_reasoning = _hides_reasoning(body)
    _drop_unsupported(body, attempt.unsupported_parameters)
    _set_limit(body, attempt.max_tokens, dialect)
    _set_reasoning(body, dialect)
    for name in GATEWAY_FIELDS:
        body.pop(name, None)
    if not dialect.cache_hints:
        body.pop("cache_control", None)
    if attempt.user_hash:
        body["user"] = attempt.user_hash
    _set_stream(body, attempt.stream, dialect)
    _apply_dialect(body, dialect)
    _clean_messages(body.get("messages"), dialect)
    body["model"] = attempt.provider_model_id
    try:
        return Prepared(PATH, orjson.dumps(body), hide_reasoning)
    except orjson.JSONEncodeError as error:
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body nests too deeply.") from error


def _hides_reasoning(body: Mapping[str, Any]) -> bool:
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict) and isinstance(reasoning.get("exclude"), bool):
        return bool(reasoning["exclude"])
    return body.get("include_reasoning") is False


def _drop_unsupported(body: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name in _REASONING_NAMES:
            for reasoning_name in _REASONING_NAMES:
                body.pop(reasoning_name, None)
        elif name in _LIMIT_NAMES:
            # The limit itself is a promise to the caller: only its name can be unsupported.
            other = _LIMIT_NAMES[1 - _LIMIT_NAMES.index(name)]
            value = body.pop(name, None)
            if value is not None and other not in names:
                body.setdefault(other, value)
        else:
            body.pop(name, None)


def _set_limit(body: dict[str, Any], override: int | None, dialect: Dialect) -> None:
    used = next((name for name in reversed(_LIMIT_NAMES) if name in body), None)
    value = override if override is not None else body.get(used or "")
    if value is None:
        return
    # Hosts refuse to be given both names.
    for name in _LIMIT_NAMES:
        body.pop(name, None)
    body[dialect.limit_name or used or "max_tokens"] = value


def _set_reasoning(body: dict[str, Any], dialect: Dialect) -> None:
    if dialect.reasoning is Reasoning.OBJECT:
        return
    reasoning = body.pop("reasoning", None)
    effort = body.get("reasoning_effort")
    if effort is None and isinstance(reasoning, dict):
        effort = _effort(reasoning, body)
    if effort is None:
        return
    if dialect.reasoning is Reasoning.EFFORT:
        body["reasoning_effort"] = effort
        return
    wanted = effort != "none"
    if dialect.reasoning is Reasoning.THINKING:
        body.pop("reasoning_effort", None)
        body.setdefault("thinking", {"type": "enabled" if wanted else "disabled"})
    else:
        body.pop("reasoning_effort", None)
        body.setdefault("enable_thinking", wanted)
        if wanted and isinstance(reasoning, dict) and isinstance(reasoning.get("max_tokens"), int):
            body.setdefault("thinking_budget", reasoning["max_tokens"])


def _effort(reasoning: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
    effort = reasoning.get("effort")
    if isinstance(effort, str):
        return effort
    enabled = reasoning.get("enabled")
    if enabled is False:
        return "none"
    budget = reasoning.get("max_tokens")
    if isinstance(budget, int) and not isinstance(budget, bool):
        limit = next((body[name] for name in _LIMIT_NAMES if isinstance(body.get(name), int)), 0)
        if limit <= 0:
            return "medium"
        return next((name for share, name in _EFFORT_BY_SHARE if budget < share * limit), "xhigh")
    return "medium" if enabled is True else None


def _set_stream(body: dict[str, Any], stream: bool, dialect: Dialect) -> None:
    body["stream"] = stream
    options = body.pop("stream_options", None)
    if stream and dialect.stream_options:
        kept = options if isinstance(options, dict) else {}
        body["stream_options"] = {**kept, "include_usage": True}


def _apply_dialect(body: dict[str, Any], dialect: Dialect) -> None:
    for name in dialect.dropped:
        body.pop(name, None)
    for name, new_name in dialect.renamed.items():
        if name in body:
            body[new_name] = body.pop(name)
    if body.get("tool_choice") == "required":
        body["tool_choice"] = dialect.required_tool_choice
    if body.get("service_tier") == "fast":
        body["service_tier"] = "priority"


def _clean_messages(messages: Any, dialect: Dialect) -> None:
    """Takes out of messages what only we understand: strict hosts answer 400 to it."""
    if not isinstance(messages, list):
        return
    for message in messages:
        if not isinstance(message, dict):
            continue
        if message.get("role") == "assistant" and dialect.history is not History.KEPT:
            _clean_history(message, dialect.history)
        content = message.get("content")
        if isinstance(content, list) and not dialect.cache_hints:
            for part in content:
                if isinstance(part, dict):
                    part.pop("cache_control", None)


def _clean_history(message: dict[str, Any], history: History) -> None:
    text = message.get("reasoning") or message.get("reasoning_content")
    for name in _MESSAGE_ONLY_OURS:
        message.pop(name, None)
    if not isinstance(text, str):
        return
    if history is History.AS_REASONING:
        message["reasoning"] = text
    elif history is History.AS_REASONING_CONTENT and message.get("tool_calls"):
        message["reasoning_content"] = text
