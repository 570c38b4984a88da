"""Which provider is called how: protocol, base URL, credential, dialect.

Owns that choice. Does not know models, prices or accounts. Invariant: a credential is sent to the host it was set for
and nowhere else.

A provider is called in the format that the endpoint names, at the door that its host has for it; without a name, in the
host's usual one. With a simulator every provider is called there, in its own format. Without one, a provider with a credential of its own is called at its
own host; any other one at the operator's upstream, if there is one. The slug `upstream` is that upstream itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from multidict import CIMultiDict

from services.provider_adapter.credentials.port import Authorizer, Place
from services.provider_adapter.credentials.table import AuthorizerFactory
from services.provider_adapter.hosts import Host
from services.provider_adapter.protocols.azure.protocol import dialect_at
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import (
    CHAT,
    NO_MEDIA,
    MediaNeeds,
    TakesSteps,
    WireProtocol,
    media_needs_of,
)
from services.provider_adapter.protocols.table import Protocols

UPSTREAM_SLUG = "upstream"
_SIMULATOR_CREDENTIAL = "sk-no-secret-for-the-simulator"
_SIMULATOR_FINGERPRINT = "switchyard-simulator"
_OPENAI = "openai"
_AZURE = "azure"
_WATSONX = "watsonx"
_MOST_FOUND = 4096
# The version in the path that a format's clients write; the simulator has the same.
_VERTEX = "v1/projects/simulator/locations/global"
_SIMULATED_VERSIONS: Mapping[str, str] = {
    "gemini": "v1beta",
    "cohere": "v2",
    "gigachat": "api/v1",
    "bedrock": "",
    "watsonx": "",
    "oci": "",
    "vertex": _VERTEX,
    "vertex-anthropic": _VERTEX,
}
# What stands for the account there.
_SIMULATED_ACCOUNTS: Mapping[str, Mapping[str, str]] = {
    "watsonx": {"project_id": "simulator"},
    "oci": {"compartmentId": "ocid1.compartment.oc1..simulator"},
}
_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_AUTHORIZERS: Mapping[str, AuthorizerFactory] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where and how one provider is called for one operation.

    Attributes:
        media: what its format takes as bytes alone.
        authorizer: makes the proof of who calls anew for each request; None: `headers` hold it.
        account: what the host wants to be told beside the credential.
        steps: the format, if its replies are somewhere else than the answer to a request.
        fingerprint: of replies in formats that have none; so simulated ones can be told in every format.
        proxy: on the way there; may hold a password.
    """

    slug: str
    protocol: WireProtocol
    base_url: str
    headers: CIMultiDict[str] = field(repr=False)
    credential: str = field(repr=False)
    dialect: str = ""
    authorizer: Authorizer | None = field(default=None, repr=False)
    media: MediaNeeds = NO_MEDIA
    account: Mapping[str, str] = field(default_factory=dict)
    steps: TakesSteps | None = None
    fingerprint: str = ""
    proxy: str = field(default="", repr=False)

    def url(self, path: str) -> str:
        """The address of a request; a query that belongs to the host stays at its end."""
        address, mark, query = self.base_url.partition("?")
        if not mark:
            return address + path
        return f"{address}{path}{'&' if '?' in path else '?'}{query}"


class _Door(NamedTuple):
    """What `find` was asked for."""

    slug: str
    operation: str
    protocol: str


