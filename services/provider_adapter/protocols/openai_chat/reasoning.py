"""How a host of the chat format is told to think.

Owns the caller's wish in each host's words. Does not own what hosts know (dialects.py) or what OpenAI's models do
(openai_models.py). Invariant: the caller's `reasoning` object reaches those hosts alone that have it themselves.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.openai_chat.dialects import Dialect, Reasoning
from services.provider_adapter.protocols.openai_models import Traits, nearest_effort

LIMIT_NAMES = ("max_tokens", "max_completion_tokens")

# Shares of the output limit that efforts stand for (reference behaviour-facts §13), as upper bounds.
_EFFORT_BY_SHARE = ((0.15, "minimal"), (0.35, "low"), (0.65, "medium"), (0.875, "high"))
_LEAST_BUDGET = 1024
_GROQ_THINKERS = re.compile(r"qwen-?3|qwq|deepseek-r1")
_QWEN_OPEN = re.compile(r"qwen3-\d|qwq|qwen3-.*-a\d+b")
_GROK = re.compile(r"grok-(?:(?P<major>\d{1,2})(?:[.-](?P<minor>\d{1,2})(?!\d))?|code)")
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias")
_XAI_REFUSES = ("presence_penalty", "frequency_penalty", "stop")


class Wish(NamedTuple):
    """What the caller said: an effort (`none`: do not), and a budget in tokens."""

    effort: str | None
    budget_tokens: int | None

    @property
    def wanted(self) -> bool:
        return self.effort != "none"


def take_wish(body: dict[str, Any]) -> Wish:
    """Takes the caller's `reasoning` out of the body and reads it."""
    reasoning = body.pop("reasoning", None)
    effort = body.get("reasoning_effort")
    told = reasoning if isinstance(reasoning, dict) else {}
    if not isinstance(effort, str):
        effort = _effort(told, body)
    budget = told.get("max_tokens")
    return Wish(effort, budget if type(budget) is int and budget > 0 else None)


def set_reasoning(body: dict[str, Any], model: str, dialect: Dialect, traits: Traits) -> None:
    """Says how hard to think in the host's own words, if the caller said anything."""
    if dialect.reasoning is Reasoning.OBJECT:
        return
    wish = take_wish(body)
    if wish.effort is None:
        return
    body.pop("reasoning_effort", None)
    if not _set_modes(body, model, dialect.reasoning, wish, traits):
        _set_effort(body, wish.effort, dialect, traits)


def _set_modes(body: dict[str, Any], model: str, how: Reasoning, wish: Wish, traits: Traits) -> bool:
    """Fields beside the effort; tells whether they say it all."""
    thinking = {"type": "enabled" if wish.wanted else "disabled"}
    match how:
        case Reasoning.THINKING | Reasoning.THINKING_EFFORT:
            body.setdefault("thinking", thinking)
            return how is Reasoning.THINKING or not wish.wanted
        case Reasoning.ENABLED if not traits.efforts:
            body["reasoning"] = {"enabled": wish.wanted}
        case Reasoning.BUDGET if wish.budget_tokens is not None and wish.budget_tokens >= _LEAST_BUDGET:
            body.setdefault("thinking", {**thinking, "budget_tokens": wish.budget_tokens})
        case Reasoning.ENABLE_THINKING:
            body.setdefault("enable_thinking", wish.wanted)
            if wish.wanted and wish.budget_tokens is not None:
                body.setdefault("thinking_budget", wish.budget_tokens)
        case Reasoning.PROMPT_MODE if "magistral" not in model.lower():
            body["reasoning_effort"] = "high" if wish.wanted else "none"
        case Reasoning.PROMPT_MODE:
            if wish.wanted:
                body.setdefault("prompt_mode", "reasoning")
        case _:
            return False
    return True


def drop_what_thinkers_refuse(body: dict[str, Any], traits: Traits) -> None:
    """OpenAI's models take no sampling parameters while they think."""
    effort = body.get("reasoning_effort")
    if traits.thinks_at(effort if isinstance(effort, str) else None):
        for name in (*_SAMPLING, "stop"):
            body.pop(name, None)
    if not traits.takes_parallel:
        body.pop("parallel_tool_calls", None)


def suit_groq(body: dict[str, Any], model: str, *, hidden: bool) -> None:
    """Models that would leave their thoughts in the content are told to put them apart; they know on and off alone."""
    if _GROQ_THINKERS.search(model.lower()) is None:
        return
    if "reasoning_format" not in body and "include_reasoning" not in body:
        body["reasoning_format"] = "hidden" if hidden else "parsed"
    if "reasoning_effort" in body:
        body["reasoning_effort"] = "none" if body["reasoning_effort"] == "none" else "default"


def suit_xai(body: dict[str, Any], model: str) -> None:
    """Grok's thinkers refuse some parameters, and most of them a say in how hard they think."""
    name = model.lower().rpartition("/")[2]
    found = _GROK.search(name)
    if found is None or "non-reasoning" in name:
        return
    version = (int(found["major"] or 4), int(found["minor"] or 0)) if found["major"] else (4, 0)
    mini = "mini" in name
    if version < (4, 0) and not mini:
        body.pop("reasoning_effort", None)
        return
    for parameter in _XAI_REFUSES:
        body.pop(parameter, None)
    # A minor of one digit is a version; 4-0709 and 4-fast are plain 4.
    leveled = mini or version >= (4, 2)
    if not leveled:
        body.pop("reasoning_effort", None)
    elif mini and "reasoning_effort" in body:
        body["reasoning_effort"] = nearest_effort(body["reasoning_effort"], ("low", "high"))


def suit_dashscope(body: dict[str, Any], model: str) -> None:
    """Open Qwen models think unless they are told not to, and then only stream."""
    if not body.get("stream") and _QWEN_OPEN.match(model.lower()):
        body["enable_thinking"] = False
        body.pop("thinking_budget", None)


def _set_effort(body: dict[str, Any], effort: str, dialect: Dialect, traits: Traits) -> None:
    told = traits.effort(effort)
    if told is not None and dialect.efforts and not traits.efforts:
        told = nearest_effort(told, dialect.efforts)
    if told is not None:
        body["reasoning_effort"] = told


def _effort(reasoning: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
    effort = reasoning.get("effort")
    if isinstance(effort, str):
        return effort
    enabled = reasoning.get("enabled")
    if enabled is False:
        return "none"
    budget = reasoning.get("max_tokens")
    if isinstance(budget, int) and not isinstance(budget, bool):
        limit = next((body[name] for name in LIMIT_NAMES if isinstance(body.get(name), int)), 0)
        if limit <= 0:
            return "medium"
        return next((name for share, name in _EFFORT_BY_SHARE if budget < share * limit), "xhigh")
    return "medium" if enabled is True else None
