"""Which providers this gateway can call by itself: a credential and a complete address for each.

Owns that question, for the adapter and for whoever starts it. Does not call anyone. Invariant: a provider whose address
lacks something is left out, and the log names what.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import orjson

from libs.logs import facts
from services.provider_adapter.hosts import (
    Host,
    UnfilledSlotError,
    load_hosts,
    with_base_urls,
    with_protocols,
    with_token_urls,
)
from services.provider_adapter.overlay import with_overlay
from services.provider_adapter.settings import Settings

logger = logging.getLogger(__name__)


class Access(NamedTuple):
    """All by provider slug.

    Attributes:
        hosts: the known ones; those with a credential have complete addresses.
        credentials: empty text for a host that wants none.
        regions: of hosts whose address names one, in the provider's own words; of those with a credential.
        shut: formats of hosts' other doors that the credential does not open, or that lack something.
    """

    hosts: Mapping[str, Host]
    credentials: Mapping[str, str]
    regions: Mapping[str, str]
    shut: Mapping[str, frozenset[str]] = MappingProxyType({})


def find_access(settings: Settings, environ: Mapping[str, str]) -> Access:
    """What overlays, settings and customary variables give.

    Settings go before overlays and the environment, a credential's own words before all.

    Raises:
        OverlayError: an overlay is wrong.
    """
    hosts: dict[str, Host] = load_hosts()
    unasked: frozenset[str] = frozenset()
    if settings.overlay_dir is not None:
        hosts, unasked = with_overlay(hosts, settings.overlay_dir)
    hosts = with_protocols(with_base_urls(hosts, settings.base_urls), settings.protocols)
    hosts = with_token_urls(hosts, settings.token_urls)
    own = {slug: secret.get_secret_value() for slug, secret in settings.credentials.items()}
    # A host that only the operator knows may want no credential.
    without = dict.fromkeys([*unasked, *settings.base_urls], "")
    credentials: dict[str, str] = {}
    regions: dict[str, str] = {}
    shut: dict[str, frozenset[str]] = {}
    for slug, credential in {**without, **customary_credentials(hosts, environ), **own}.items():
        host = hosts.get(slug)
        if host is None:
            logger.warning("provider left out: it has a credential and no address", extra=facts(provider=slug))
            continue
        values = {**environ, **settings.slots, **_told_slots(host, credential)}
        doors = host.doors.keys()
        host = host.for_credential(credential)
        try:
            hosts[slug], region = host.filled(values), host.region(values)
        except UnfilledSlotError as error:
            logger.warning(
                "provider left out: its address or its account is not complete",
                extra=facts(provider=slug, variable=error.variable),
            )
            continue
        credentials[slug] = credential
        if region:
            regions[slug] = region
        if doors - hosts[slug].doors.keys():
            shut[slug] = frozenset(doors - hosts[slug].doors.keys())
    return Access(hosts, credentials, regions, shut)


def customary_credentials(hosts: Mapping[str, Host], environ: Mapping[str, str]) -> dict[str, str]:
    """Credentials by provider slug, from the variables that users of these hosts already have."""
    found = {slug: _customary(host, environ) for slug, host in hosts.items()}
    return {slug: credential for slug, credential in found.items() if credential}


def _customary(host: Host, environ: Mapping[str, str]) -> str:
    names = host.credential_name.split("|") if host.credential_name else ()
    credential = next((environ[name] for name in names if environ.get(name)), "")
    if not credential and host.credential_file:
        credential = _from_file(host.credential_file, environ.get(host.credential_file, ""))
    if credential or not host.credential_parts:
        return credential
    parts: dict[str, str] = {}
    for field, variables in host.credential_parts.items():
        value = next(filter(None, (_part(variable, environ) for variable in variables.split("|"))), "")
        if value:
            parts[field.removesuffix("?")] = value
        elif not field.endswith("?"):
            return ""
    return orjson.dumps(parts).decode()


def _part(variable: str, environ: Mapping[str, str]) -> str:
    name = variable.removeprefix("@")
    value = environ.get(name, "")
    return value if name == variable else _from_file(name, value)


def _from_file(variable: str, path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        logger.warning(
            "the file of a credential cannot be read", extra=facts(variable=variable, error=type(error).__name__)
        )
        return ""


def _told_slots(host: Host, credential: str) -> dict[str, str]:
    """What a JSON credential says about the address."""
    if not host.credential_slots or not credential.startswith("{"):
        return {}
    try:
        fields = orjson.loads(credential)
    except orjson.JSONDecodeError:
        return {}
    found = {slot: fields.get(field) for slot, field in host.credential_slots.items()}
    return {slot: value for slot, value in found.items() if isinstance(value, str) and value}
