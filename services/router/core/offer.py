"""Which endpoints of the catalogue can be called here, and what an operator's own upstream adds to them.

Owns that decision. Does not ask anyone what is there (upstream.py does).
Invariant: an endpoint is on offer only if some process of ours can call its provider.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from libs.money import NanoUsdPerMillion
from services.router.core.catalogue import Catalogue, Endpoint, Model, Price, Provider
from services.router.core.vocabulary import INFERENCE, OPERATION_OF_KIND, PARAMETERS, SPOKEN

UPSTREAM = Provider("upstream", "Upstream", collects_data=False, zero_data_retention=True)
"""The operator's own OpenAI-compatible server: nothing leaves the operator's hands."""

MAX_UPSTREAM_MODELS = 1000
_NOWHERE: Mapping[str, str] = MappingProxyType({})
_NOTHING_SHUT: Mapping[str, Collection[str]] = MappingProxyType({})
_FREE = NanoUsdPerMillion(0)
_MAX_ID_LENGTH = 256
_UPSTREAM_INPUTS = ("text", "image", "file", "audio", "video")


class Offer(StrEnum):
    """What makes an endpoint callable."""

    SIMULATOR = "simulator"
    """The simulator stands in for every provider: all endpoints."""
    CREDENTIALS = "credentials"
    """Providers whose credentials the adapter holds: their endpoints."""
    UPSTREAM = "upstream"
    """The operator's own server: the models it lists; all endpoints when it lists none."""


@dataclass(frozen=True, slots=True)
class UpstreamTerms:
    """How models that only the operator's own server knows are offered."""

    prompt: NanoUsdPerMillion = _FREE
    completion: NanoUsdPerMillion = _FREE
    context_length: int = 131_072


def offer_providers(
    catalogue: Catalogue,
    slugs: Collection[str],
    regions: Mapping[str, str] = _NOWHERE,
    shut: Mapping[str, Collection[str]] = _NOTHING_SHUT,
) -> Catalogue:
    """The catalogue with the endpoints of these providers alone; other models stay known.

    Those of other providers wait for accounts that bring a credential of their own. Left out is what nobody here can call:
    wire formats that are not spoken, and those that a provider's host has no door for. A provider that the operator's
    overlay gives an address is among these, whenever it came.

    Args:
        catalogue: everything there is.
        slugs: of the providers.
        regions: where their hosts are, by slug and in the provider's own words; what is served elsewhere alone is not ours.
        shut: by slug, formats of doors that the credential here does not open.
    """

    def is_ours(one: Endpoint) -> bool:
        provider = one.provider
        if provider.is_addressed:
            return True
        if provider.slug not in slugs or one.protocol in shut.get(provider.slug, ()):
            return False
        return provider.serves_from(regions.get(provider.slug, ""), one.variant)

    def of_these(model: Model) -> Model:
        callable_ones = [one for one in model.endpoints if _is_spoken(one)]
        return replace(
            model,
            endpoints=tuple(one for one in callable_ones if is_ours(one)),
            elsewhere=tuple(one for one in callable_ones if not is_ours(one)),
        )

    return catalogue.with_models(map(of_these, catalogue.models.values()))


def _is_spoken(endpoint: Endpoint) -> bool:
    provider = endpoint.provider
    if endpoint.protocol != provider.protocol and endpoint.protocol not in provider.doors:
        return False
    # What serves nothing is listed alone, and called by nobody.
    return endpoint.protocol in SPOKEN and (not endpoint.serves or bool(endpoint.serves & SPOKEN[endpoint.protocol]))


def offer_upstream(catalogue: Catalogue, listed: Sequence[str], terms: UpstreamTerms) -> Catalogue:
    """The catalogue with the models that the operator's own server lists, and nothing else on offer.

    An id that is a model slug or a provider's model id of the catalogue is that model, at its cheapest price. Any other
    is `upstream/<id>`, and the bare id too where that names nothing else, at the price of the terms.
    """
    ids = [one for one in dict.fromkeys(listed) if _is_usable(one)][:MAX_UPSTREAM_MODELS]
    known = _model_by_upstream_id(catalogue)
    matched: dict[str, Endpoint] = {}
    own: list[str] = []
    # Slugs first: when a server lists a model under two names, the public one is kept.
    for one in sorted(ids, key=lambda one: one not in catalogue.by_name):
        model = known.get(one)
        if model is None:
            own.append(one)
        elif model.id not in matched:
            matched[model.id] = _standing_in(model, one)
    models = [
        replace(model, endpoints=(matched[model.id],) if model.id in matched else ())
        for model in catalogue.models.values()
    ]
    taken = set(catalogue.by_name) | {f"upstream/{one}" for one in own}
    models += [_own_model(one, terms, bare_id_is_free=one not in taken) for one in own]
    providers = {**catalogue.providers, UPSTREAM.slug: UPSTREAM}
    return Catalogue(catalogue.version, providers, {model.id: model for model in models})


def _is_usable(model_id: str) -> bool:
    return 0 < len(model_id) <= _MAX_ID_LENGTH and model_id.isprintable() and not model_id.isspace()


def _model_by_upstream_id(catalogue: Catalogue) -> dict[str, Model]:
    known: dict[str, Model] = {}
    for model in catalogue.models.values():
        for endpoint in model.endpoints if _is_inferred(model) else ():
            known.setdefault(endpoint.provider_model_id, model)
    return known | {name: model for name, model in catalogue.by_name.items() if _is_inferred(model)}


def _is_inferred(model: Model) -> bool:
    return OPERATION_OF_KIND[model.kind] in INFERENCE


def _standing_in(model: Model, upstream_id: str) -> Endpoint:
    """The server's endpoint for a model of the catalogue: the cheapest price, the widest limits, any parameter."""
    return Endpoint(
        provider=UPSTREAM,
        model=model.id,
        provider_model_id=upstream_id,
        price=model.cheapest.price,
        context_length=max(one.context_length for one in model.endpoints),
        supported_parameters=PARAMETERS,
        input_modalities=frozenset(model.input_modalities),
        max_completion_tokens=_widest(one.max_completion_tokens for one in model.endpoints),
        serves=frozenset({OPERATION_OF_KIND[model.kind]}),
    )


def _widest(limits: Iterable[int]) -> int:
    """The largest limit, where 0 is no limit at all."""
    known = list(limits)
    return 0 if 0 in known else max(known)


def _own_model(upstream_id: str, terms: UpstreamTerms, *, bare_id_is_free: bool) -> Model:
    model_id = f"upstream/{upstream_id}"
    endpoint = Endpoint(
        provider=UPSTREAM,
        model=model_id,
        provider_model_id=upstream_id,
        price=Price(terms.prompt, terms.completion, version="upstream-settings"),
        context_length=terms.context_length,
        supported_parameters=PARAMETERS,
        input_modalities=frozenset(_UPSTREAM_INPUTS),
        # Nobody says what it does; the server will.
        serves=INFERENCE,
    )
    return Model(
        id=model_id,
        name=upstream_id,
        description="A model of the operator's own server.",
        created_s=0,
        tokenizer="Other",
        input_modalities=_UPSTREAM_INPUTS,
        output_modalities=("text",),
        aliases=(upstream_id,) if bare_id_is_free else (),
        endpoints=(endpoint,),
    )
