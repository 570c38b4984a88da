"""Which provider is called how: protocol, base URL, credential, dialect.

Owns that choice. Does not know models, prices or accounts. Invariant: a credential is sent to the host it was set for
and nowhere else.

With a simulator every provider is called there, in its own format. Without one, a provider with a credential of its own is called at its
own host; any other one at the operator's upstream, if there is one. The slug `upstream` is that upstream itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from multidict import CIMultiDict

from services.provider_adapter.hosts import Host
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import WireProtocol

UPSTREAM_SLUG = "upstream"
_SIMULATOR_CREDENTIAL = "simulator"
_OPENAI = "openai"
_MOST_SIMULATED = 4096
# The version in the path that a format's clients write; the simulator has the same.
_SIMULATED_VERSIONS: Mapping[str, str] = {"gemini": "v1beta"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where and how one provider is called."""

    slug: str
    protocol: WireProtocol
    base_url: str
    headers: CIMultiDict[str] = field(repr=False)
    credential: str = field(repr=False)
    dialect: str = ""


class Registry:
    """Finds the upstream of a provider.

    Args:
        protocols: by name.
        hosts: the known hosts by provider slug, with their own base URLs.
        credentials: by provider slug; empty text for a host that wants none.
        simulator_base_url: stands in for every provider.
        upstream_base_url: an OpenAI-compatible server that stands in for providers without a credential.
    """

    def __init__(
        self,
        protocols: Mapping[str, WireProtocol],
        hosts: Mapping[str, Host],
        credentials: Mapping[str, str],
        *,
        simulator_base_url: str | None = None,
        upstream_base_url: str | None = None,
        upstream_api_key: str = "",
    ) -> None:
        self._protocols = protocols
        self._hosts = hosts
        self._simulator_base_url = simulator_base_url.rstrip("/") if simulator_base_url else None
        self._simulated: dict[str, Upstream] = {}
        self._own = {
            slug: self._upstream(slug, host.base_url, credentials[slug], host.protocol, host.dialect)
            for slug, host in hosts.items()
            if slug in credentials
        }
        self.operators_own: Upstream | None = None
        if upstream_base_url:
            self.operators_own = self._upstream(UPSTREAM_SLUG, upstream_base_url, upstream_api_key)

    def find(self, provider_slug: str) -> Upstream:
        """The upstream of a provider.

        Raises:
            ProviderFailedError: no credential, simulator or upstream is configured for it.
        """
        if provider_slug == UPSTREAM_SLUG and self.operators_own is not None:
            return self.operators_own
        if self._simulator_base_url is not None:
            return self._simulated.get(provider_slug) or self._simulate(self._simulator_base_url, provider_slug)
        found = self._own.get(provider_slug) or self.operators_own
        if found is None:
            message = f"No credential is configured for the provider {provider_slug}."
            raise ProviderFailedError(Failure(FailureClass.AUTHENTICATION, message=message))
        return found

    def _simulate(self, simulator_base_url: str, slug: str) -> Upstream:
        if not slug.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ProviderFailedError(Failure(FailureClass.NOT_FOUND, message="Unknown provider."))
        protocol_name = self._hosts[slug].protocol if slug in self._hosts else _OPENAI
        version = _SIMULATED_VERSIONS.get(protocol_name, "v1")
        base_url = f"{simulator_base_url}/{slug}/{version}"
        made = self._upstream(slug, base_url, _SIMULATOR_CREDENTIAL, protocol_name)
        if len(self._simulated) < _MOST_SIMULATED:
            self._simulated[slug] = made
        return made

    def _upstream(
        self, slug: str, base_url: str, credential: str, protocol_name: str = _OPENAI, dialect: str = ""
    ) -> Upstream:
        protocol = self._protocols[protocol_name]
        headers = CIMultiDict(
            {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                # A compressed stream is held back by whoever compresses it.
                "Accept-Encoding": "identity",
                "User-Agent": "switchyard",
            }
        )
        if credential or protocol_name != _OPENAI:
            headers.update(protocol.headers(credential))
        return Upstream(slug, protocol, base_url.rstrip("/"), headers, credential, dialect)
