import pytest

from services.provider_adapter.access import customary_credentials
from services.provider_adapter.credentials.port import Place
from services.provider_adapter.credentials.table import authorizers
from services.provider_adapter.hosts import Host, load_hosts, with_base_urls
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS
from services.provider_adapter.protocols.openai_embeddings.dialects import DIALECTS as EMBEDDINGS_DIALECTS
from services.provider_adapter.protocols.openai_responses.request import DIALECTS as RESPONSES_DIALECTS
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.router.main import read_catalogue

HOSTS = {"acme": Host("https://acme.test/v1/", "ACME_KEY", dialect="groq"), "other": Host("https://other.test", "O")}


def test_a_provider_with_a_credential_is_called_at_its_own_host() -> None:
    found = Registry(protocols(), HOSTS, {"acme": "k1"}, upstream_base_url="http://up.test/v1").find("acme")

    assert found.base_url == "https://acme.test/v1"
    assert found.headers["authorization"] == "Bearer k1"
    assert found.dialect == "groq"


def test_a_provider_without_one_is_called_at_the_operators_upstream() -> None:
    registry = Registry(
        protocols(), HOSTS, {"acme": "k1"}, upstream_base_url="http://up.test/v1/", upstream_api_key="u"
    )

    for slug in ("other", "never-heard-of", "upstream"):
        found = registry.find(slug)
        assert found.base_url == "http://up.test/v1"
        assert found.headers["authorization"] == "Bearer u"


def test_an_upstream_without_a_key_gets_no_authorization() -> None:
    found = Registry(protocols(), {}, {}, upstream_base_url="http://up.test/v1").find("upstream")

    assert "authorization" not in found.headers


def test_without_any_way_to_a_provider_another_one_may_help() -> None:
    with pytest.raises(ProviderFailedError) as caught:
        Registry(protocols(), HOSTS, {}).find("acme")

    assert caught.value.failure.failure_class is FailureClass.AUTHENTICATION
    assert caught.value.failure.to_error().metadata["retryable_elsewhere"] == "true"


def test_the_simulator_stands_in_for_every_provider_and_never_sees_a_credential() -> None:
    registry = Registry(protocols(), HOSTS, {"acme": "k1"}, simulator_base_url="http://sim.test/")

    found = registry.find("acme")
    assert found.base_url == "http://sim.test/acme/v1"
    assert "k1" not in str(found.headers)
    assert registry.find("acme") is found
    assert registry.find("wafer.ai").base_url == "http://sim.test/wafer.ai/v1"


@pytest.mark.parametrize(
    ("slug", "path", "name"),
    [("anthropic", "v1", "x-api-key"), ("google", "v1beta", "x-goog-api-key"), ("groq", "v1", "authorization")],
)
def test_the_simulator_is_called_in_the_providers_own_format(slug: str, path: str, name: str) -> None:
    hosts = load_hosts()
    found = Registry(protocols(), hosts, {slug: "k1"}, simulator_base_url="http://sim.test").find(slug)

    assert found.base_url == f"http://sim.test/{slug}/{path}"
    assert found.protocol is not None
    assert name in found.headers
    assert "k1" not in str(found.headers)


@pytest.mark.parametrize(
    ("slug", "variable"),
    [("anthropic", "ANTHROPIC_API_KEY"), ("google", "GEMINI_API_KEY"), ("google-ai-studio", "GEMINI_API_KEY")],
)
def test_native_hosts_are_called_with_their_customary_key_wherever_they_are(slug: str, variable: str) -> None:
    hosts = with_base_urls(load_hosts(), {slug: "http://proxy.test/base"})
    credentials = customary_credentials(hosts, {variable: "k1"})
    found = Registry(protocols(), hosts, credentials).find(slug)

    assert found.base_url == "http://proxy.test/base"
    assert "k1" in found.headers.values()
    assert "authorization" not in found.headers


def test_a_native_host_of_the_operators_that_wants_no_key_still_hears_the_version() -> None:
    hosts = {"mine": Host("http://mine.test/v1", "", "anthropic")}

    headers = Registry(protocols(), hosts, {"mine": ""}).find("mine").headers

    assert headers["anthropic-version"] == "2023-06-01"
    assert "x-api-key" not in headers


@pytest.mark.parametrize("slug", ["", "..", "a/b", "../x", "a?b", "a b", "a#b"])
def test_a_slug_that_would_change_the_path_is_refused(slug: str) -> None:
    with pytest.raises(ProviderFailedError):
        Registry(protocols(), {}, {}, simulator_base_url="http://sim.test").find(slug)


def test_a_credential_is_not_printed() -> None:
    found = Registry(protocols(), HOSTS, {"acme": "k1-secret"}).find("acme")

    assert "k1-secret" not in repr(found)


