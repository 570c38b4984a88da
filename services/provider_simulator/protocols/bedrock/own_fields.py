"""What a maker's models know beyond Converse: `additionalModelRequestFields`, and how it goes with the rest.

Owns these fields by maker. Invariant: a field that the maker does not know is refused, as the service's own checks do.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.strict import (
    Check,
    InvalidError,
    Problem,
    anything,
    boolean,
    fields,
    filled,
    integer,
    items,
    one_of,
    tagged,
    wrong,
)

_KIND: Check = anything
_MOST_TOKENS = 128_000
_DISPLAY: Mapping[str, Check] = {"type": _KIND, "display": one_of("summarized", "omitted")}
_THINKS = tagged(
    {
        "enabled": fields({**_DISPLAY, "budget_tokens": integer(1024, _MOST_TOKENS)}, ["budget_tokens"]),
        "adaptive": fields(_DISPLAY),
        "disabled": fields({"type": _KIND}),
    }
)
_CLAUDE = fields(
    {
        "thinking": _THINKS,
        "output_config": fields({"effort": one_of("low", "medium", "high", "xhigh", "max")}),
        "top_k": integer(0, 500),
        "anthropic_beta": items(filled),
        "tool_choice": tagged({"auto": fields({"type": _KIND, "disable_parallel_tool_use": boolean})}),
    }
)
_NOVA = fields(
    {
        "inferenceConfig": fields({"topK": integer(0, 128)}),
        "reasoningConfig": fields(
            {"type": one_of("enabled", "disabled"), "maxReasoningEffort": one_of("low", "medium", "high")}, ["type"]
        ),
    }
)
_OPENAI = fields({"reasoning_effort": one_of("low", "medium", "high")})
_QWEN = fields({"reasoning_config": one_of("low", "high")})
_OTHERS = fields({})
_TEXT_FORMAT = re.compile(
    r"claude-(?:(?:opus|sonnet|haiku)-4-[56])(?!\d)|qwen3|gpt-oss|deepseek\.v3|gemma-3-(?:12|27)b|minimax-m2|moonshot"
    r"|magistral|ministral-3|mistral-large-3|voxtral|nemotron-nano|zai\."
)
# Where a tool result stands, nothing else may; Claude takes no documents there.
_RESULTS_ALONE = re.compile(r"meta\.|mistral\.|writer\.")


def is_claude(model: str) -> bool:
    return "claude" in model


def knows_text_format(model: str) -> bool:
    return _TEXT_FORMAT.search(model) is not None


def refused_beside_results(model: str) -> frozenset[str]:
    """The blocks that may not stand in a message with tool results."""
    if _RESULTS_ALONE.search(model):
        return frozenset({"text", "image", "document", "audio", "video"})
    return frozenset({"document", "video"}) if is_claude(model) else frozenset()


def thinks(body: Mapping[str, Any]) -> bool:
    """Whether the model is told to think, in whatever maker's words."""
    told = body.get("additionalModelRequestFields", {})
    return (
        told.get("thinking", {}).get("type") in {"enabled", "adaptive"}
        or told.get("reasoningConfig", {}).get("type") == "enabled"
        or "reasoning_effort" in told
        or "reasoning_config" in told
    )


def check_own_fields(body: Mapping[str, Any], model: str) -> None:
    """Checks the maker's own fields.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    told = body.get("additionalModelRequestFields", {})
    try:
        _check_of(model)((), told)
    except InvalidError as error:
        if error.problem is Problem.UNKNOWN:
            words = f"Malformed input request: #: extraneous key [{error.where[-1]}] is not permitted"
            raise InvalidError(("additionalModelRequestFields", *error.where), error.problem, words) from None
        raise wrong(("additionalModelRequestFields", *error.where), error.words) from None
    config = body.get("inferenceConfig", {})
    if "openai.gpt-5" in model and config.keys() & {"temperature", "topP"}:
        raise wrong((), "This model doesn't support the temperature field. Remove temperature and try again.")
    if told.get("reasoningConfig", {}).get("maxReasoningEffort") == "high" and config.keys() - {"stopSequences"}:
        raise wrong((), "inferenceConfig cannot be set with the highest reasoning effort.")
    if is_claude(model):
        _check_claude(model, body, config, told)


def _check_of(model: str) -> Check:
    if is_claude(model):
        return _CLAUDE
    if "amazon.nova" in model:
        return _NOVA
    if "qwen3" in model:
        return _QWEN
    return _OPENAI if "openai.gpt-oss" in model else _OTHERS


def _check_claude(model: str, body: Mapping[str, Any], config: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    if "temperature" in config and "topP" in config and "claude-3" not in model:
        raise wrong((), "`temperature` and `top_p` cannot both be specified for this model.")
    thinking = told.get("thinking", {})
    if thinking.get("type") not in {"enabled", "adaptive"}:
        return
    if thinking.get("budget_tokens", 0) >= config.get("maxTokens", 4_096):
        raise wrong((), "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if config.get("temperature", 1) != 1 or "top_k" in told:
        raise wrong((), "`temperature` may only be set to 1 when thinking is enabled.")
    if body.get("toolConfig", {}).get("toolChoice", {}).keys() & {"any", "tool"}:
        raise wrong((), "Thinking may not be enabled when tool_choice forces tool use.")
    messages = body["messages"]
    if thinking["type"] == "enabled" and "toolResult" in messages[-1]["content"][0]:
        first = next(iter(messages[-2]["content"][0]))
        if first != "reasoningContent":
            where = ("messages", len(messages) - 2, "content", 0, "type")
            raise wrong(where, f"Expected `thinking` or `redacted_thinking`, but found `{first}`.")
