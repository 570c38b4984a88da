"""The router offers what provider_adapter can call, and all of it."""

from services.provider_adapter.hosts import Host, load_hosts
from services.provider_adapter.protocols.table import protocols
from services.router.catalogue_files import read_catalogue
from services.router.core.offer import offer_providers
from services.router.core.vocabulary import SPOKEN

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
