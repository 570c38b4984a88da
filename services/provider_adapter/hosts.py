"""The hosts that speak a protocol we have: base URL, dialect and the customary name of the credential.

Owns the reading of hosts.json and the slots of its addresses. Does not hold credentials. Invariant: the file is data of
the repository, never of a request.

An address may hold slots, `{NAME|OTHER_NAME=default}`: filled with the value of the first name that has one, else with
the default. Names are the customary environment variables.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

import orjson

_SLOT = re.compile(r"\{([A-Z][A-Z0-9_|]*)(?:=([A-Za-z0-9._-]*))?\}")
# Values become part of a host name or a path; they must not be able to lead elsewhere.
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Host(NamedTuple):
    """One provider's own host.

    Attributes:
        credential_name: the environment variable in which its users customarily keep the key; several: `ONE|OTHER`.
        doors: base URLs of formats that the host speaks elsewhere than at `base_url`, by protocol.
        authorizer: which proof of who calls the host wants at each of its doors; empty: that of the format.
        credential_parts: variables that make a credential together, by field of a JSON object; several: `ONE|OTHER`; with
            `@` before it, one that names a file. A field that ends in `?` may be missing.
        credential_slots: fields of a JSON credential that fill slots, by the slot's name.
        credential_file: the variable that names a file with the credential, where none is in the environment itself.
        keyed_doors: base URLs for credentials of a kind, by their beginning; in the stead of all others.
        token_url: where the credential is exchanged for tokens, which are what the host takes.
        account: what the host wants to be told beside the credential (project, scope), with slots as in addresses;
            several ways to tell it, of which the first that is complete holds.
        shut_to_keys: doors that a credential of parts opens, and no key.
        respelt: beginnings of filled addresses that the host spells differently, with their right spelling.
    """

    base_url: str
    credential_name: str
    protocol: str = "openai"
    dialect: str = ""
    doors: Mapping[str, str] = _NOTHING
    authorizer: str = ""
    credential_parts: Mapping[str, str] = _NOTHING
    credential_slots: Mapping[str, str] = _NOTHING
    credential_file: str = ""
    keyed_doors: Mapping[str, str] = _NOTHING
    shut_to_keys: Sequence[str] = ()
    respelt: Mapping[str, str] = _NOTHING
    token_url: str = ""
    account: Sequence[Mapping[str, str]] = ()

    def moved(self, base_url: str) -> "Host":
        """The host elsewhere: there are no other doors there, no token server that anyone has named, and whoever is
        there may know the account.
        """
        account = (*self.account, _NOTHING) if self.account else ()
        return self._replace(base_url=base_url, doors={}, keyed_doors={}, token_url="", account=account)

    def for_credential(self, credential: str) -> "Host":
        """The host as it is called with this credential."""
        door = next((url for start, url in self.keyed_doors.items() if credential.startswith(start)), None)
        if door is not None:
            return self._replace(base_url=door, doors={})
        if not self.shut_to_keys or credential.startswith("{"):
            return self
        return self._replace(doors={name: url for name, url in self.doors.items() if name not in self.shut_to_keys})

    def region(self, values: Mapping[str, str]) -> str:
        """What fills the region in its address; empty: none is in there.

        Raises:
            UnfilledSlotError: it has no usable value.
        """
        slot = next((slot for slot in _SLOT.finditer(self.base_url) if "REGION" in slot[1]), None)
        return "" if slot is None else fill_slots(slot[0], values)

    def filled(self, values: Mapping[str, str]) -> "Host":
        """The host with complete addresses; a door that lacks something is left out.

        Raises:
            UnfilledSlotError: a slot of the base URL, or of what the account is, has no usable value.
        """
        base_url = self._filled(self.base_url, values)
        doors: dict[str, str] = {}
        for protocol, url in self.doors.items():
            with suppress(UnfilledSlotError):
                doors[protocol] = self._filled(url, values)
        account = (_filled_account(self.account, values),) if self.account else ()
        return self._replace(base_url=base_url, doors=doors, account=account)

    def _filled(self, url: str, values: Mapping[str, str]) -> str:
        url = fill_slots(url, values)
        start = next((start for start in self.respelt if url.startswith(start)), "")
        return self.respelt[start] + url[len(start) :] if start else url


def _filled_account(ways: Sequence[Mapping[str, str]], values: Mapping[str, str]) -> Mapping[str, str]:
    unfilled: UnfilledSlotError | None = None
    for way in ways:
        try:
            return {name: fill_slots(text, values) for name, text in way.items()}
        except UnfilledSlotError as error:
            unfilled = unfilled or error
    assert unfilled is not None
    raise unfilled


class UnfilledSlotError(Exception):
    """An address is incomplete.

    Attributes:
        variable: the slot's first name.
    """

    def __init__(self, variable: str) -> None:
        super().__init__(f"{variable} has no usable value")
        self.variable = variable


def load_hosts() -> dict[str, Host]:
    """Known hosts by provider slug."""
    text = (files("services.provider_adapter") / "hosts.json").read_bytes()
    return {slug: Host(**fields) for slug, fields in orjson.loads(text).items()}


def with_base_urls(hosts: Mapping[str, Host], base_urls: Mapping[str, str]) -> dict[str, Host]:
    """The hosts, some of them elsewhere, and those that only the operator knows."""
    moved = dict(hosts)
    for slug, base_url in base_urls.items():
        known = moved.get(slug)
        moved[slug] = known.moved(base_url) if known else Host(base_url, "")
    return moved


def with_token_urls(hosts: Mapping[str, Host], token_urls: Mapping[str, str]) -> dict[str, Host]:
    """The hosts, some of them with another token server; what is said of unknown ones is of no use."""
    changed = dict(hosts)
    for slug, token_url in token_urls.items():
        if slug in changed:
            changed[slug] = changed[slug]._replace(token_url=token_url)
    return changed


def with_protocols(hosts: Mapping[str, Host], formats: Mapping[str, str]) -> dict[str, Host]:
    """The hosts, some of them with another usual format; what is said of unknown ones is of no use."""
    changed = dict(hosts)
    for slug, protocol in formats.items():
        if slug in changed:
            changed[slug] = changed[slug]._replace(protocol=protocol)
    return changed


def fill_slots(url: str, values: Mapping[str, str]) -> str:
    """The address without slots.

    Raises:
        UnfilledSlotError: a slot has no usable value.
    """

    def value_of(slot: re.Match[str]) -> str:
        names = slot[1].split("|")
        value = next((_bare(values[name]) for name in names if values.get(name)), slot[2])
        if not value or not _VALUE.fullmatch(value):
            raise UnfilledSlotError(names[0])
        return value

    return _SLOT.sub(value_of, url)


def _bare(value: str) -> str:
    """A host's name, where it is customary to write its whole address."""
    return value.removeprefix("https://").rstrip("/") if value.startswith("https://") else value
