"""What models behind Bedrock's Converse can do, by their names (wire facts §6).

Owns the table. Does not know prices or context lengths. Invariant: a name that nobody has listed gets what most models
of Converse have, and nothing of a maker's own.
"""

import re
from enum import Enum
from typing import NamedTuple

from services.provider_adapter.protocols.anthropic_messages.models import Sampling
from services.provider_adapter.protocols.anthropic_messages.models import Thinking as ClaudeThinking
from services.provider_adapter.protocols.anthropic_messages.models import Traits as Claude
from services.provider_adapter.protocols.anthropic_messages.models import traits_of as claude_traits_of


class Thinking(Enum):
    """How a model is told to think, in `additionalModelRequestFields`."""

    NONE = "it cannot, or always does"
    CLAUDE = "thinking, output_config"
    NOVA = "reasoningConfig"
    EFFORT = "reasoning_effort"
    QWEN = "reasoning_config, low or high"


class TopK(Enum):
    """Where a model's own top_k stands, in `additionalModelRequestFields`."""

    NONE = "nowhere"
    PLAIN = "top_k"
    NOVA = "inferenceConfig.topK"


EVERYTHING = frozenset({"text", "image", "document", "audio", "video"})


class Traits(NamedTuple):
    """One model's abilities.

    Attributes:
        claude: what Claude can do; None: it is none.
        samples: whether temperature and top_p are known, where it is no Claude.
        choices: of `toolChoice`, beside auto.
        one_call: whether it can be told to make one call at a time.
        schemas: whether `outputConfig.textFormat` and strict tools are known.
        caches: whether cache points are known, and how many are.
        cache_times: whether a cache point may say how long it holds.
        tools_cached: whether one may stand among the tools.
        bare_schemas: the outermost object of a tool's schema holds nothing but its properties.
        in_results: media that tool results may hold.
        beside_results: what may stand in a message with tool results.
        result_status: whether a tool result may say that it is an error.
        system: whether `system` is known.
    """

    claude: Claude | None = None
    thinking: Thinking = Thinking.NONE
    samples: bool = True
    top_k: TopK = TopK.NONE
    choices: frozenset[str] = frozenset({"any", "tool"})
    one_call: bool = False
    schemas: bool = False
    caches: int = 0
    cache_times: bool = False
    tools_cached: bool = False
    bare_schemas: bool = False
    in_results: frozenset[str] = frozenset({"image"})
    beside_results: frozenset[str] = EVERYTHING
    result_status: bool = True
    system: bool = True
    most_stops: int = 4

    @property
    def sampling(self) -> Sampling:
        if self.claude is not None:
            return self.claude.sampling
        return Sampling.ALL if self.samples else Sampling.NONE


_REGION = re.compile(r"^(?:us-gov|us|eu|apac|au|jp|ca|sa|me|af|global)\.")
_RESOURCE = re.compile(r"^arn:aws[\w-]*:bedrock:[^/]*/")
_NOTHING: frozenset[str] = frozenset()
_MEDIA = frozenset({"image", "document"})
_PLAIN = Traits(choices=_NOTHING)
_WITHOUT_SYSTEM = _PLAIN._replace(system=False)
_NEWER = Traits(schemas=True)
_NOVA = Traits(top_k=TopK.NOVA, caches=4, bare_schemas=True)
_LLAMA = _PLAIN._replace(in_results=_MEDIA, beside_results=_NOTHING)
_MISTRAL = Traits(choices=frozenset({"any"}), in_results=frozenset({"document"}), beside_results=_NOTHING)
_NEWER_MISTRAL = _MISTRAL._replace(schemas=True)
_QWEN = Traits(thinking=Thinking.QWEN, schemas=True, in_results=_NOTHING)
_KIMI = Traits(schemas=True, in_results=_NOTHING)
# In this order: the first beginning that fits decides.
_BY_BEGINNING: tuple[tuple[str, Traits], ...] = (
    ("amazon.nova-2", _NOVA._replace(thinking=Thinking.NOVA)),
    ("amazon.nova", _NOVA),
    ("amazon.titan", _WITHOUT_SYSTEM),
    ("ai21.j2", _WITHOUT_SYSTEM),
    ("ai21.", _PLAIN),
    ("cohere.command-r", _PLAIN),
    ("cohere.", _WITHOUT_SYSTEM),
    ("deepseek.r1", _PLAIN),
    ("deepseek.", _NEWER),
    ("google.gemma-3-12b", _NEWER),
    ("google.gemma-3-27b", _NEWER),
    ("meta.", _LLAMA),
    ("minimax.", _NEWER),
    ("mistral.mistral-7b", _MISTRAL._replace(system=False, choices=_NOTHING)),
    ("mistral.mixtral", _MISTRAL._replace(system=False, choices=_NOTHING)),
    ("mistral.magistral", _NEWER_MISTRAL),
    ("mistral.ministral-3", _NEWER_MISTRAL),
    ("mistral.mistral-large-3", _NEWER_MISTRAL),
    ("mistral.voxtral", _NEWER_MISTRAL),
    ("mistral.", _MISTRAL),
    ("moonshot", _KIMI),
    ("nvidia.nemotron-nano", _NEWER),
    ("openai.gpt-oss", Traits(thinking=Thinking.EFFORT, schemas=True)),
    ("openai.", Traits(samples=False)),
    ("qwen.", _QWEN),
    ("writer.", _PLAIN._replace(beside_results=_NOTHING, result_status=False)),
    ("zai.", _NEWER),
)
_OTHERS = Traits()


def traits_of(model: str) -> Traits:
    """The traits of a model id, an inference profile or a resource name that ends in one."""
    name = _REGION.sub("", _RESOURCE.sub("", model.lower()))
    if "claude" in name:
        return _of_claude(name)
    return next((traits for beginning, traits in _BY_BEGINNING if name.startswith(beginning)), _OTHERS)


def _of_claude(name: str) -> Traits:
    claude = claude_traits_of(name)
    if claude.thinking is ClaudeThinking.BUDGET:
        # An effort beside a budget is Anthropic's own hosts' alone.
        claude = claude._replace(efforts=())
    return Traits(
        claude=claude,
        thinking=Thinking.CLAUDE,
        top_k=TopK.PLAIN,
        one_call=claude.schemas,
        # The newest ones have structured output at Anthropic's own hosts first.
        schemas=claude.schemas and not claude.display,
        caches=4 if claude.output_limit > 4_096 else 0,
        cache_times=claude.schemas,
        tools_cached=True,
        in_results=_MEDIA,
        beside_results=frozenset({"text", "image"}),
        most_stops=2_500,
    )
