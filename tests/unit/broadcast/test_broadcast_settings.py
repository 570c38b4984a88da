import pytest

from libs.settings import SettingsError, load, masked
from services.broadcast.main import patience_of
from services.broadcast.settings import DeliverySettings, Settings

PREFIX = "SWITCHYARD_BROADCAST_"


def set_all(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)


def test_no_settings_mean_no_destination() -> None:
    settings = load(DeliverySettings)
    assert settings.webhook is None
    patience = patience_of(settings)
    assert (patience.attempts, patience.request_timeout_s, patience.give_up_after_s) == (5, 10.0, 60.0)


def test_webhook_is_read_from_the_environment_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch,
        KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:9092",
        WEBHOOK__URL="https://traces.example/in?token=hush-1",
        WEBHOOK__METHOD="PUT",
        WEBHOOK__HEADERS='{"Authorization": "Bearer hush-2"}',
    )
    settings = load(Settings)
    assert settings.webhook is not None
    assert settings.webhook.method == "PUT"
    assert settings.webhook.url.get_secret_value() == "https://traces.example/in?token=hush-1"
    assert settings.webhook.headers["Authorization"].get_secret_value() == "Bearer hush-2"
    assert "hush" not in masked(settings) + repr(settings)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"WEBHOOK__URL": "ftp://x/hush"}, "must be an http or https URL"),
        ({"WEBHOOK__URL": "/hush"}, "must be an http or https URL"),
        ({"WEBHOOK__URL": "http://"}, "must be an http or https URL"),
        ({"WEBHOOK__URL": "http://x:99999999/hush"}, "must be an http or https URL"),
        ({"WEBHOOK__METHOD": "POST"}, "WEBHOOK__URL"),
        ({"WEBHOOK__URL": "http://x", "WEBHOOK__METHOD": "GET"}, "WEBHOOK__METHOD"),
        ({"WEBHOOK__URL": "http://x", "WEBHOOK__HEADERS": '{"Content-Length": "hush"}'}, "not a header"),
        ({"WEBHOOK__URL": "http://x", "WEBHOOK__HEADERS": '{"a b": "hush"}'}, "not a header"),
        ({"WEBHOOK__URL": "http://x", "WEBHOOK__HEADERS": '{"X-A": "hush\\r\\nX-B: 1"}'}, "no header may have"),
        ({"WEBHOOK__URL": "http://x", "WEBHOOK__COLOUR": "red"}, "unknown settings"),
        ({"ATTEMPTS": "0"}, "ATTEMPTS"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], complaint: str
) -> None:
    set_all(monkeypatch, **values)
    with pytest.raises(SettingsError, match=complaint) as caught:
        load(DeliverySettings)
    assert "hush" not in str(caught.value)
