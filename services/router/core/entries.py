"""Reads one provider, model or endpoint as the catalogue's files and the operator's overlays write it.

Owns the shape of these objects (README, "The catalogue") and what makes one valid in itself. Does not know files, and does
not see whether names are taken. Invariant: what cannot be billed exactly is not accepted (billable.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from libs.money import NanoUsdPerMillion
from libs.pricing import Tier
from services.router.core.billable import accepted
from services.router.core.catalogue import Endpoint, Model, Price, Provider, Reasoning
from services.router.core.fields import Fields
from services.router.core.vocabulary import (
    COUNTRY_LENGTH,
    EFFORTS,
    INPUT_MODALITIES,
    OPERATION_OF_KIND,
    OPERATIONS,
    OUTPUT_MODALITIES,
    PARAMETERS,
    PRESETS,
    PROTOCOLS,
    PROVIDER_KINDS,
    QUANTIZATIONS,
    REGIONS,
    SERVICE_TIERS,
    UNBILLED_PRICES,
)

_PROVIDER_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MODEL_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._:-]{0,127}")
_VARIANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_URL = re.compile(r"https?://[^\s]{1,500}")
_FREE = NanoUsdPerMillion(0)


@dataclass(frozen=True, slots=True)
class Context:
    """What an entry is read with: the providers there are, and the name of the catalogue for its prices."""

    providers: Mapping[str, Provider]
    version: str


def read_provider(fields: Fields, known: Mapping[str, Provider]) -> Provider:
    """One provider; `part_of` must be among the known ones."""
    slug = fields.text("slug")
    if not _PROVIDER_SLUG.fullmatch(slug):
        raise fields.error("slug", f"is not a provider slug: {slug!r}")
    parent = known.get(part_of) if (part_of := fields.optional_text("part_of")) else None
    if part_of and parent is None:
        raise fields.error("part_of", f"is not a provider above it: {part_of!r}")
    trains, retains = fields.answer("trains_on_prompts"), fields.answer("retains_prompts")
    headquarters = fields.optional_text("headquarters") or ""
    if headquarters and len(headquarters) != COUNTRY_LENGTH:
        raise fields.error("headquarters", "must be a country code of two letters")
    provider = Provider(
        slug,
        fields.text("name"),
        fields.texts("aliases"),
        collects_data=(trains, retains) != (False, False),
        zero_data_retention=fields.answer("zero_data_retention") is True,
        kind=fields.choice("kind", PROVIDER_KINDS, "inference"),
        protocol=fields.choice("protocol", PROTOCOLS, "openai"),
        parent=(parent.slug, parent.name, *parent.aliases) if parent else (),
        region=fields.choice("region", REGIONS, ""),
        headquarters=headquarters,
        trains_on_free=fields.answer("trains_on_prompts_free_tier") is True,
        doors=fields.texts("doors", PROTOCOLS),
        is_addressed=read_address(fields),
        callable_from=tuple(_read_regions(one) for one in fields.optional_objects("callable_from")),
        privacy_policy_url=_url(fields, "privacy_policy_url"),
        terms_of_service_url=_url(fields, "terms_of_service_url"),
        status_page_url=_url(fields, "status_page_url"),
    )
    fields.answer("requires_user_ids")
    fields.count("retention_days", 0)
    fields.end()
    return provider


def _read_regions(fields: Fields) -> tuple[str, tuple[str, ...]]:
    found = fields.text("variant"), fields.texts("regions")
    fields.end()
    return found


def read_address(fields: Fields) -> bool:
    """Whether the entry says where the provider is; what exactly is provider_adapter's to read and to judge."""
    for name in ("token_url", "dialect", "credential_name"):
        fields.optional_text(name)
    return _url(fields, "base_url") is not None


def _url(fields: Fields, name: str) -> str | None:
    value = fields.optional_text(name)
    if value is not None and not _URL.fullmatch(value):
        raise fields.error(name, f"is not an http or https URL: {value[:200]!r}")
    return value


def read_model(fields: Fields, context: Context) -> Model:
    """One model with its endpoints, at least one."""
    model_id = fields.text("id")
    if not _MODEL_ID.fullmatch(model_id):
        raise fields.error("id", f"is not of the form author/slug: {model_id!r}")
    inputs = fields.texts("input_modalities", INPUT_MODALITIES)
    outputs = fields.texts("output_modalities", OUTPUT_MODALITIES)
    if not inputs or not outputs:
        raise fields.error("output_modalities" if inputs else "input_modalities", "must not be empty")
    bare = Model(
        id=model_id,
        name=fields.text("name"),
        description=fields.text("description", ""),
        created_s=fields.count("created", 0),
        tokenizer=fields.text("tokenizer", "Other"),
        input_modalities=inputs,
        output_modalities=outputs,
        aliases=fields.texts("aliases"),
        knowledge_cutoff=fields.optional_text("knowledge_cutoff"),
        kind=fields.choice("kind", OPERATION_OF_KIND, "chat"),
        family=fields.text("family", ""),
        reasoning=_read_reasoning(fields.object("reasoning")) if fields.has("reasoning") else None,
        distillable=fields.answer("distillable"),
        categories=frozenset(fields.texts("categories")),
        default_parameters=fields.parameters("default_parameters", PRESETS),
    )
    fields.answer("open_weights")
    endpoints: dict[str, Endpoint] = {}
    for one in fields.objects("endpoints"):
        endpoint = read_endpoint(one, bare, context)
        if endpoint.id in endpoints:
            raise one.error("provider", f"two endpoints are {endpoint.id!r}; give one a variant")
        endpoints[endpoint.id] = endpoint
    fields.end()
    return replace(bare, endpoints=tuple(endpoints.values()))


