import pytest

from libs.settings import SettingsError, load, masked
from services.provider_adapter.access import find_access
from services.provider_adapter.main import build_registry
from services.provider_adapter.settings import Settings

PREFIX = "SWITCHYARD_PROVIDER_ADAPTER_"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SWITCHYARD_UPSTREAM_BASE_URL", "SWITCHYARD_UPSTREAM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("prefix", [PREFIX, "SWITCHYARD_"])
def test_the_upstream_is_read_under_both_its_names(environment: pytest.MonkeyPatch, prefix: str) -> None:
    environment.setenv(f"{prefix}UPSTREAM_BASE_URL", "http://127.0.0.1:9/v1/")
    environment.setenv(f"{prefix}UPSTREAM_API_KEY", "upstream-secret")

    settings = load(Settings)

    found = build_registry(settings, find_access(settings, {})).find("upstream")
    assert found.base_url == "http://127.0.0.1:9/v1"
    assert found.credential == "upstream-secret"
    assert "upstream-secret" not in masked(settings)


def test_credentials_of_the_settings_go_before_customary_ones(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}CREDENTIALS", '{"openai": "from-settings"}')
    settings = load(Settings)
    access = find_access(settings, {"OPENAI_API_KEY": "customary", "GROQ_API_KEY": "customary"})
    registry = build_registry(settings, access)

    assert registry.find("openai").credential == "from-settings"
    assert registry.find("groq").credential == "customary"
    assert "from-settings" not in masked(settings)


def test_a_private_host_may_be_added_without_a_credential(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}BASE_URLS", '{"mine": "http://127.0.0.1:9/v1"}')

    settings = load(Settings)

    assert build_registry(settings, find_access(settings, {})).find("mine").base_url == "http://127.0.0.1:9/v1"


@pytest.mark.parametrize("url", ["ftp://x", "localhost:9", "http://user:pw@host/v1", "http://host/v1?x=1"])
def test_a_base_url_of_another_kind_is_an_error_that_names_the_field(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv(f"{PREFIX}SIMULATOR_BASE_URL", url)

    with pytest.raises(SettingsError, match=f"{PREFIX}SIMULATOR_BASE_URL"):
        load(Settings)


def test_an_unknown_setting_is_an_error(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"{PREFIX}SIMULATOR", "x")

    with pytest.raises(SettingsError, match="unknown settings"):
        load(Settings)
