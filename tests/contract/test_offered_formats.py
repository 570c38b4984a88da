"""The router offers what provider_adapter can call, and all of it."""

import pytest

from services.provider_adapter.access import find_access
from services.provider_adapter.hosts import Host, load_hosts
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.settings import Settings as AdapterSettings
from services.router.catalogue_files import read_catalogue
from services.router.core.health import UNKNOWN_HEALTH
from services.router.core.offer import offer_providers
from services.router.core.plan import make_plan
from services.router.core.vocabulary import SPOKEN
from services.router.core.wishes import Features, Wishes

# Formats of one maker under one address: paths below it tell them apart.
TOGETHER = [frozenset({"openai", "openai-responses", "openai-embeddings"}), frozenset({"vertex", "vertex-anthropic"})]
HOSTS = load_hosts()
OPERATIONS = protocols()
OFFERED = [
    one
    for model in offer_providers(read_catalogue(), set(HOSTS)).models.values()
    for one in model.endpoints
    if one.serves
]


def has_door(host: Host, protocol: str) -> bool:
    return protocol in {host.protocol, *host.doors} or any({protocol, host.protocol} <= each for each in TOGETHER)


def test_the_router_knows_everything_that_the_adapter_speaks() -> None:
    spoken = {(protocol, operation) for protocol, operations in SPOKEN.items() for operation in operations}

    assert set(OPERATIONS) <= spoken


def test_whatever_is_offered_with_a_credential_has_a_door_and_a_format() -> None:
    shut = {
        (one.provider.slug, one.protocol) for one in OFFERED if not has_door(HOSTS[one.provider.slug], one.protocol)
    }
    mute = {
        (one.provider.slug, one.protocol, *one.serves)
        for one in OFFERED
        if not any((one.protocol, operation) in OPERATIONS for operation in one.serves)
    }

    assert shut == set()
    assert mute == set()


def test_every_host_of_a_provider_with_models_is_offered_something() -> None:
    known = {one.provider.slug for model in read_catalogue().models.values() for one in model.endpoints if one.serves}

    assert set(HOSTS) & known - {one.provider.slug for one in OFFERED} == set()


@pytest.mark.parametrize("slug", ["gigachat", "replicate", "watsonx"])
def test_a_credential_alone_offers_every_row_of_its_provider_in_the_providers_format(slug: str) -> None:
    rows = {
        one.id for model in read_catalogue().models.values() for one in model.endpoints if one.provider.slug == slug
    }
    planned = set()
    offered = offer_providers(read_catalogue(), {slug})
    for model in offered.models.values():
        for endpoint in model.endpoints:
            (operation,) = endpoint.serves
            wishes = Wishes((model.id,), Features(operation=operation))
            made = make_plan(wishes, catalogue=offered, health=UNKNOWN_HEALTH, seed="gen-1")
            planned |= {one.id for one, *_ in made.attempts}
            assert {one.protocol for one, *_ in made.attempts} == {slug}

    assert {one.id for model in offered.models.values() for one in model.endpoints} == rows
    # Variants that callers have to ask for by name are on offer, and in nobody's plan.
    assert {model.id for model in offered.models.values() if model.endpoints} == {
        model.id for model in offered.models.values() for one in model.endpoints if one.id in planned
    }


def test_one_credential_has_every_model_of_its_provider_planned_in_the_providers_own_format() -> None:
    offered = offer_providers(read_catalogue(), {"cohere"})
    planned = {}
    for model in offered.models.values():
        for endpoint in model.endpoints:
            for operation in endpoint.serves:
                wishes = Wishes((model.id,), Features(operation=operation))
                made = make_plan(wishes, catalogue=offered, health=UNKNOWN_HEALTH, seed="gen-1")
                assert [one.provider.slug for one, *_ in made.attempts] == ["cohere"]
                planned[model.id, operation] = made.attempts[0][0].protocol

    assert planned["cohere/command-a", "chat"] == "cohere"
    assert planned["cohere/embed-v4.0", "embeddings"] == "cohere"
    assert planned["cohere/rerank-v3.5", "rerank"] == "cohere"
    assert planned["cohere/north-mini-code-1-0", "chat"] == "openai"
    assert len(planned) >= 25


@pytest.mark.parametrize(("credential", "formats"), [("sk-1", {"openai"}), ("{}", {"openai", "oci"})])
def test_nobody_is_planned_what_a_credential_does_not_open(credential: str, formats: set[str]) -> None:
    settings = AdapterSettings.model_validate({"credentials": {"oci": credential}, "slots": {"OCI_TENANCY": "t"}})
    access = find_access(settings, {})
    assert set(access.credentials) == {"oci"}
    offered = offer_providers(read_catalogue(), access.credentials, access.regions, access.shut)

    ours = [one for model in offered.models.values() for one in model.endpoints]
    assert {one.protocol for one in ours} == formats
    registry = Registry(OPERATIONS, access.hosts, access.credentials)
    for one in ours:
        (operation,) = one.serves
        assert registry.find("oci", operation, one.protocol).base_url.endswith(
            "/openai/v1" if one.protocol == "openai" else "oraclecloud.com"
        )
