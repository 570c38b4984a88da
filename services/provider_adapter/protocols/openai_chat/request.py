"""The caller's chat request as a host of the chat format wants it.

Owns what is set, renamed and left out. Does not judge the request: the edge has checked it, the provider will.
Invariant: fields that steer the gateway and the caller's raw `user` never reach a provider; unknown fields do.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from libs.errors import AppError, Kind
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS, PLAIN, Dialect
from services.provider_adapter.protocols.openai_chat.messages import suit_messages
from services.provider_adapter.protocols.openai_chat.reasoning import (
    LIMIT_NAMES,
    drop_what_thinkers_refuse,
    set_reasoning,
    suit_dashscope,
    suit_groq,
    suit_xai,
)
from services.provider_adapter.protocols.openai_models import Traits, traits_of
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
_REASONING_NAMES = ("reasoning", "reasoning_effort", "include_reasoning")
# Hosts of OpenAI's own models: what these refuse is known.
_OPENAIS = frozenset({"openai", "azure"})


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
    model = attempt.provider_model_id
    traits = traits_of(model)
    _drop_unsupported(body, attempt.unsupported_parameters)
    _set_limit(body, attempt.max_tokens, _limit_name(dialect_name, dialect, traits))
    set_reasoning(body, model, dialect, traits)
    for name in GATEWAY_FIELDS:
        body.pop(name, None)
    if not dialect.cache_hints:
        body.pop("cache_control", None)
    if attempt.user_hash:
        body["user"] = attempt.user_hash
    _set_stream(body, attempt.stream, dialect)
    _set_tier(body, attempt.service_tier if dialect_name in _OPENAIS else "", dialect)
    _apply_dialect(body, dialect)
    _suit(body, model, dialect_name, traits, hidden=hide_reasoning)
    takes_system = dialect_name not in _OPENAIS or traits.takes_system
    if "messages" in body:
        body["messages"] = suit_messages(body["messages"], dialect, takes_system=takes_system)
    body["model"] = model
    if dialect.known is not None:
        body = {name: value for name, value in body.items() if name in dialect.known}
    try:
        return Prepared(PATH, orjson.dumps(body), hide_reasoning, dialect=dialect_name, tools=body.get("tools"))
    except orjson.JSONEncodeError as error:
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body nests too deeply.") from error


def _limit_name(dialect_name: str, dialect: Dialect, traits: Traits) -> str | None:
    """Azure keeps models of others, too, which know the old name alone."""
    if dialect_name == "azure" and traits.reasons:
        return "max_completion_tokens"
    return dialect.limit_name


def _suit(body: dict[str, Any], model: str, dialect_name: str, traits: Traits, *, hidden: bool) -> None:
    """What hosts take of some of their models alone."""
    match dialect_name:
        case "openai" | "azure":
            drop_what_thinkers_refuse(body, traits)
        case "groq":
            suit_groq(body, model, hidden=hidden)
            if body.get("n") != 1:
                body.pop("n", None)
        case "xai":
            suit_xai(body, model)
        case "dashscope":
            suit_dashscope(body, model)


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
        elif name in LIMIT_NAMES:
            # The limit itself is a promise to the caller: only its name can be unsupported.
            other = LIMIT_NAMES[1 - LIMIT_NAMES.index(name)]
            value = body.pop(name, None)
            if value is not None and other not in names:
                body.setdefault(other, value)
        else:
            body.pop(name, None)


def _set_limit(body: dict[str, Any], override: int | None, name: str | None) -> None:
    used = next((name for name in reversed(LIMIT_NAMES) if name in body), None)
    value = override if override is not None else body.get(used or "")
    if value is None:
        return
    # Hosts refuse to be given both names.
    for other in LIMIT_NAMES:
        body.pop(other, None)
    body[name or used or "max_tokens"] = value


def _set_stream(body: dict[str, Any], stream: bool, dialect: Dialect) -> None:
    body["stream"] = stream
    options = body.pop("stream_options", None)
    if stream and dialect.stream_options:
        kept = options if isinstance(options, dict) else {}
        body["stream_options"] = {**kept, "include_usage": True}


def _set_tier(body: dict[str, Any], endpoints_own: str, dialect: Dialect) -> None:
    tier = endpoints_own or body.get("service_tier")
    if not isinstance(tier, str):
        return
    tier = "priority" if tier == "fast" else tier
    if dialect.tiers is None:
        body["service_tier"] = tier
    elif tier in dialect.tiers:
        body["service_tier"] = dialect.tiers[tier]
    else:
        body.pop("service_tier", None)


def _apply_dialect(body: dict[str, Any], dialect: Dialect) -> None:
    for name in dialect.dropped:
        body.pop(name, None)
    for name, new_name in dialect.renamed.items():
        if name in body:
            body[new_name] = body.pop(name)
    if body.get("tool_choice") == "required":
        body["tool_choice"] = dialect.required_tool_choice
    if not body.get("tools"):
        # Both are refused without tools.
        body.pop("parallel_tool_calls", None)
        if "tools" in body or body.get("tool_choice") in {"none", "auto"}:
            body.pop("tool_choice", None)
            body.pop("tools", None)
    most, temperature = dialect.most_temperature, body.get("temperature")
    if most is not None and isinstance(temperature, int | float) and temperature > most:
        body["temperature"] = most
    if not dialect.has_schemas:
        _set_plain_json(body)
    body.update(dialect.always)


def _set_plain_json(body: dict[str, Any]) -> None:
    """A schema becomes words of the system's: such hosts know plain JSON alone, and want to be told in words, too."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    body["response_format"] = {"type": "json_object"}
    messages = body.get("messages")
    if isinstance(schema, dict) and isinstance(messages, list):
        words = f"Answer with JSON that fits this JSON schema: {orjson.dumps(schema).decode()}"
        body["messages"] = [{"role": "system", "content": words}, *messages]
