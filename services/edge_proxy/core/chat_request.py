"""A chat completion request: parsed, checked, and reduced to what its way through the services needs.

Owns which fields are documented, their types and ranges (reference api-facts §3.1). Does not rewrite the body: the
provider adapter gets the caller's bytes. Invariant: unknown fields are ignored here and passed on.
"""

from typing import Final

from libs.tokens import TokenCounter
from services.edge_proxy.core import fields
from services.edge_proxy.core.body_fields import (
    MAX_TOKENS_BOUND,
    check_logit_bias,
    check_metadata,
    check_stop,
    encoded,
    load_object,
    read_models,
    read_provider,
    read_session,
    read_trace,
    read_user,
)
from services.edge_proxy.core.chat_details import check_details
from services.edge_proxy.core.conversation import conversation_of
from services.edge_proxy.core.fields import Json, Object, invalid
from services.edge_proxy.core.messages import MessageFacts, read_messages
from services.edge_proxy.core.request import InferenceRequest
from services.edge_proxy.core.router_options import NO_OPTIONS, read_router_options

MEDIA_PART_TOKENS: Final = 1_500
"""What one image, audio or file part is taken to cost in prompt tokens until the provider says better."""
_TOKENS_PER_MESSAGE: Final = 4
_TOKENS_PRIMING: Final = 3

_EFFORTS = frozenset({"max", "xhigh", "high", "medium", "low", "minimal", "none"})
_TIERS = frozenset({"auto", "default", "fast", "flex", "priority", "scale"})
_VERBOSITIES = frozenset({"low", "medium", "high", "xhigh", "max"})
_MODALITIES = frozenset({"text", "image", "audio"})
_OBJECTS: Final = (
    "stream_options", "reasoning", "prediction", "usage", "logit_bias", "web_search_options", "debug",
    "cache_control", "image_config", "prompt_cache_options",
)  # fmt: skip
_RANGES: Final = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("top_a", 0.0, 1.0),
    ("frequency_penalty", -2.0, 2.0),
    ("presence_penalty", -2.0, 2.0),
    ("repetition_penalty", 0.0, 2.0),
)
_WHOLE_RANGES: Final = (
    ("top_k", 0, 2**31 - 1),
    ("top_logprobs", 0, 20),
    ("seed", -(2**63), 2**63 - 1),
    ("max_tokens", 1, MAX_TOKENS_BOUND),
    ("max_completion_tokens", 1, MAX_TOKENS_BOUND),
    ("n", 1, 128),
)
PARAMETERS: Final = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty",
        "repetition_penalty", "max_tokens", "max_completion_tokens", "logit_bias", "logprobs", "top_logprobs",
        "prediction", "seed", "response_format", "structured_outputs", "stop", "tools", "tool_choice",
        "parallel_tool_calls", "include_reasoning", "reasoning", "reasoning_effort", "web_search_options", "verbosity",
    }
)  # fmt: skip
"""The names that `supported_parameters` of endpoints may hold (reference api-facts §4)."""


def parse_chat_request(body: bytes, counter: TokenCounter) -> InferenceRequest:
    """Checks a body.

    Raises:
        AppError: 400 that names the field, or says where the JSON breaks.
    """
    return read_chat_request(load_object(body), body, counter)


def read_chat_request(source: Object, body: bytes, counter: TokenCounter) -> InferenceRequest:
    """Checks a body that was parsed before.

    Raises:
        AppError: 400 that names the field.
    """
    models = read_models(source)
    facts = read_messages(source)
    _check_parameters(source)
    tools = fields.items(source, "tools", max_items=4096)
    response_format = fields.mapping(source, "response_format")
    choices = source.get("n") or 1
    return InferenceRequest(
        body=body,
        models=models,
        stream=fields.flag(source, "stream") or False,
        max_tokens=_max_tokens(source),
        choices=int(choices),
        prompt_tokens=_estimate(facts, tools, response_format, counter),
        parameters=tuple(name for name in source if name in PARAMETERS and source[name] is not None),
        uses_tools=bool(tools),
        uses_response_format=response_format is not None and response_format.get("type") != "text",
        uses_json_schema=response_format is not None and response_format.get("type") == "json_schema",
        modalities=tuple(sorted(facts.modalities)),
        output_modalities=tuple(one for one in source.get("modalities") or () if one != "text"),
        service_tier=source.get("service_tier") or "",
        conversation=conversation_of(source["messages"], source.get("prompt_cache_key") or ""),
        router=NO_OPTIONS if source.get("plugins") is None else read_router_options(source),
        preferences=read_provider(source),
        user=read_user(source),
        session_id=read_session(source),
        trace_json=read_trace(source),
    )


def _check_parameters(source: Object) -> None:
    for name, low, high in _RANGES:
        if name in source:
            fields.number(source, name, low, high)
    for name, least, most in _WHOLE_RANGES:
        if name in source:
            fields.whole(source, name, least, most)
    for name in ("logprobs", "parallel_tool_calls", "include_reasoning", "structured_outputs"):
        if name in source:
            fields.flag(source, name)
    for name in _OBJECTS:
        if name in source:
            fields.mapping(source, name)
    _check_choices(source)
    check_stop(source)
    check_details(source)
    check_logit_bias(source)
    check_metadata(source)


def _check_choices(source: Object) -> None:
    effort = fields.member(source, "reasoning_effort", _EFFORTS)
    fields.member(source, "service_tier", _TIERS)
    fields.member(source, "verbosity", _VERBOSITIES)
    fields.text(source, "prompt_cache_key")
    for index, name in enumerate(fields.texts(source, "modalities", max_items=16) or ()):
        if name not in _MODALITIES:
            raise invalid(f"modalities.{index}", f"must be one of {', '.join(sorted(_MODALITIES))}")
    reasoning = source.get("reasoning") or {}
    other = fields.member(reasoning, "effort", _EFFORTS, path="reasoning.")
    if effort is not None and other is not None and effort != other:
        raise invalid("reasoning_effort", "differs from reasoning.effort")
    fields.whole(reasoning, "max_tokens", 1, MAX_TOKENS_BOUND, path="reasoning.")


def _max_tokens(source: Object) -> int | None:
    value = source.get("max_completion_tokens")
    if value is None:
        value = source.get("max_tokens")
    return None if value is None else int(value)


def _estimate(
    facts: MessageFacts, tools: list[Json] | None, response_format: Object | None, counter: TokenCounter
) -> int:
    """OpenAI's chat formula: three tokens and the role's one a message, three to prime, plus every text; media parts at a flat rate."""
    count = counter.count
    total = _TOKENS_PRIMING + _TOKENS_PER_MESSAGE * facts.messages + MEDIA_PART_TOKENS * facts.media_parts
    total += sum(counter.count_each(facts.texts))
    if tools:
        total += count(encoded("tools", tools).decode())
    if response_format is not None and "json_schema" in response_format:
        total += count(encoded("response_format", response_format["json_schema"]).decode())
    return total
