"""The output file and what is read back from it."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.launch.output_file import announcement, read_json, write_private

CONTENT = {"api_base": "http://127.0.0.1:8080/api/v1", "api_key": "sk-a", "management_key": "sk-m"}


def test_file_is_read_back_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.json"
    write_private(path, CONTENT)
    assert read_json(path) == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["out.json"]


def test_file_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("{}")
    path.chmod(0o644)
    write_private(path, CONTENT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reader_sees_the_old_file_or_the_new_one_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_private(path, {"n": 1})
    with path.open() as before:
        write_private(path, {"n": 2})
        assert json.load(before) == {"n": 1}
    assert read_json(path) == {"n": 2}


def test_file_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_private(path, {"n": 1})
    with pytest.raises(TypeError):
        write_private(path, {"n": object()})
    assert read_json(path) == {"n": 1}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\x00"])
def test_what_is_no_object_reads_as_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.json"
    path.write_text(text)
    assert read_json(path) is None


def test_file_that_is_not_there_or_no_text_reads_as_nothing(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none") is None
    assert read_json(tmp_path) is None
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert read_json(tmp_path / "bytes") is None


def test_announcement_has_a_line_that_can_be_pasted(tmp_path: Path) -> None:
    text = announcement(CONTENT, "acme/model-one", tmp_path / "out.json")
    assert "http://127.0.0.1:8080/api/v1/chat/completions" in text
    assert "Bearer sk-a" in text
    assert "sk-m" in text
    body = text.split("-d '", 1)[1].rstrip().rstrip("'")
    assert json.loads(body)["model"] == "acme/model-one"


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8), max_size=4))
def test_announcement_needs_nothing_but_its_three_names(extra: dict[str, object]) -> None:
    assert "curl" in announcement({**extra, **CONTENT}, "m", Path("x"))
