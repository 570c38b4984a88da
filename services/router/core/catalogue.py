"""The catalogue as the router uses it: models, their endpoints, prices, and everything a plan needs ready-made.

Owns the types. Does not read files (loading.py does) and does not decide who may be called (offer.py does).
Invariant: a catalogue never changes; a change is another catalogue.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from libs.money import NanoUsdPerMillion

PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "include_reasoning",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "reasoning",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "seed",
        "stop",
        "structured_outputs",
        "temperature",
        "tool_choice",
        "tools",
        "top_a",
        "top_k",
        "top_logprobs",
        "top_p",
        "verbosity",
        "web_search_options",
    }
)
"""Names an endpoint may be asked to support (reference api-facts §4); other names in a request are not parameters."""

_FREE = NanoUsdPerMillion(0)

QUANTIZATIONS = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"}
)
INPUT_MODALITIES = frozenset({"text", "image", "file", "audio", "video"})
OUTPUT_MODALITIES = frozenset(
    {"text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription"},
)


@dataclass(frozen=True, slots=True)
class Price:
    """In nano-USD per million units. Absent ones inherit: cache prices from `prompt`, reasoning from `completion`."""

    prompt: NanoUsdPerMillion
    completion: NanoUsdPerMillion
    request: NanoUsdPerMillion = _FREE
    cache_read: NanoUsdPerMillion | None = None
    cache_write: NanoUsdPerMillion | None = None
    reasoning: NanoUsdPerMillion | None = None
    version: str = ""
    """Names the catalogue that says so."""

    @property
    def blend(self) -> int:
        """Four times the 3 : 1 blend of prompt and completion price; only ever compared."""
        return 3 * self.prompt + self.completion

    @property
    def is_free(self) -> bool:
        return not (self.prompt or self.completion or self.request) and not (
            self.cache_read or self.cache_write or self.reasoning
        )


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves.

    Attributes:
        collects_data: keeps prompts or trains on them, or does not say that it does not.
        zero_data_retention: keeps nothing, by default and for everyone.
    """

    slug: str
    name: str
    aliases: tuple[str, ...] = ()
    collects_data: bool = True
    zero_data_retention: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One provider serving one model at one price. Compared by identity: each exists once in a catalogue.

    Attributes:
        variant: region or variant that tells endpoints of one provider and model apart; may be empty.
        max_prompt_tokens: 0: the context alone bounds it.
        max_completion_tokens: 0: the provider states none; the context bounds it.
        quantization: `unknown` when the provider states none.
        names: everything a caller may call it by, in lower case.
        weight: its share in the default draw, 1 / blend²; 0 when it is free. Decides luck, never money.
    """

    provider: Provider
    model: str
    provider_model_id: str
    price: Price
    context_length: int
    supported_parameters: frozenset[str]
    input_modalities: frozenset[str]
    unsupported_parameters: tuple[str, ...] = ()
    variant: str = ""
    max_prompt_tokens: int = 0
    max_completion_tokens: int = 0
    quantization: str = "unknown"

    id: str = field(init=False)
    tag: str = field(init=False)
    names: frozenset[str] = field(init=False)
    blend: int = field(init=False)
    is_free: bool = field(init=False)
    weight: float = field(init=False)

    def __post_init__(self) -> None:
        base = self.provider.slug
        names = {base, self.provider.name, *self.provider.aliases}
        if self.variant:
            names |= {f"{name}/{self.variant}" for name in names}
        blend = max(1, self.price.blend)
        is_free = self.price.is_free
        ready: dict[str, object] = {
            "id": f"{base}/{self.model}#{self.variant}" if self.variant else f"{base}/{self.model}",
            "tag": f"{base}/{self.variant}" if self.variant else base,
            "names": frozenset(name.lower() for name in names),
            "blend": 0 if is_free else blend,
            "is_free": is_free,
            "weight": 0.0 if is_free else 1.0 / (blend * blend),
        }
        for name, value in ready.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model and its endpoints on offer, cheapest first; no endpoints: it is known but not offered."""

    id: str
    name: str
    description: str
    created_s: int
    tokenizer: str
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    knowledge_cutoff: str | None = None
    endpoints: tuple[Endpoint, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "endpoints", tuple(sorted(self.endpoints, key=lambda one: (one.blend, one.id))))


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Models by id, in the order of the files, and by every name they answer to."""

    version: str
    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    by_name: Mapping[str, Model] = field(init=False)

    def __post_init__(self) -> None:
        by_name = {alias: model for model in self.models.values() for alias in model.aliases}
        object.__setattr__(self, "by_name", by_name | dict(self.models))

    def with_models(self, models: Iterable[Model]) -> "Catalogue":
        return Catalogue(self.version, self.providers, {model.id: model for model in models})
