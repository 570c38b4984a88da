"""What `make provider NAME=…` makes: tidy, importable, and failing its conformance tests until it is written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testkit.provider_scaffold import TakenError, make

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the format and its tests need."""
    for name in ("services", "libs", "tests/testkit"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "catalogue"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = f"{checkout}{os.pathsep}{checkout / 'libs' / 'protos'}"
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=checkout, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_new_format_is_tidy_and_fails_its_conformance_tests(checkout: Path) -> None:
    folder, test = make("acme_chat", checkout)

    made = sorted(one.name for one in folder.iterdir())
    assert made == ["__init__.py", "errors.py", "protocol.py", "request.py", "response.py", "stream.py"]
    tidy = run(checkout, "ruff", "check", str(folder), str(test))
    assert tidy.returncode == 0, tidy.stdout
    assert run(checkout, "ruff", "format", "--check", str(folder), str(test)).returncode == 0
    tried = run(checkout, "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", str(test))
    assert tried.returncode == 1, tried.stdout + tried.stderr
    assert "NotImplementedError" in tried.stdout


def test_a_name_that_is_taken_or_no_name_is_refused(tmp_path: Path) -> None:
    make("acme", tmp_path)

    for name in ("acme", "Acme", "../acme", "a-b", "", "_a"):
        with pytest.raises(TakenError):
            make(name, tmp_path)
