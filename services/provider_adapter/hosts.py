"""The hosts that speak a protocol we have: base URL, dialect and the customary name of the credential.

Owns the reading of hosts.json. Does not hold credentials. Invariant: the file is data of the repository, never of a
request.
"""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

import orjson


class Host(NamedTuple):
    """One provider's own host.

    Attributes:
        credential_name: the environment variable in which its users customarily keep the key.
        doors: base URLs of formats that the host speaks elsewhere than at `base_url`, by protocol.
    """

    base_url: str
    credential_name: str
    protocol: str = "openai"
    dialect: str = ""
    doors: Mapping[str, str] = MappingProxyType({})


def load_hosts() -> dict[str, Host]:
    """Known hosts by provider slug."""
    text = (files("services.provider_adapter") / "hosts.json").read_bytes()
    return {slug: Host(**fields) for slug, fields in orjson.loads(text).items()}


def with_base_urls(hosts: Mapping[str, Host], base_urls: Mapping[str, str]) -> dict[str, Host]:
    """The hosts, some of them elsewhere, and those that only the operator knows."""
    moved = dict(hosts)
    for slug, base_url in base_urls.items():
        known = moved.get(slug)
        moved[slug] = known._replace(base_url=base_url, doors={}) if known else Host(base_url, "")
    return moved
