"""How hosts of the chat format differ in what they accept and answer (reference wire facts §7).

Owns the table of dialects. Does not apply it: request.py, messages.py and the modules of replies do. Invariant: a host
that is not listed gets the plain format.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Reasoning(Enum):
    """How a host is told to think."""

    EFFORT = "reasoning_effort"
    OBJECT = "reasoning, as the caller wrote it"
    ENABLED = "reasoning: {enabled}, and reasoning_effort for models that have levels"
    THINKING = "thinking: {type}"
    THINKING_EFFORT = "thinking: {type} and reasoning_effort"
    BUDGET = "thinking: {type, budget_tokens} for a budget, else reasoning_effort"
    ENABLE_THINKING = "enable_thinking and thinking_budget"
    PROMPT_MODE = "prompt_mode for models that only think, reasoning_effort high or none for others"


class History(Enum):
    """What becomes of the reasoning in the caller's earlier assistant messages."""

    DROPPED = "left out"
    KEPT = "as the caller wrote it"
    AS_REASONING = "the text, as `reasoning`"
    AS_REASONING_CONTENT = "the text, as `reasoning_content`, inside tool loops"


class Prefill(Enum):
    """How a host is told to go on from a last message of the assistant's."""

    PLAIN = "it is not told"
    PREFIX = "prefix: true"
    PARTIAL = "partial: true"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One host's deviations.

    Attributes:
        limit_name: the one name the host takes for the output limit; none: whichever the caller used.
        stream_options: whether usage has to be asked for in streams.
        efforts: the levels of thinking that the host knows, weakest first; none: those of the model, or any.
        renamed: parameters under another name.
        dropped: parameters the host refuses.
        known: the only parameters the host takes; none: it does not mind others.
        most_temperature: what is above is lowered to it.
        tiers: the host's words for service tiers; a tier without one is left out. None: they pass as they are.
        required_tool_choice: the host's word for `tool_choice: "required"`.
        has_schemas: whether `response_format` may be a schema; else plain JSON is asked for.
        cache_hints: whether `cache_control` is understood.
        developer: whether messages of the role `developer` are; else they are the system's.
        names: whether messages may carry a name.
        documents: files are `document_url` parts, and sound is text.
        alternates: whether user and assistant must take turns, without tools.
        speaks_after_tools: whether the assistant must speak between a tool's result and the user.
        id_length: the exact length of tool call ids, of letters and digits; 0: any.
        always: parameters that every request carries.
        think_tags: models whose thoughts stand in the content, in `<think>` at its beginning.
        ends_unsaid: whether a reply that ends without a finish reason is complete.
    """

    limit_name: str | None = None
    stream_options: bool = True
    reasoning: Reasoning = Reasoning.EFFORT
    efforts: tuple[str, ...] = ()
    history: History = History.DROPPED
    prefill: Prefill = Prefill.PLAIN
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    known: frozenset[str] | None = None
    most_temperature: float | None = None
    tiers: Mapping[str, str] | None = None
    required_tool_choice: str = "required"
    has_schemas: bool = True
    cache_hints: bool = False
    developer: bool = False
    names: bool = True
    documents: bool = False
    alternates: bool = False
    speaks_after_tools: bool = False
    id_length: int = 0
    always: Mapping[str, object] = field(default_factory=dict)
    think_tags: re.Pattern[str] | None = None
    ends_unsaid: bool = False


PLAIN = Dialect()

_LEVELS = ("low", "medium", "high")
_COMMON = frozenset(
    {
        "model",
        "messages",
        "stream",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "frequency_penalty",
        "presence_penalty",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
    }
)
_OPENAI = _COMMON | {
    "max_completion_tokens",
    "stream_options",
    "seed",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "modalities",
    "audio",
    "prediction",
    "verbosity",
    "service_tier",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "web_search_options",
    "functions",
    "function_call",
    "store",
    "moderation",
}
_MISTRAL = _COMMON | {"random_seed", "prediction", "prompt_mode", "safe_prompt", "prompt_cache_key", "guardrails"}
_GROQ = _COMMON | {
    "max_completion_tokens",
    "stream_options",
    "seed",
    "user",
    "service_tier",
    "reasoning_format",
    "include_reasoning",
    "search_settings",
    "compound_custom",
    "documents",
    "citation_options",
    "disable_tool_validation",
}
_WATSONX = (_COMMON - {"parallel_tool_calls"}) | {
    "max_completion_tokens",
    "seed",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "include_reasoning",
    "chat_template_kwargs",
    "repetition_penalty",
    "length_penalty",
    "time_limit",
    "guided_choice",
    "guided_regex",
    "guided_grammar",
    "guided_json",
}
_LOGPROBS = frozenset({"logit_bias", "logprobs", "top_logprobs"})

DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(limit_name="max_completion_tokens", known=_OPENAI, developer=True),
    "azure": Dialect(known=_OPENAI - {"moderation", "safety_identifier"}, developer=True),
    "groq": Dialect(
        history=History.AS_REASONING,
        dropped=_LOGPROBS,
        known=_GROQ,
        tiers={"auto": "auto", "default": "on_demand", "on_demand": "on_demand", "flex": "flex"},
    ),
    "mistral": Dialect(
        limit_name="max_tokens",
        stream_options=False,
        reasoning=Reasoning.PROMPT_MODE,
        prefill=Prefill.PREFIX,
        renamed={"seed": "random_seed"},
        dropped=_LOGPROBS | {"user"},
        known=_MISTRAL,
        required_tool_choice="any",
        names=False,
        documents=True,
        speaks_after_tools=True,
        id_length=9,
    ),
    "deepseek": Dialect(
        reasoning=Reasoning.THINKING_EFFORT,
        efforts=("high", "max"),
        history=History.AS_REASONING_CONTENT,
        has_schemas=False,
    ),
    "moonshot": Dialect(
        reasoning=Reasoning.THINKING,
        history=History.AS_REASONING_CONTENT,
        prefill=Prefill.PARTIAL,
        most_temperature=1.0,
    ),
    "zai": Dialect(
        reasoning=Reasoning.THINKING,
        history=History.AS_REASONING_CONTENT,
        most_temperature=1.0,
        has_schemas=False,
    ),
    "dashscope": Dialect(reasoning=Reasoning.ENABLE_THINKING, cache_hints=True),
    "cerebras": Dialect(
        limit_name="max_completion_tokens",
        dropped=frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "service_tier"}),
    ),
    "xai": Dialect(dropped=frozenset({"search_parameters", "logit_bias"})),
    "together": Dialect(reasoning=Reasoning.ENABLED, efforts=_LEVELS),
    "fireworks": Dialect(reasoning=Reasoning.BUDGET, efforts=("none", *_LEVELS)),
    "perplexity": Dialect(
        stream_options=False,
        efforts=("minimal", *_LEVELS),
        dropped=frozenset({"tools", "tool_choice", "parallel_tool_calls"}),
        alternates=True,
        think_tags=re.compile("reasoning"),
    ),
    "minimax": Dialect(always={"reasoning_split": True}, history=History.KEPT),
    "ollama": Dialect(efforts=("none", *_LEVELS, "max")),
    "snowflake": Dialect(ends_unsaid=True),
    "watsonx": Dialect(
        limit_name="max_completion_tokens",
        stream_options=False,
        efforts=_LEVELS,
        dropped=frozenset({"service_tier", "user"}),
        known=_WATSONX,
    ),
    "openrouter": Dialect(reasoning=Reasoning.OBJECT, history=History.KEPT, cache_hints=True, developer=True),
}
