"""What a person sets to start, and which upstream that makes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from libs.settings import ServiceSettings, SettingsError, load, masked, refuse_strangers
from services.distributed import main as distributed
from services.launch.settings import LaunchSettings, environment
from services.launch.upstream import UpstreamKind, choose_upstream
from services.router.settings import RoutingSettings
from services.standalone import main as standalone

NAMES = ("PORT", "REPLICAS", "SWITCHYARD_PORT", "SWITCHYARD_DATA_DIR", "SWITCHYARD_UPSTREAM_BASE_URL")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_defaults_need_nothing() -> None:
    settings = load(LaunchSettings)
    assert (settings.port, settings.data_dir, settings.replicas) == (8080, Path("var"), "")
    assert settings.bootstrap_credit == 100 * 10**9


def test_everything_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PORT": "0", "REPLICAS": "router=2", "SWITCHYARD_DATA_DIR": "/x", "SWITCHYARD_BOOTSTRAP_CREDIT_USD": "0.5",
        "SWITCHYARD_UPSTREAM_BASE_URL": "http://127.0.0.1:1/v1", "SWITCHYARD_UPSTREAM_API_KEY": "hunter2",
        "SWITCHYARD_TELEMETRY__LOG_LEVEL": "ERROR",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings = load(LaunchSettings)
    assert (settings.port, settings.replicas, settings.data_dir) == (0, "router=2", Path("/x"))
    assert settings.bootstrap_credit == 5 * 10**8
    assert settings.telemetry.log_level == "ERROR"
    assert "hunter2" not in masked(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"), ("PORT", "x"), ("SWITCHYARD_BOOTSTRAP_CREDIT_USD", "-1"),
        ("SWITCHYARD_BOOTSTRAP_CREDIT_USD", "a lot"), ("SWITCHYARD_EVENT_LOOP", "trio"),
        ("SWITCHYARD_UPSTREAM_BASE_URL", "localhost:11434"),
    ],
)  # fmt: skip
def test_bad_value_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load(LaunchSettings)


@pytest.mark.parametrize("parts", [standalone.PARTS_SETTINGS, distributed.PARTS_SETTINGS])
@pytest.mark.parametrize(
    "name",
    [
        "SWITCHYARD_BOOTSTRAP_CREDITS_USD", "SWITCHYARD_PORT", "SWITCHYARD_ROUTER_OFFERS", "SWITCHYARD_TELEMETRY__LEVEL",
        "SWITCHYARD_EDGE_PROXY_HTTP__BODY_MAX", "SWITCHYARD_NO_SUCH_SERVICE_X", "switchyard_data_folder",
    ],
)  # fmt: skip
def test_name_that_nobody_reads_is_an_error_at_start(
    monkeypatch: pytest.MonkeyPatch, parts: Sequence[type[ServiceSettings]], name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"unknown settings: {name}"):
        refuse_strangers([LaunchSettings, *parts])


@pytest.mark.parametrize("parts", [standalone.PARTS_SETTINGS, distributed.PARTS_SETTINGS])
@pytest.mark.parametrize(
    "name",
    [
        "SWITCHYARD_BOOTSTRAP_CREDIT_USD", "SWITCHYARD_UPSTREAM_API_KEY", "SWITCHYARD_ROUTER_OVERLAY_DIR",
        "SWITCHYARD_TELEMETRY__OTLP_ENDPOINT", "SWITCHYARD_EDGE_PROXY_HTTP__BODY_MAX_BYTES",
        "SWITCHYARD_BROADCAST_WEBHOOK__URL", "SWITCHYARD_PROVIDER_SIMULATOR_LOG_LEVEL",
        "SWITCHYARD_BILLING_LEDGER_HOLD_MAX_AGE_S",
    ],
)  # fmt: skip
def test_name_that_a_part_reads_is_none(
    monkeypatch: pytest.MonkeyPatch, parts: Sequence[type[ServiceSettings]], name: str
) -> None:
    monkeypatch.setenv(name, "1")
    refuse_strangers([LaunchSettings, *parts])


def test_name_that_only_processes_read_is_an_error_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_ROUTER_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    refuse_strangers([LaunchSettings, *distributed.PARTS_SETTINGS])
    with pytest.raises(SettingsError, match="SWITCHYARD_ROUTER_KAFKA__BOOTSTRAP_SERVERS"):
        refuse_strangers([LaunchSettings, *standalone.PARTS_SETTINGS])


def test_names_of_services_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_ROUTER_OFFER", "simulator")
    assert load(LaunchSettings).port == 8080


def test_children_get_the_environment_without_what_only_the_launcher_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("REPLICAS", "router=2")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    given = environment()
    assert "PORT" not in given
    assert "REPLICAS" not in given
    assert given["OPENAI_API_KEY"] == "sk-x"


@pytest.mark.parametrize(
    ("base_url", "credentials", "kind", "providers"),
    [
        (None, {}, UpstreamKind.SIMULATOR, ()),
        ("", {}, UpstreamKind.SIMULATOR, ()),
        (None, {"openai": "k", "groq": "k"}, UpstreamKind.CREDENTIALS, ("groq", "openai")),
        ("http://x", {}, UpstreamKind.OWN_SERVER, ()),
        ("http://x", {"openai": "k"}, UpstreamKind.OWN_SERVER, ()),
    ],
)
def test_simulator_stands_in_only_when_nothing_real_was_given(
    base_url: str | None, credentials: dict[str, str], kind: UpstreamKind, providers: tuple[str, ...]
) -> None:
    settings = LaunchSettings(upstream_base_url=base_url)
    upstream = choose_upstream(settings, credentials)
    assert (upstream.kind, upstream.providers) == (kind, providers)


def test_router_is_told_the_regions_of_the_hosts_that_are_in_one() -> None:
    credentials = {"amazon-bedrock": "k", "groq": "k"}
    upstream = choose_upstream(LaunchSettings(upstream_base_url=None), credentials, {"amazon-bedrock": "eu-west-3"})
    assert upstream.providers == ("amazon-bedrock@eu-west-3", "groq")
    routing = RoutingSettings.model_validate({"offer": "credentials", "providers": ",".join(upstream.providers)})
    assert routing.provider_slugs == ("amazon-bedrock", "groq")
    assert routing.provider_regions == {"amazon-bedrock": "eu-west-3"}


def test_router_is_told_the_formats_that_a_key_does_not_open() -> None:
    credentials = {"oci": "sk-1", "vertex": "AIza", "groq": "k"}
    shut = {"oci": frozenset({"oci"}), "vertex": frozenset({"b", "a"})}
    upstream = choose_upstream(LaunchSettings(upstream_base_url=None), credentials, {"oci": "eu-1"}, shut)
    assert upstream.providers == ("groq", "oci~oci@eu-1", "vertex~a~b")
    routing = RoutingSettings.model_validate({"offer": "credentials", "providers": ",".join(upstream.providers)})
    assert routing.provider_slugs == ("groq", "oci", "vertex")
    assert routing.provider_regions == {"oci": "eu-1"}
    assert routing.shut_formats == shut