class Registry:
    """Finds the upstream of a provider.

    Args:
        protocols: by name and operation.
        hosts: the known hosts by provider slug, with their own base URLs.
        credentials: by provider slug; empty text for a host that wants none.
        authorizers: by protocol, or the name that a host has for it; makers of what proves who calls where a constant header does not.
        simulator_base_url: stands in for every provider.
        upstream_base_url: an OpenAI-compatible server that stands in for providers without a credential.
        proxy: on the way to providers' own hosts.
        proxies: by provider slug, where it is another one; empty text: none. The operator's upstream has none but here.
    """

    def __init__(
        self,
        protocols: Protocols,
        hosts: Mapping[str, Host],
        credentials: Mapping[str, str],
        *,
        authorizers: Mapping[str, AuthorizerFactory] = _NO_AUTHORIZERS,
        simulator_base_url: str | None = None,
        upstream_base_url: str | None = None,
        upstream_api_key: str = "",
        proxy: str = "",
        proxies: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._protocols = protocols
        self._hosts = hosts
        self._credentials = credentials
        self._authorizers = authorizers
        self._simulator_base_url = simulator_base_url.rstrip("/") if simulator_base_url else None
        self._upstream_base_url = upstream_base_url
        self._upstream_api_key = upstream_api_key
        self._proxy = proxy
        self._proxies = proxies
        self._found: dict[_Door, Upstream] = {}

    @property
    def operators_own(self) -> Upstream | None:
        """The operator's own server, if there is one."""
        return self.find(UPSTREAM_SLUG) if self._upstream_base_url else None

    def adopt(self, hosts: Mapping[str, Host], credentials: Mapping[str, str]) -> None:
        """Who is called how from now on; attempts on their way go on as they began."""
        self._hosts = hosts
        self._credentials = credentials
        self._found = {}

    def find(self, provider_slug: str, operation: str = CHAT, protocol: str = "") -> Upstream:
        """The upstream of a provider.

        Args:
            provider_slug: as the catalogue has it.
            operation: what is asked.
            protocol: the wire format, where it is not the host's usual one.

        Raises:
            ProviderFailedError: no credential, simulator or upstream is configured for it, or its format cannot do it.
        """
        door = _Door(provider_slug, operation, protocol)
        found = self._found.get(door)
        if found is None:
            found = self._open(door)
            if len(self._found) < _MOST_FOUND:
                self._found[door] = found
        return found

    def _open(self, door: _Door) -> Upstream:
        slug = door.slug
        if self._upstream_base_url and slug == UPSTREAM_SLUG:
            return self._at_upstream(door, self._upstream_base_url)
        if self._simulator_base_url is not None:
            return self._at_simulator(door, self._simulator_base_url)
        host = self._hosts.get(slug)
        if host is not None and slug in self._credentials:
            protocol = door.protocol or host.protocol
            base_url = host.doors.get(protocol, host.base_url)
            proxy = self._proxies.get(slug, self._proxy)
            return self._upstream(door, protocol, base_url, self._credentials[slug], host, proxy)
        if self._upstream_base_url:
            return self._at_upstream(door, self._upstream_base_url)
        message = f"No credential is configured for the provider {slug}."
        raise ProviderFailedError(Failure(FailureClass.AUTHENTICATION, message=message))

    def _at_upstream(self, door: _Door, base_url: str) -> Upstream:
        proxy = self._proxies.get(UPSTREAM_SLUG, "")
        own = door._replace(slug=UPSTREAM_SLUG)
        return self._upstream(own, _OPENAI, base_url, self._upstream_api_key, proxy=proxy)

    def _at_simulator(self, door: _Door, simulator_base_url: str) -> Upstream:
        slug = door.slug
        if not slug.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ProviderFailedError(Failure(FailureClass.NOT_FOUND, message="Unknown provider."))
        host = self._hosts.get(slug)
        protocol = door.protocol or (host.protocol if host is not None else _OPENAI)
        if (protocol, door.operation) not in self._protocols:
            protocol = _OPENAI
        base_url = f"{simulator_base_url}/{slug}/{_SIMULATED_VERSIONS.get(protocol, 'v1')}"
        upstream = self._upstream(door, protocol, base_url, _SIMULATOR_CREDENTIAL)
        account = _SIMULATED_ACCOUNTS.get(protocol, _NOTHING)
        return replace(upstream, fingerprint=_SIMULATOR_FINGERPRINT, account=account)

    def _upstream(
        self,
        door: _Door,
        protocol_name: str,
        base_url: str,
        credential: str,
        host: Host | None = None,
        proxy: str = "",
    ) -> Upstream:
        protocol = self._protocols.get((protocol_name, door.operation))
        if protocol is None:
            message = f"The provider {door.slug} cannot be asked for {door.operation} here."
            raise ProviderFailedError(Failure(FailureClass.NOT_FOUND, message=message))
        headers = CIMultiDict(
            {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                # A compressed stream is held back by whoever compresses it.
                "Accept-Encoding": "identity",
                "User-Agent": "switchyard",
            }
        )
        base_url = base_url.rstrip("/")
        if protocol_name.startswith("vertex"):
            # Addresses of Vertex are in use with and without the publisher; the format's paths begin with it.
            base_url = base_url.partition("/publishers/")[0]
        elif protocol_name == _WATSONX:
            # So are those of watsonx, with and without what its paths begin with.
            base_url = base_url.removesuffix("/ml/v1")
        make = self._authorizers.get((host.authorizer if host is not None else "") or protocol_name)
        account = host.account[0] if host is not None and host.account else _NOTHING
        place = Place(base_url, host.token_url if host is not None else "", account, proxy)
        authorizer = make(credential, place) if make is not None and credential else None
        if credential or protocol_name != _OPENAI:
            # What an authorizer proves anew for each request is no header.
            headers.update(protocol.headers("" if authorizer is not None else credential))
        dialect = host.dialect if host is not None else ""
        if protocol_name == _AZURE:
            dialect = dialect_at(base_url)
        return Upstream(
            door.slug,
            protocol,
            base_url,
            headers,
            credential,
            dialect,
            authorizer,
            media_needs_of(protocol),
            account,
            protocol if isinstance(protocol, TakesSteps) else None,
            proxy=proxy,
        )
