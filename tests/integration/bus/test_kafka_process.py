import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from libs.bus.kafka_process import answers, free_port
from tests.testkit.kafka import running_kafka

_ROOT = Path(__file__).resolve().parents[3]
_RUN = _ROOT / "deploy" / "dev" / "kafka" / "run.py"


@pytest.mark.kafka
async def test_runner_becomes_the_node_whose_pid_it_reports(kafka_servers: str, tmp_path: Path) -> None:
    assert kafka_servers  # the jars are there
    port = free_port()
    command = [sys.executable, str(_RUN), "--port", str(port), "--data-dir", str(tmp_path / "data")]
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(60):
            while not await answers(f"127.0.0.1:{port}"):
                assert process.returncode is None
                await asyncio.sleep(0.1)
        assert _read(tmp_path / "data" / "kafka.pid") == f"{process.pid}\n"
        assert "kafka.Kafka" in _read(Path(f"/proc/{process.pid}/cmdline"))
        assert _listening_addresses(process.pid, port) == {"0100007F"}
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(("present", "missing"), [(["mvn"], "Java"), ([], "Maven")])
def test_machine_without_java_or_maven_is_told_so(tmp_path: Path, present: list[str], missing: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in present:
        fake = tools / name
        fake.write_text(f"#!/bin/sh\n: > {tmp_path}/libs/kafka_2.13.jar\n")
        fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(_RUN), "--data-dir", str(tmp_path / "data"), "--libs-dir", str(tmp_path / "libs")],
        cwd=_ROOT,
        env={**os.environ, "PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(missing)
    assert "is not installed" in done.stderr


@pytest.mark.kafka
def test_node_that_cannot_start_says_why(kafka_servers: str) -> None:
    assert kafka_servers  # the jars are there
    with running_kafka() as node:
        node.kill()
        (node.data_dir / "log" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
        node.start()
        with pytest.raises(RuntimeError, match=r"(?s)did not start.*node id 7"):
            asyncio.run(node.wait_ready())


def _read(path: Path) -> str:
    return path.read_text()


def _listening_addresses(pid: int, port: int) -> set[str]:
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address[-8:] for address, of_port in local if int(of_port, 16) == port}
