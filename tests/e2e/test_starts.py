"""Starts that must not succeed: they say why, soon, and harm nobody."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testkit.api import Api
from tests.testkit.shapes import CHECKOUT, Shape


def start(shape: Shape, kind: str, **names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"services.{kind}"],
        cwd=CHECKOUT, env={**shape.environment, **names}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["standalone", "distributed"])
async def test_second_start_on_a_folder_in_use_is_refused_and_leaves_the_first_alone(shape: Shape, kind: str) -> None:
    before = shape.output()
    refused = start(shape, kind, PORT="0")
    assert refused.returncode == 1
    assert "another Switchyard" in refused.stderr + refused.stdout
    assert shape.output() == before
    async with Api(shape.api_base, shape.api_key) as api:
        assert (await api.chat("Hello!")).status == 200


@pytest.mark.parametrize("kind", ["standalone", "distributed"])
def test_taken_port_is_told_before_anything_starts(standalone: Shape, kind: str, tmp_path: Path) -> None:
    refused = start(standalone, kind, SWITCHYARD_DATA_DIR=f"{tmp_path}/var")
    assert refused.returncode == 1
    assert "set PORT" in refused.stderr + refused.stdout


@pytest.mark.parametrize("kind", ["standalone", "distributed"])
def test_setting_that_nobody_reads_is_told_before_anything_starts(standalone: Shape, kind: str) -> None:
    refused = start(standalone, kind, SWITCHYARD_BOOTSTRAP_CREDITS_USD="1")
    assert refused.returncode == 2
    assert refused.stderr == "unknown settings: SWITCHYARD_BOOTSTRAP_CREDITS_USD\n"
