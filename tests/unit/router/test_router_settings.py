"""Settings: what is accepted, and what is refused with a reason."""

import pytest

from libs.settings import SettingsError, load
from services.router.core.offer import Offer
from services.router.settings import RoutingSettings, Settings

KAFKA = {"SWITCHYARD_ROUTER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092"}


def loaded(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    environ = KAFKA | {f"SWITCHYARD_ROUTER_{name.upper()}": value for name, value in values.items()}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return load(Settings)


def test_defaults_offer_everything_with_the_promised_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    assert settings.offer is Offer.SIMULATOR
    assert (settings.connect_s, settings.first_event_s, settings.idle_s, settings.total_s) == (5, 120, 60, 900)
    assert settings.upstream_terms.prompt == 0


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, offer="credentials", providers="openai, groq,")
    assert settings.providers == ("openai", "groq")


def test_prices_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch,
        offer="upstream",
        adapter_targets="a:1,b:2",
        upstream_prompt_usd_per_mtok="0.1",
        upstream_completion_usd_per_mtok="0.25",
    )
    assert (settings.upstream_terms.prompt, settings.upstream_terms.completion) == (100_000_000, 250_000_000)
    assert settings.adapter_targets == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"offer": "credentials"}, "`providers` must be set"),
        ({"providers": "openai"}, "`providers` must be set"),
        ({"offer": "upstream"}, "`adapter_targets` must be set"),
        ({"offer": "everything"}, "OFFER"),
        ({"upstream_prompt_usd_per_mtok": "-1"}, "never negative"),
        ({"upstream_prompt_usd_per_mtok": "0.0000000001"}, "finer than"),
        ({"connect_s": "0"}, "CONNECT_S"),
        ({"offers": "simulator"}, "unknown settings: SWITCHYARD_ROUTER_OFFERS"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        loaded(monkeypatch, **values)


def test_routing_part_stands_alone_for_the_standalone_shape() -> None:
    assert RoutingSettings(offer=Offer.UPSTREAM).upstream_context_length == 131_072