def test_every_host_of_the_repository_is_usable() -> None:
    hosts = load_hosts()

    assert {"openai", "groq", "togetherai", "fireworks-ai", "deepinfra", "mistral", "deepseek", "xai"} <= hosts.keys()
    for host in hosts.values():
        assert host.base_url.startswith("https://")
        assert not host.base_url.endswith("/")
        assert host.credential_name
        operations = {operation for name, operation in protocols() if name == host.protocol}
        assert operations >= ({"embeddings", "rerank"} if host.protocol == "openai-embeddings" else {"chat"})
        assert host.dialect in {"", *DIALECTS, *EMBEDDINGS_DIALECTS, *RESPONSES_DIALECTS}


def test_base_urls_move_hosts_and_add_new_ones() -> None:
    hosts = with_base_urls(HOSTS, {"acme": "http://proxy.test/v1", "mine": "http://mine.test/v1"})

    assert hosts["acme"] == Host("http://proxy.test/v1", "ACME_KEY", dialect="groq")
    assert hosts["mine"].base_url == "http://mine.test/v1"


class Proof:
    def __init__(self, credential: str, place: Place) -> None:
        self.made_of = (credential, place.base_url)

    async def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {}

    def refused(self) -> None: ...


def test_a_format_that_wants_a_proof_for_each_request_gets_one_made_of_its_hosts_credential() -> None:
    hosts = {"acme": Host("https://acme.test/", "A", "anthropic"), "plain": Host("https://plain.test", "P")}
    made = {"anthropic": Proof}
    registry = Registry(protocols(), hosts, {"acme": "k1", "plain": "k2"}, authorizers=made)

    proof = registry.find("acme").authorizer
    assert isinstance(proof, Proof)
    assert proof.made_of == ("k1", "https://acme.test")
    assert registry.find("plain").authorizer is None
    assert Registry(protocols(), hosts, {"acme": ""}, authorizers=made).find("acme").authorizer is None


@pytest.mark.parametrize(
    ("base_url", "path", "expected"),
    [
        ("https://a.test/v1", "/chat/completions", "https://a.test/v1/chat/completions"),
        ("https://a.test/m?api-version=1", "/chat/completions", "https://a.test/m/chat/completions?api-version=1"),
        ("https://a.test/m?api-version=1", "/x?alt=sse", "https://a.test/m/x?alt=sse&api-version=1"),
    ],
)
def test_a_query_of_the_host_stays_at_the_end_of_the_address(base_url: str, path: str, expected: str) -> None:
    assert Registry(protocols(), {"a": Host(base_url, "A")}, {"a": "k"}).find("a").url(path) == expected


@pytest.mark.parametrize(
    ("credential", "expected"),
    [("a-key", {"api-key": "a-key"}), ("eyJhbGci.eyJhdWQi.c2ln", {"Authorization": "Bearer eyJhbGci.eyJhdWQi.c2ln"})],
)
@pytest.mark.parametrize("protocol", ["", "openai", "openai-responses", "anthropic"])
async def test_azure_is_told_who_calls_in_one_header_at_every_door(
    protocol: str, credential: str, expected: dict[str, str]
) -> None:
    host = load_hosts()["azure"].filled({"AZURE_RESOURCE_NAME": "mine"})
    found = Registry(protocols(), {"azure": host}, {"azure": credential}, authorizers=authorizers()).find(
        "azure", protocol=protocol
    )

    assert found.authorizer is not None
    proof = await found.authorizer.headers("POST", found.url("/x"), b"")
    sent = {**found.headers, **proof}
    assert {name: sent[name] for name in ("api-key", "Authorization", "x-api-key") if name in sent} == expected
    assert ".azure.com/" in found.base_url
    assert ("anthropic-version" in sent) == (protocol == "anthropic")


def test_every_row_of_the_catalogue_in_a_format_of_ours_has_a_door() -> None:
    hosts, formats = load_hosts(), {name for name, _ in protocols()}
    catalogue = read_catalogue()
    lacking = {
        (one.provider.slug, one.protocol)
        for model in catalogue.models.values()
        for one in model.endpoints
        if one.protocol in formats
        and (host := hosts.get(one.provider.slug)) is not None
        and one.protocol not in {host.protocol, *host.doors}
    }
    different = {
        s: h.protocol for s, h in hosts.items() if (p := catalogue.providers.get(s)) and p.protocol != h.protocol
    }

    assert lacking == set()
    assert different == {}


def test_every_provider_whose_format_we_have_is_called_by_setting_its_credential() -> None:
    hosts, formats = load_hosts(), {name for name, _ in protocols()}
    wanted = {
        one.slug
        for one in read_catalogue().providers.values()
        if one.kind in {"lab", "cloud", "inference"} and one.protocol in formats
    }

    assert wanted <= hosts.keys()
