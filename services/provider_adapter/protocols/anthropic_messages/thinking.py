"""How Claude is told to think, at whichever host.

Owns `thinking` and `output_config.effort`. Does not own where they stand in a request. Invariant: a budget leaves room
for an answer.
"""

from typing import Any

from services.provider_adapter.protocols.anthropic_messages.models import Thinking, Traits, nearest_effort
from services.provider_adapter.protocols.chat_body import ChatBody

_LEAST_BUDGET = 1_024
_MOST_BUDGET = 128_000


def thinking_fields(chat: ChatBody, traits: Traits, limit: int, *, forced: bool, lost: bool) -> dict[str, Any]:
    """The fields to set; none where nothing is wanted.

    Args:
        chat: the caller's request.
        traits: the model's.
        limit: of output tokens, thinking included.
        forced: a call is; that leaves no room for thinking, and both together are refused.
        lost: a tool loop is under way whose thinking did not come back: to go on thinking is refused.
    """
    reasoning = chat.reasoning
    verbosity = chat.fields.get("verbosity")
    effort = verbosity if isinstance(verbosity, str) else None
    made: dict[str, Any] = {}
    if reasoning.wanted is False and traits.thinking is Thinking.ADAPTIVE:
        made["thinking"] = {"type": "disabled"}
    if reasoning.wanted and not forced:
        if traits.thinking is Thinking.ADAPTIVE:
            made["thinking"] = {"type": "adaptive"}
            if traits.display and not chat.hide_reasoning:
                made["thinking"]["display"] = "summarized"
            effort = effort or reasoning.effort_within(limit)
        elif traits.thinking is Thinking.BUDGET and not lost:
            budget_tokens = min(max(min(reasoning.budget(limit), _MOST_BUDGET), _LEAST_BUDGET), limit - 1)
            if budget_tokens >= _LEAST_BUDGET:
                made["thinking"] = {"type": "enabled", "budget_tokens": budget_tokens}
    if effort is not None and traits.efforts:
        made["output_config"] = {"effort": nearest_effort(effort, traits.efforts)}
    return made
