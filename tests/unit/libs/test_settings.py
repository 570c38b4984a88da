"""Settings: what is read, what is refused, what is shown."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.settings import (
    Group,
    KafkaSettings,
    PostgresSettings,
    ServiceSettings,
    SettingsError,
    load,
    load_or_exit,
    masked,
    unknown_names,
)


class Inner(Group):
    size: int = Field(default=3, ge=1, le=9, description="a size")
    deeper: PostgresSettings | None = Field(default=None, description="a group in a group")


class Example(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_EXAMPLE_")

    name: str = Field(default="x", description="a name")
    token: SecretStr | None = Field(default=None, description="a secret")
    inner: Inner = Field(default_factory=Inner)
    postgres: PostgresSettings | None = Field(default=None)


class Strict(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_STRICT_")

    kafka: KafkaSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWITCHYARD_SECRETS_DIR", raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"SWITCHYARD_EXAMPLE_{name}", value)


def problem() -> str:
    with pytest.raises(SettingsError) as caught:
        load(Example)
    return str(caught.value)


def test_nothing_set_is_the_defaults() -> None:
    assert load(Example) == Example()
    assert (load(Example).name, load(Example).inner.size) == ("x", 3)


def test_groups_are_read_at_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, NAME="n", INNER__SIZE="5", INNER__DEEPER__DSN="postgresql://a", POSTGRES__DSN="postgresql://b")
    settings = load(Example)
    assert (settings.name, settings.inner.size) == ("n", 5)
    assert settings.inner.deeper is not None
    assert settings.inner.deeper.dsn.get_secret_value() == "postgresql://a"
    assert settings.postgres is not None
    assert settings.postgres.max_connections == 8


@pytest.mark.parametrize("name", ["NAEM", "INNER__SIZ", "INNER__DEEPER__DNS", "POSTGRES__", "NAME__X"])
def test_name_that_nobody_reads_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_all(monkeypatch, **{name: "1"})
    assert f"SWITCHYARD_EXAMPLE_{name}" in problem()


def test_names_of_other_services_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_OTHER_NAME", "1")
    monkeypatch.setenv("NAME", "1")
    assert load(Example).name == "x"


def test_known_names_are_found_whatever_their_case() -> None:
    environ = {"switchyard_example_name": "1", "Switchyard_Example_Inner__Size": "2", "SWITCHYARD_EXAMPLE_X": "3"}
    assert unknown_names(Example, environ) == ["SWITCHYARD_EXAMPLE_X"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("INNER__SIZE", "0"), ("INNER__SIZE", "10"), ("INNER__SIZE", "big"), ("POSTGRES__MIN_CONNECTIONS", "1")],
)
def test_bad_value_is_an_error_that_names_the_field(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    set_all(monkeypatch, **{name: value})
    said = problem()
    assert f"SWITCHYARD_EXAMPLE_{name.partition('__')[0]}" in said


def test_group_that_is_no_json_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, INNER="not json")
    assert "inner" in problem().lower()


def test_missing_required_group_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError, match="SWITCHYARD_STRICT_KAFKA"):
        load(Strict)


def test_empty_value_is_as_if_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, INNER__SIZE="")
    assert load(Example).inner.size == 3


def test_settings_are_frozen() -> None:
    settings: Any = load(Example)
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "y"
    with pytest.raises(ValueError, match="frozen"):
        settings.inner.size = 4


def test_overrides_win_over_the_environment_and_leave_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, NAME="environment", INNER__SIZE="5", POSTGRES__DSN="postgresql://a")
    settings = load(Example, {"name": "override", "inner": {"size": 6}, "postgres": {"max_connections": 2}})
    assert (settings.name, settings.inner.size) == ("override", 6)
    assert settings.postgres is not None
    assert settings.postgres.max_connections == 2
    assert settings.postgres.dsn.get_secret_value() == "postgresql://a"


def test_unknown_override_is_an_error() -> None:
    with pytest.raises(SettingsError, match="NAEM"):
        load(Example, {"naem": "x"})


def test_secrets_come_from_mounted_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "SWITCHYARD_EXAMPLE_TOKEN").write_text("hunter2\n")
    (tmp_path / "SWITCHYARD_EXAMPLE_POSTGRES__DSN").write_text("postgresql://u:hunter2@h/d\n")
    (tmp_path / "SWITCHYARD_OTHER_TOKEN").write_text("of another service")
    monkeypatch.setenv("SWITCHYARD_SECRETS_DIR", str(tmp_path))
    settings = load(Example)
    assert settings.token is not None
    assert settings.token.get_secret_value() == "hunter2"
    assert settings.postgres is not None
    assert settings.postgres.dsn.get_secret_value() == "postgresql://u:hunter2@h/d"


def test_mounted_file_that_nobody_reads_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "SWITCHYARD_EXAMPLE_POSTGRES__DNS").write_text("typo")
    monkeypatch.setenv("SWITCHYARD_SECRETS_DIR", str(tmp_path))
    assert "SWITCHYARD_EXAMPLE_POSTGRES__DNS" in problem()


def test_environment_wins_over_mounted_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "switchyard_example_name").write_text("file")
    monkeypatch.setenv("SWITCHYARD_SECRETS_DIR", str(tmp_path))
    assert load(Example).name == "file"
    set_all(monkeypatch, NAME="environment")
    assert load(Example).name == "environment"


def test_secrets_folder_laid_out_by_kubernetes_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tmp_path / "..2026_01_01"
    data.mkdir()
    (data / "SWITCHYARD_EXAMPLE_TOKEN").write_text("hunter2")
    (tmp_path / "..data").symlink_to(data)
    (tmp_path / "SWITCHYARD_EXAMPLE_TOKEN").symlink_to(Path("..data") / "SWITCHYARD_EXAMPLE_TOKEN")
    monkeypatch.setenv("SWITCHYARD_SECRETS_DIR", str(tmp_path))
    token = load(Example).token
    assert token is not None
    assert token.get_secret_value() == "hunter2"


def test_secrets_folder_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWITCHYARD_SECRETS_DIR", str(tmp_path / "none"))
    assert "SWITCHYARD_SECRETS_DIR" in problem()


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, TOKEN="hunter2", POSTGRES__DSN="postgresql://u:hunter2@h/d", NAME="shown")
    settings = load(Example)
    for shown in (masked(settings), repr(settings), str(settings)):
        assert "hunter2" not in shown
        assert "shown" in shown
    assert json.loads(masked(settings))["inner"]["size"] == 3


def test_bad_values_never_show_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, TOKEN="hunter2", POSTGRES='{"dsn": "postgresql://u:hunter2@h/d", "max_connections": 0}')
    assert "hunter2" not in problem()


def test_invalid_settings_exit_with_2_and_say_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_all(monkeypatch, NAEM="x")
    with pytest.raises(SystemExit) as caught:
        load_or_exit(Example)
    assert caught.value.code == 2
    assert "SWITCHYARD_EXAMPLE_NAEM" in capsys.readouterr().err


def test_check_config_prints_the_settings_and_exits_with_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["example", "--check-config"])
    with pytest.raises(SystemExit) as caught:
        load_or_exit(Example)
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["name"] == "x"


def test_valid_settings_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["example"])
    assert load_or_exit(Example).name == "x"
