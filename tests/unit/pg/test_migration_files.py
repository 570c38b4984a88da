from pathlib import Path

import pytest

from libs.pg.migrations import MigrationError, read_migrations


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(f"-- {name}")


def test_files_are_read_in_order(tmp_path: Path) -> None:
    write(tmp_path, "0002_more.sql", "0001_first.sql", "__init__.py", "README.md")
    assert [migration.name for migration in read_migrations(tmp_path)] == ["0001_first.sql", "0002_more.sql"]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0001_a.sql", "0003_c.sql"], "0003_c.sql stands where number 0002 should"),
        (["0001_a.sql", "0001_b.sql"], "0001_b.sql stands where number 0002 should"),
        (["0000_a.sql"], "0000_a.sql stands where number 0001 should"),
        (["1_a.sql"], "1_a.sql is not named NNNN_name.sql"),
        (["0001_Big.sql"], "0001_Big.sql is not named NNNN_name.sql"),
    ],
)
def test_misnumbered_files_are_refused_by_name(tmp_path: Path, names: list[str], complaint: str) -> None:
    write(tmp_path, *names)
    with pytest.raises(MigrationError, match=complaint):
        read_migrations(tmp_path)


def test_line_ends_of_another_system_keep_the_checksum(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\nSELECT 2;\n")
    (unix,) = read_migrations(tmp_path)
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    (other,) = read_migrations(tmp_path)
    assert unix.checksum == other.checksum
