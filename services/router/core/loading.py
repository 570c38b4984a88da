"""From files to a catalogue: parses, validates, prepares.

Owns the shape of the catalogue's files (README, "The catalogue"). Does not find or read files.
Invariant: a whole catalogue, or a `CatalogueError` that names the place; never half of one.
"""

import hashlib
import json
import re
from collections.abc import Mapping

from libs.money import NanoUsdPerMillion
from services.router.core.catalogue import (
    INPUT_MODALITIES,
    OUTPUT_MODALITIES,
    PARAMETERS,
    QUANTIZATIONS,
    Catalogue,
    Endpoint,
    Model,
    Price,
    Provider,
)
from services.router.core.fields import CatalogueError, Fields

PROVIDERS_FILE = "providers.json"
_PROVIDER_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_MODEL_ID = re.compile(r"~?[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._:-]{0,127}")
_VARIANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def load_catalogue(files: Mapping[str, bytes]) -> Catalogue:
    """Makes a catalogue of files by name: `providers.json`, all others hold models.

    Raises:
        CatalogueError: names file, path and field.
    """
    if PROVIDERS_FILE not in files:
        raise CatalogueError(PROVIDERS_FILE, "", "", "is missing")
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name] + b"\0")
    version = f"catalogue-{digest.hexdigest()[:12]}"
    providers = _read_providers(_parse(files[PROVIDERS_FILE], PROVIDERS_FILE))
    models: dict[str, Model] = {}
    names: set[str] = set()
    for file in sorted(files):
        if file == PROVIDERS_FILE:
            continue
        top = _parse(files[file], file)
        for fields in top.objects("models"):
            model = _read_model(fields, providers, version)
            for name, place in ((model.id, "id"), *((alias, "aliases") for alias in model.aliases)):
                if name in names:
                    raise fields.error(place, f"is taken by another model: {name!r}")
                names.add(name)
            models[model.id] = model
        top.end()
    return Catalogue(version, providers, models)


def _parse(content: bytes, file: str) -> Fields:
    try:
        return Fields(json.loads(content), file, "")
    except ValueError as error:
        raise CatalogueError(file, "", "", f"is not JSON: {error}") from None


def _read_providers(top: Fields) -> dict[str, Provider]:
    providers: dict[str, Provider] = {}
    owner: dict[str, str] = {}
    for fields in top.objects("providers"):
        slug = fields.text("slug")
        if not _PROVIDER_SLUG.fullmatch(slug):
            raise fields.error("slug", f"is not a provider slug: {slug!r}")
        name = fields.text("name")
        aliases = fields.texts("aliases")
        trains, retains = fields.answer("trains_on_prompts"), fields.answer("retains_prompts")
        zdr = fields.answer("zero_data_retention") is True
        fields.end()
        if slug in providers:
            raise fields.error("slug", f"is there twice: {slug!r}")
        for claimed, place in ((slug, "slug"), (name, "name"), *((alias, "aliases") for alias in aliases)):
            if owner.setdefault(claimed.lower(), slug) != slug:
                raise fields.error(place, f"is taken by another provider: {claimed!r}")
        providers[slug] = Provider(
            slug, name, aliases, collects_data=(trains, retains) != (False, False), zero_data_retention=zdr
        )
    top.end()
    return providers


def _read_model(fields: Fields, providers: Mapping[str, Provider], version: str) -> Model:
    model_id = fields.text("id")
    if not _MODEL_ID.fullmatch(model_id):
        raise fields.error("id", f"is not of the form author/slug: {model_id!r}")
    inputs = fields.texts("input_modalities", INPUT_MODALITIES)
    outputs = fields.texts("output_modalities", OUTPUT_MODALITIES)
    if not inputs or not outputs:
        raise fields.error("output_modalities" if inputs else "input_modalities", "must not be empty")
    endpoints: dict[str, Endpoint] = {}
    for one in fields.objects("endpoints"):
        endpoint = _read_endpoint(one, model_id, frozenset(inputs), providers, version)
        if endpoint.id in endpoints:
            raise one.error("provider", f"two endpoints are {endpoint.id!r}; give one a variant")
        endpoints[endpoint.id] = endpoint
    model = Model(
        id=model_id,
        name=fields.text("name"),
        description=fields.text("description"),
        created_s=fields.count("created"),
        tokenizer=fields.text("tokenizer"),
        input_modalities=inputs,
        output_modalities=outputs,
        aliases=fields.texts("aliases"),
        knowledge_cutoff=fields.optional_text("knowledge_cutoff"),
        endpoints=tuple(endpoints.values()),
    )
    fields.end()
    return model


def _read_endpoint(
    fields: Fields, model_id: str, inputs: frozenset[str], providers: Mapping[str, Provider], version: str
) -> Endpoint:
    slug = fields.text("provider")
    if slug not in providers:
        raise fields.error("provider", f"is not in {PROVIDERS_FILE}: {slug!r}")
    variant = fields.text("variant", "")
    if variant and not _VARIANT.fullmatch(variant):
        raise fields.error("variant", f"is not a variant: {variant!r}")
    supported = fields.texts("supported_parameters", PARAMETERS)
    denied = fields.texts("unsupported_parameters", PARAMETERS)
    if not set(supported).isdisjoint(denied):
        raise fields.error("unsupported_parameters", "names a parameter that is also supported")
    quantization = fields.text("quantization", "unknown")
    if quantization not in QUANTIZATIONS:
        raise fields.error("quantization", f"is not one of {', '.join(sorted(QUANTIZATIONS))}: {quantization!r}")
    endpoint = Endpoint(
        provider=providers[slug],
        model=model_id,
        provider_model_id=fields.text("provider_model_id"),
        price=_read_price(fields.object("pricing"), version),
        context_length=fields.count("context_length"),
        supported_parameters=frozenset(supported),
        input_modalities=inputs,
        unsupported_parameters=denied,
        variant=variant,
        max_prompt_tokens=fields.count("max_prompt_tokens", 0),
        max_completion_tokens=fields.count("max_completion_tokens", 0),
        quantization=quantization,
    )
    fields.end()
    return endpoint


def _read_price(fields: Fields, version: str) -> Price:
    price = Price(
        prompt=fields.price("prompt"),
        completion=fields.price("completion"),
        request=fields.optional_price("request") or NanoUsdPerMillion(0),
        cache_read=fields.optional_price("cache_read"),
        cache_write=fields.optional_price("cache_write"),
        reasoning=fields.optional_price("reasoning"),
        version=version,
    )
    fields.end()
    return price
