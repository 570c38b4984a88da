"""Where an operator's overlay says providers are."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.provider_adapter.access import Access, find_access
from services.provider_adapter.hosts import load_hosts
from services.provider_adapter.keeper import RegistryKeeper
from services.provider_adapter.main import build_registry
from services.provider_adapter.overlay import OverlayError, with_overlay
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.settings import Settings

ACME: dict[str, Any] = {"slug": "acme", "name": "Acme", "base_url": "http://acme.test/v1", "dialect": "mistral"}


def write(folder: Path, content: Any, name: str = "a.json") -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def access(folder: Path, environ: dict[str, str] | None = None, **settings: Any) -> Access:
    return find_access(Settings.model_validate({"overlay_dir": folder, **settings}), environ or {})


def test_a_provider_is_added_with_its_address_format_dialect_and_credential(tmp_path: Path) -> None:
    write(tmp_path, {"providers": [{**ACME, "protocol": "openai", "credential_name": "ACME_KEY"}]})

    found = access(tmp_path, {"ACME_KEY": "k"})

    host = found.hosts["acme"]
    assert (host.base_url, host.protocol, host.dialect) == ("http://acme.test/v1", "openai", "mistral")
    assert found.credentials["acme"] == "k"
    assert "acme" not in access(tmp_path).credentials


def test_a_provider_that_names_no_credential_is_called_without_one(tmp_path: Path) -> None:
    write(tmp_path, {"providers": [ACME]})

    assert access(tmp_path).credentials["acme"] == ""


def test_a_known_provider_is_moved_and_has_no_other_doors(tmp_path: Path) -> None:
    change = {
        "provider": "openai",
        "base_url": "http://proxy.test/v1",
        "protocol": "anthropic",
        "credential_name": "MINE",
    }
    write(tmp_path, {"changes": [change]})

    found = access(tmp_path, {"MINE": "k", "OPENAI_API_KEY": "other"})

    host = found.hosts["openai"]
    assert (host.base_url, host.protocol, host.doors) == ("http://proxy.test/v1", "anthropic", {})
    assert found.credentials["openai"] == "k"


def test_later_files_and_settings_go_before_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path, {"providers": [ACME]}, "1.json")
    write(tmp_path, {"changes": [{"provider": "acme", "dialect": "groq"}]}, "2.json")

    assert access(tmp_path).hosts["acme"].dialect == "groq"
    moved = access(tmp_path, base_urls={"acme": "http://elsewhere.test"}, protocols={"acme": "gemini", "nobody": "x"})
    assert moved.hosts["acme"].base_url == "http://elsewhere.test"
    assert moved.hosts["acme"].protocol == "gemini"


def test_entries_that_say_nothing_about_calls_change_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"providers": [{"slug": "x", "name": "X"}], "changes": [{"provider": "groq", "disable": True}]})

    assert with_overlay(load_hosts(), tmp_path) == (load_hosts(), frozenset())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "a.json: is not JSON"),
        ([], "a.json: is not a JSON object"),
        ({"providers": {}}, "a.json: providers: must be a list"),
        ({"providers": [7]}, r"a.json: providers\[0\]: must be an object"),
        ({"providers": [{**ACME, "base_url": "ftp://x"}]}, r"a.json: providers\[0\].base_url: must be an http"),
        ({"providers": [{**ACME, "base_url": "http://u:p@x.test"}]}, r"providers\[0\].base_url"),
        (
            {"providers": [ACME, {**ACME, "slug": "b", "dialect": "klingon"}]},
            r"providers\[1\].dialect: is not a dialect",
        ),
        ({"providers": [{**ACME, "protocol": "soap"}]}, r"providers\[0\].protocol: is not a format: 'soap'"),
        ({"changes": [{"provider": "groq", "credential_name": "sk-123"}]}, r"changes\[0\].credential_name: must be"),
        ({"providers": [{**ACME, "base_url": 7}]}, r"providers\[0\].base_url: must be a text"),
    ],
)
def test_a_wrong_file_is_named_with_path_and_field(tmp_path: Path, content: Any, words: str) -> None:
    write(tmp_path, content)

    with pytest.raises(OverlayError, match=words):
        access(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OverlayError, match="cannot be read"):
        access(tmp_path / "none")


async def test_a_changed_file_is_taken_up_and_a_wrong_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.model_validate({"overlay_dir": tmp_path})
    registry = build_registry(settings, find_access(settings, {}))
    keeper = RegistryKeeper(tmp_path, registry, lambda: find_access(settings, {}), 1.0)
    with pytest.raises(ProviderFailedError):
        registry.find("acme")

    write(tmp_path, {"providers": [ACME]})
    await keeper.look()
    assert registry.find("acme").base_url == "http://acme.test/v1"

    write(tmp_path, {"providers": [{**ACME, "base_url": "nonsense and long"}]})
    await keeper.look()
    await keeper.look()
    assert registry.find("acme").base_url == "http://acme.test/v1"
    refused = [record for record in caplog.records if record.message == "overlay refused, hosts stay"]
    assert len(refused) == 1
    assert "providers[0].base_url" in str(refused[0].__dict__)

    write(tmp_path, {"providers": [{**ACME, "base_url": "http://new.test"}]})
    await keeper.look()
    assert registry.find("acme").base_url == "http://new.test"
