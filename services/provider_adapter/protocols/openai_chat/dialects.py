"""How hosts of the chat format differ in what they accept (reference wire facts §7).

Owns the table of dialects. Does not apply it: request.py does. Invariant: a host that is not listed gets the plain
format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Reasoning(Enum):
    """How a host is told to think."""

    EFFORT = "reasoning_effort"
    OBJECT = "reasoning, as the caller wrote it"
    THINKING = "thinking: {type}"
    ENABLE_THINKING = "enable_thinking and thinking_budget"


class History(Enum):
    """What becomes of the reasoning in the caller's earlier assistant messages."""

    DROPPED = "left out"
    KEPT = "as the caller wrote it"
    AS_REASONING = "the text, as `reasoning`"
    AS_REASONING_CONTENT = "the text, as `reasoning_content`, inside tool loops"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One host's deviations.

    Attributes:
        limit_name: the one name the host takes for the output limit; none: whichever the caller used.
        stream_options: whether usage has to be asked for in streams.
        renamed: parameters under another name.
        dropped: parameters the host refuses.
        required_tool_choice: the host's word for `tool_choice: "required"`.
        cache_hints: whether `cache_control` is understood.
    """

    limit_name: str | None = None
    stream_options: bool = True
    reasoning: Reasoning = Reasoning.EFFORT
    history: History = History.DROPPED
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    required_tool_choice: str = "required"
    cache_hints: bool = False


PLAIN = Dialect()

DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(limit_name="max_completion_tokens"),
    "groq": Dialect(history=History.AS_REASONING, dropped=frozenset({"logit_bias", "logprobs", "top_logprobs"})),
    "mistral": Dialect(
        limit_name="max_tokens",
        stream_options=False,
        renamed={"seed": "random_seed"},
        dropped=frozenset({"user", "logit_bias", "logprobs", "top_logprobs"}),
        required_tool_choice="any",
    ),
    "deepseek": Dialect(reasoning=Reasoning.THINKING, history=History.AS_REASONING_CONTENT),
    "moonshot": Dialect(reasoning=Reasoning.THINKING, history=History.AS_REASONING_CONTENT),
    "zai": Dialect(reasoning=Reasoning.THINKING, history=History.AS_REASONING_CONTENT),
    "dashscope": Dialect(reasoning=Reasoning.ENABLE_THINKING, cache_hints=True),
    "cerebras": Dialect(limit_name="max_completion_tokens"),
    "perplexity": PLAIN,
    "openrouter": Dialect(reasoning=Reasoning.OBJECT, history=History.KEPT, cache_hints=True),
}
