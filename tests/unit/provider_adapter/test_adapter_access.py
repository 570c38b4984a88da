import logging
from collections.abc import Mapping

import orjson
import pytest

from services.provider_adapter import access as access_module
from services.provider_adapter.access import Access, customary_credentials, find_access
from services.provider_adapter.hosts import Host, UnfilledSlotError, fill_slots
from services.provider_adapter.settings import Settings

REGIONAL = Host(
    "https://runtime.{CLOUD_REGION|CLOUD_DEFAULT_REGION=north-1}.cloud.test",
    "CLOUD_TOKEN",
    credential_parts={"id": "CLOUD_ID", "secret": "CLOUD_SECRET", "session?": "CLOUD_SESSION"},
    credential_slots={"CLOUD_REGION": "region"},
)
RESOURCE = Host(
    "https://{RESOURCE}.test/openai", "RESOURCE_KEY", doors={"anthropic": "https://{RESOURCE}.test/anthropic/v1"}
)


@pytest.fixture(autouse=True)
def hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"cloud": REGIONAL, "resource": RESOURCE, "plain": Host("https://plain.test/v1", "PLAIN_KEY")}
    monkeypatch.setattr(access_module, "load_hosts", lambda: dict(known))


def access(environ: Mapping[str, str], **settings: object) -> Access:
    return find_access(Settings.model_validate(settings), environ)


def test_customary_credentials_are_those_that_are_set() -> None:
    hosts = {
        "a": Host("https://a.test", "A_KEY"),
        "b": Host("https://b.test", "B_KEY"),
        "c": Host("https://c.test", ""),
    }

    assert customary_credentials(hosts, {"A_KEY": "1", "B_KEY": "", "": "x"}) == {"a": "1"}


def test_a_credential_may_go_by_several_names() -> None:
    hosts = {"a": Host("https://a.test", "A_KEY|AN_A_KEY")}

    assert customary_credentials(hosts, {"AN_A_KEY": "2"}) == {"a": "2"}
    assert customary_credentials(hosts, {"A_KEY": "1", "AN_A_KEY": "2"}) == {"a": "1"}


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, "runtime.north-1.cloud.test"),
        ({"CLOUD_DEFAULT_REGION": "south-2"}, "runtime.south-2.cloud.test"),
        ({"CLOUD_REGION": "east-3", "CLOUD_DEFAULT_REGION": "south-2"}, "runtime.east-3.cloud.test"),
        ({"CLOUD_REGION": "", "CLOUD_DEFAULT_REGION": "south-2"}, "runtime.south-2.cloud.test"),
    ],
)
def test_a_slot_takes_the_first_variable_that_is_set_or_its_default(environ: dict[str, str], host: str) -> None:
    found = access({"CLOUD_TOKEN": "t", **environ})

    assert found.credentials == {"cloud": "t"}
    assert found.hosts["cloud"].base_url == f"https://{host}"


def test_a_host_may_be_written_as_a_whole_address() -> None:
    assert fill_slots("https://{A_HOST}/v1", {"A_HOST": "https://me.cloud.test/"}) == "https://me.cloud.test/v1"
    for wrong in ("http://me.cloud.test", "https://me.cloud.test/path", "https://user@me.cloud.test"):
        with pytest.raises(UnfilledSlotError):
            fill_slots("https://{A_HOST}/v1", {"A_HOST": wrong})


def test_settings_fill_slots_before_the_environment_and_a_credential_before_both() -> None:
    environ = {"CLOUD_TOKEN": "t", "CLOUD_REGION": "east-3"}
    slots = {"CLOUD_REGION": "west-4"}

    assert "west-4" in access(environ, slots=slots).hosts["cloud"].base_url

    told = {"cloud": '{"id": "i", "secret": "s", "region": "south-5"}'}
    assert "south-5" in access(environ, slots=slots, credentials=told).hosts["cloud"].base_url


def test_every_door_of_a_host_is_filled() -> None:
    host = access({"RESOURCE_KEY": "k", "RESOURCE": "mine"}).hosts["resource"]

    assert host.base_url == "https://mine.test/openai"
    assert host.doors == {"anthropic": "https://mine.test/anthropic/v1"}


@pytest.mark.parametrize("value", ["", "evil.test/", "a@b", "a:1", "a b", "../x", "é", "a" * 200])
def test_an_address_without_a_usable_value_leaves_its_host_out_and_the_log_names_the_variable(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = access({"RESOURCE_KEY": "k-secret", "RESOURCE": value, "PLAIN_KEY": "p"})

    assert found.credentials == {"plain": "p"}
    [record] = caplog.records
    assert record.__dict__["data"] == {"provider": "resource", "variable": "RESOURCE"}


def test_a_host_without_a_credential_may_stay_incomplete_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    assert access({}).credentials == {}
    assert not caplog.records


def test_a_moved_host_needs_no_slot() -> None:
    found = access({}, base_urls={"resource": "http://127.0.0.1:9/openai"})

    assert found.credentials == {"resource": ""}
    assert found.hosts["resource"].base_url == "http://127.0.0.1:9/openai"


def test_a_credential_for_a_host_that_nobody_knows_is_said_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert access({}, credentials={"nobody": "k-secret"}).credentials == {}
    assert "k-secret" not in caplog.text
    assert len(caplog.records) == 1


def test_several_variables_make_one_credential() -> None:
    whole = {"CLOUD_ID": "i", "CLOUD_SECRET": "s", "CLOUD_SESSION": "x"}

    assert orjson.loads(access(whole).credentials["cloud"]) == {"id": "i", "secret": "s", "session": "x"}
    assert orjson.loads(access({**whole, "CLOUD_SESSION": ""}).credentials["cloud"]) == {"id": "i", "secret": "s"}
    assert access({"CLOUD_ID": "i"}).credentials == {}
    assert access({**whole, "CLOUD_TOKEN": "t"}).credentials == {"cloud": "t"}


@pytest.mark.parametrize("url", ["https://a.test/v1", "https://a.test/{lower}", "https://a.test/{}"])
def test_what_is_no_slot_stays(url: str) -> None:
    assert fill_slots(url, {"lower": "x"}) == url


def test_the_error_names_the_first_name_of_the_slot() -> None:
    with pytest.raises(UnfilledSlotError, match="FIRST"):
        fill_slots("https://{FIRST|SECOND}.test", {})


def test_a_door_whose_address_is_not_complete_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host("https://a.test/v1", "A_KEY", doors={"anthropic": "https://{MISSING}.test", "gemini": "https://g.test"})
    monkeypatch.setattr(access_module, "load_hosts", lambda: {"a": host})

    assert access({"A_KEY": "k"}).hosts["a"].doors == {"gemini": "https://g.test"}


def test_a_variable_that_holds_a_whole_address_gives_its_host() -> None:
    assert fill_slots("https://{A}/x", {"A": "https://adb-1.net/"}) == "https://adb-1.net/x"
    with pytest.raises(UnfilledSlotError):
        fill_slots("https://{A}/x", {"A": "https://evil.test/path"})
