"""The catalogue as the router uses it: models, their endpoints, prices, and everything a plan needs ready-made.

Owns the types. Does not read files (loading.py does) and does not decide who may be called (offer.py does).
Invariant: a catalogue never changes; a change is another catalogue.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from libs.money import NanoUsdPerMillion
from libs.pricing import Tier
from services.router.core.vocabulary import CALLABLE_KINDS, CHAT, SERVES_CHAT

_FREE = NanoUsdPerMillion(0)
_REQUEST_SHARE = 1000
_VERSION = re.compile(r"(?<![0-9])[0-9]{1,2}(\.[0-9]{1,2})?(?![0-9])")


@dataclass(frozen=True, slots=True)
class Price:
    """In nano-USD per million units.

    Absent ones inherit: cache prices from `prompt`, writes for an hour from other writes, reasoning from `completion`.

    Attributes:
        tiers: other prices for long prompts, by rising bound.
        others: prices of what we show but do not bill, by their public names; what they are for is not accepted.
        version: names the catalogue that says so.
    """

    prompt: NanoUsdPerMillion
    completion: NanoUsdPerMillion
    request: NanoUsdPerMillion = _FREE
    cache_read: NanoUsdPerMillion | None = None
    cache_write: NanoUsdPerMillion | None = None
    reasoning: NanoUsdPerMillion | None = None
    version: str = ""
    tiers: tuple[Tier, ...] = ()
    others: tuple[tuple[str, NanoUsdPerMillion], ...] = ()
    cache_write_1h: NanoUsdPerMillion | None = None

    @property
    def blend(self) -> int:
        """Four times the 3 : 1 blend of prompt and completion price; only ever compared.

        What is sold by the request alone counts as if a request were 4,000 tokens.
        """
        return 3 * self.prompt + self.completion or self.request // _REQUEST_SHARE

    @property
    def is_free(self) -> bool:
        return not (self.prompt or self.completion or self.request) and not (
            self.cache_read or self.cache_write or self.reasoning or any(tier.prompt for tier in self.tiers)
        )


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves.

    Attributes:
        collects_data: keeps prompts or trains on them, or does not say that it does not.
        zero_data_retention: keeps nothing, by default and for everyone.
        kind: lab, cloud, inference and private ones are called directly; aggregator, subscription and local are known
            by name alone.
        protocol: the wire format that its endpoints speak unless they say otherwise.
        doors: further formats that it can be called in.
        is_addressed: the operator's overlay says where it is, so that it can be called.
        parent: names of the provider it is a part of; whoever names that one means this one too.
        trains_on_free: trains on what it serves for nothing.
        callable_from: of variants that are not everywhere, by the beginning of their name, the beginnings of the
            provider's own names for the regions whose hosts serve them.
    """

    slug: str
    name: str
    aliases: tuple[str, ...] = ()
    collects_data: bool = True
    zero_data_retention: bool = False
    kind: str = "inference"
    protocol: str = "openai"
    parent: tuple[str, ...] = ()
    region: str = ""
    headquarters: str = ""
    trains_on_free: bool = False
    doors: tuple[str, ...] = ()
    is_addressed: bool = False
    callable_from: tuple[tuple[str, tuple[str, ...]], ...] = ()
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None
    status_page_url: str | None = None

    @property
    def is_callable(self) -> bool:
        return self.kind in CALLABLE_KINDS

    def serves_from(self, region: str, variant: str) -> bool:
        """Whether a host in a region, by the provider's own name for it, may serve a variant; who knows no better says yes."""
        fitting = [one for one in self.callable_from if f"{variant}-".startswith(f"{one[0]}-")]
        if not region or not fitting:
            return True
        _, regions = max(fitting, key=lambda one: len(one[0]))
        return region.startswith(regions)


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One provider serving one model at one price. Compared by identity: each exists once in a catalogue.

    Attributes:
        variant: region or variant that tells endpoints of one provider and model apart; may be empty.
        max_prompt_tokens: 0: the context alone bounds it.
        max_completion_tokens: 0: the provider states none; the context bounds it.
        quantization: `unknown` when the provider states none.
        serves: operations that may be asked of it; empty: it is listed, but its bill would be wrong.
        protocol: the wire format it speaks.
        service_tier: `flex`, `priority`, or empty.
        is_opt_in: planned only for callers who name its tag: another tier, or another id of the same service.
        retires_s: when its provider ends it, in Unix seconds; 0: not known.
        price_changes: prices that hold from a moment on, in Unix seconds, by rising moment.
        preset: parameters, as JSON without its braces, that hold where the caller says nothing; empty: none.
        names: everything a caller may call it by, in lower case.
        provider_names: everything its provider is called, in lower case.
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
    serves: frozenset[str] = SERVES_CHAT
    protocol: str = "openai"
    service_tier: str = ""
    is_opt_in: bool = False
    region: str = ""
    retires_s: int = 0
    price_changes: tuple[tuple[int, Price], ...] = ()
    preset: bytes = b""

    id: str = field(init=False)
    tag: str = field(init=False)
    names: frozenset[str] = field(init=False)
    provider_names: frozenset[str] = field(init=False)
    blend: int = field(init=False)
    is_free: bool = field(init=False)
    weight: float = field(init=False)

    def __post_init__(self) -> None:
        base = self.provider.slug
        bases = {base, self.provider.name, *self.provider.aliases, *self.provider.parent}
        names = set() if self.is_opt_in else bases
        if self.variant:
            names = names | {f"{name}/{self.variant}" for name in bases}
        blend = max(1, self.price.blend)
        is_free = self.price.is_free
        ready: dict[str, object] = {
            "id": f"{base}/{self.model}#{self.variant}" if self.variant else f"{base}/{self.model}",
            "tag": f"{base}/{self.variant}" if self.variant else base,
            "names": frozenset(name.lower() for name in names),
            "provider_names": frozenset(name.lower() for name in bases),
            "blend": 0 if is_free else blend,
            "is_free": is_free,
            "weight": 0.0 if is_free else 1.0 / (blend * blend),
        }
        for name, value in ready.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The controls of a model's thinking that its providers take."""

    efforts: tuple[str, ...] = ()
    takes_max_tokens: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model and its endpoints on offer, cheapest first; no endpoints: it is known but not offered.

    Attributes:
        created_s: 0: not known.
        family: of one author's models in a family the newest answers to `~author/family-latest`.
        reasoning: how its thinking is controlled; None: not known.
        distillable: whether its author lets others train on its answers; None: not known.
        elsewhere: endpoints that only an account with a credential of its own can have called, cheapest first.
        default_parameters: hold where a request says nothing.
        has_ended: it had endpoints, and their providers have ended all of them.
    """

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
    kind: str = CHAT
    family: str = ""
    reasoning: "Reasoning | None" = None
    distillable: bool | None = None
    categories: frozenset[str] = frozenset()
    elsewhere: tuple[Endpoint, ...] = ()
    has_ended: bool = False
    default_parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def author(self) -> str:
        return self.id.partition("/")[0]

    @property
    def breadth(self) -> int:
        """How many providers serve it: popularity, as far as a catalogue knows it."""
        return len({one.provider.slug for one in self.endpoints})

    @property
    def cheapest(self) -> Endpoint:
        """The cheapest one that a plain request may reach. There must be endpoints."""
        return next((one for one in self.endpoints if not one.is_opt_in), self.endpoints[0])

    @property
    def age_key(self) -> tuple[Decimal, int, str]:
        """Larger for the newer one of a family: by the version in its slug (4.20 is 4.2), then by its day."""
        version = _VERSION.search(self.id.partition("/")[2])
        return Decimal(version.group() if version else 0), self.created_s, self.id

    def __post_init__(self) -> None:
        for name in ("endpoints", "elsewhere"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name), key=lambda one: (one.blend, one.id))))


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Models by id, in the order of the files, and by every name they answer to."""

    version: str
    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    by_name: Mapping[str, Model] = field(init=False)

    def __post_init__(self) -> None:
        by_name = {f"~{author}/{family}-latest": model for (author, family), model in self._newest().items()}
        by_name |= {alias: model for model in self.models.values() for alias in model.aliases}
        object.__setattr__(self, "by_name", by_name | dict(self.models))

    def _newest(self) -> dict[tuple[str, str], Model]:
        """By author and family, among what is on offer."""
        newest: dict[tuple[str, str], Model] = {}
        for model in self.models.values():
            if not model.family or not model.endpoints:
                continue
            other = newest.get((model.author, model.family))
            if other is None or other.age_key < model.age_key:
                newest[(model.author, model.family)] = model
        return newest

    def with_models(self, models: Iterable[Model]) -> "Catalogue":
        return Catalogue(self.version, self.providers, {model.id: model for model in models})