def _read_reasoning(fields: Fields) -> Reasoning:
    efforts = fields.texts("efforts", EFFORTS)
    takes_max_tokens, is_optional = fields.answer("max_tokens") is True, fields.answer("toggle") is True
    fields.end()
    return Reasoning(efforts, takes_max_tokens, is_optional or "none" in efforts)


def read_endpoint(fields: Fields, model: Model, context: Context) -> Endpoint:
    slug = fields.text("provider")
    provider = context.providers.get(slug)
    if provider is None:
        raise fields.error("provider", f"is not a known provider: {slug!r}")
    if not provider.is_callable:
        raise fields.error("provider", f"is {provider.kind}, which is not called directly: {slug!r}")
    variant = fields.text("variant", "")
    if variant and not _VARIANT.fullmatch(variant):
        raise fields.error("variant", f"is not a variant: {variant!r}")
    supported = frozenset(fields.texts("supported_parameters", PARAMETERS))
    denied = fields.texts("unsupported_parameters", PARAMETERS)
    if not supported.isdisjoint(denied):
        raise fields.error("unsupported_parameters", "names a parameter that is also supported")
    price = read_price(fields, context.version)
    changes = sorted(
        (_read_change(one, context.version) for one in fields.optional_objects("price_changes")), key=lambda one: one[0]
    )
    if price.is_free and provider.trains_on_free:
        provider = replace(provider, collects_data=True, zero_data_retention=False)
    inputs = frozenset(fields.texts("input_modalities", model.input_modalities)) or frozenset(model.input_modalities)
    serves = frozenset({OPERATION_OF_KIND[model.kind]})
    serves = frozenset(fields.texts("serves", OPERATIONS)) if fields.has("serves") else serves
    refused: tuple[str, ...] = ()
    for one in (price, *(later for _, later in changes)):
        inputs, more, serves = accepted(one, inputs, frozenset(model.output_modalities), serves)
        refused += more
    endpoint = Endpoint(
        provider=provider,
        model=model.id,
        provider_model_id=fields.text("provider_model_id"),
        price=price,
        context_length=fields.count("context_length"),
        supported_parameters=supported.difference(refused),
        input_modalities=inputs,
        unsupported_parameters=tuple(dict.fromkeys((*denied, *refused))),
        variant=variant,
        max_prompt_tokens=fields.count("max_prompt_tokens", 0),
        max_completion_tokens=fields.count("max_completion_tokens", 0),
        quantization=fields.choice("quantization", QUANTIZATIONS, "unknown"),
        serves=serves,
        protocol=fields.choice("protocol", PROTOCOLS, provider.protocol),
        service_tier=fields.choice("service_tier", SERVICE_TIERS, ""),
        is_opt_in=fields.answer("opt_in") is True,
        region=variant.partition("-")[0] if variant.partition("-")[0] in REGIONS else provider.region,
        retires_s=fields.moment("deprecation_date"),
        price_changes=tuple(changes),
        preset=orjson.dumps(model.default_parameters)[1:-1],
    )
    fields.end()
    return endpoint


def _read_change(fields: Fields, version: str) -> tuple[int, Price]:
    moment = fields.moment("from")
    if not moment:
        raise fields.error("from", "must say from which day or time on")
    price = read_price(fields, version)
    fields.end()
    return moment, price


def read_price(fields: Fields, version: str) -> Price:
    """`pricing` and `price_tiers` of an endpoint, an overlay's change, or a later price."""
    pricing = fields.object("pricing")
    tiers = tuple(_read_tier(one) for one in fields.optional_objects("price_tiers"))
    bounds = [tier.min_prompt_tokens for tier in tiers]
    if bounds != sorted(set(bounds)):
        raise fields.error("price_tiers", "must be in order of min_prompt_tokens, each once")
    price = Price(
        prompt=pricing.price("prompt"),
        completion=pricing.price("completion"),
        request=pricing.optional_price("request") or _FREE,
        cache_read=pricing.optional_price("cache_read"),
        cache_write=pricing.optional_price("cache_write"),
        reasoning=pricing.optional_price("reasoning"),
        version=version,
        tiers=tiers,
        cache_write_1h=pricing.optional_price("cache_write_1h"),
        others=tuple((name, pricing.price(name)) for name in sorted(UNBILLED_PRICES) if pricing.has(name)),
    )
    pricing.end()
    return price


def _read_tier(fields: Fields) -> Tier:
    tier = Tier(
        fields.count("min_prompt_tokens"),
        fields.optional_price("prompt"),
        fields.optional_price("completion"),
        fields.optional_price("cache_read"),
        fields.optional_price("cache_write"),
        fields.optional_price("reasoning"),
        fields.optional_price("cache_write_1h"),
    )
    fields.end()
    return tier
