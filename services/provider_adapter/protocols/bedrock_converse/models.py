"""What models behind Bedrock's Converse can do, by their names (wire facts §6).

Owns the table. Does not know prices or context lengths. Invariant: a name that nobody has listed gets the traits of a
newer model of another maker: everything that Converse itself has, nothing of a maker's own.
"""

import re
from enum import Enum
from typing import NamedTuple

from services.provider_adapter.protocols.anthropic_messages.models import Sampling
from services.provider_adapter.protocols.anthropic_messages.models import Traits as Claude
from services.provider_adapter.protocols.anthropic_messages.models import traits_of as claude_traits_of


class Thinking(Enum):
    """How a model is told to think, in `additionalModelRequestFields`."""

    NONE = "it cannot, or always does"
    CLAUDE = "thinking, output_config"
    NOVA = "reasoningConfig"
    EFFORT = "reasoning_effort"


class TopK(Enum):
    """Where a model's own top_k stands, in `additionalModelRequestFields`."""

    NONE = "nowhere"
    PLAIN = "top_k"
    NOVA = "inferenceConfig.topK"


class Traits(NamedTuple):
    """One model's abilities.

    Attributes:
        claude: what Claude can do; None: it is none.
        choices: of `toolChoice`, beside auto.
        schemas: whether `outputConfig.textFormat` and strict tools are known.
        caches: whether cache points are known, and how many are.
        cache_times: whether a cache point may say how long it holds.
        tools_cached: whether one may stand among the tools.
        rich_results: tool results may hold media, and say that they are errors.
        system: whether `system` is known.
    """

    claude: Claude | None = None
    thinking: Thinking = Thinking.NONE
    top_k: TopK = TopK.NONE
    choices: frozenset[str] = frozenset({"any", "tool"})
    schemas: bool = True
    caches: int = 0
    cache_times: bool = False
    tools_cached: bool = False
    rich_results: bool = False
    system: bool = True
    most_stops: int = 4

    @property
    def sampling(self) -> Sampling:
        return Sampling.ALL if self.claude is None else self.claude.sampling


_REGION = re.compile(r"^(?:us-gov|us|eu|apac|au|jp|ca|sa|me|af|global)\.")
_RESOURCE = re.compile(r"^arn:aws[\w-]*:bedrock:[^/]*/")
_ANY = frozenset({"any"})
_AUTO: frozenset[str] = frozenset()
_OLDER = Traits(schemas=False, choices=_AUTO)
_NOVA = Traits(top_k=TopK.NOVA, schemas=False, caches=4, rich_results=True)
# In this order: the first beginning that fits decides.
_BY_BEGINNING: tuple[tuple[str, Traits], ...] = (
    ("amazon.nova-2", _NOVA._replace(thinking=Thinking.NOVA)),
    ("amazon.nova", _NOVA),
    ("amazon.titan", _OLDER._replace(system=False)),
    ("ai21.j2", _OLDER._replace(system=False)),
    ("ai21.", _OLDER),
    ("cohere.command-r", _OLDER),
    ("cohere.", _OLDER._replace(system=False)),
    ("deepseek.r1", _OLDER),
    ("meta.", _OLDER),
    ("mistral.mistral-7b", _OLDER._replace(system=False)),
    ("mistral.mixtral", _OLDER._replace(system=False)),
    ("mistral.mistral-large-24", _OLDER._replace(choices=_ANY)),
    ("mistral.mistral-small-24", _OLDER._replace(choices=_ANY)),
    ("mistral.pixtral-large-25", _OLDER._replace(choices=_ANY)),
    ("openai.", Traits(thinking=Thinking.EFFORT)),
    ("writer.", _OLDER),
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
    newer = claude.schemas
    caches = 4 if claude.output_limit > 4_096 else 0
    return Traits(
        claude=claude,
        thinking=Thinking.CLAUDE,
        top_k=TopK.PLAIN,
        schemas=newer,
        caches=caches,
        cache_times=newer,
        tools_cached=True,
        rich_results=True,
        most_stops=2_500,
    )
