"""Both shapes as black boxes: started as a person would start them, found by their output file.

Owns starting, waiting and stopping. Invariant: nothing stays behind, and a log that explains a failure is shown.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from libs.bus.kafka_process import free_port

START_LIMIT_S = 120.0
STOP_LIMIT_S = 60.0
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Shape:
    """A running Switchyard."""

    kind: str
    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def output_path(self) -> Path:
        return self.data_dir / f"{self.kind}.json"

    @property
    def log_path(self) -> Path:
        return self.data_dir / f"{self.kind}.log"

    def output(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.output_path.read_text())
        return content

    @property
    def api_base(self) -> str:
        return str(self.output()["api_base"])

    @property
    def api_key(self) -> str:
        return str(self.output()["api_key"])

    @property
    def management_key(self) -> str:
        return str(self.output()["management_key"])

    @property
    def simulator_base(self) -> str:
        return str(self.output()["simulator_base"])

    def start(self) -> None:
        """Starts it and waits for the output file."""
        self.output_path.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.kind}"],
                cwd=CHECKOUT, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_LIMIT_S
        while not self.output_path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"{self.kind} did not start:\n{self.tail()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends the main process as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tail(self) -> str:
        logs = [self.log_path, *sorted((self.data_dir / "logs").glob("*.log"))]
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}" for path in logs if path.exists()
        )


@contextlib.contextmanager
def running(kind: str, *, credit_usd: str = "100", replicas: str = "", **names: str) -> Iterator[Shape]:
    """A shape of its own, on a folder of its own, for the length of the block."""
    if kind == "distributed":
        require_kafka()
    data_dir = Path(tempfile.mkdtemp(prefix=f"switchyard-{kind}-"))
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_API_KEY") and not name.startswith("AWS_")
    }
    environment = {
        **clean,
        "PORT": str(free_port()),
        "SWITCHYARD_DATA_DIR": str(data_dir),
        "SWITCHYARD_BOOTSTRAP_CREDIT_USD": credit_usd,
        "REPLICAS": replicas,
        **names,
    }
    shape = Shape(kind, data_dir, environment)
    try:
        shape.start()
        yield shape
    finally:
        shape.stop()
        shutil.rmtree(data_dir, ignore_errors=True)


@contextlib.asynccontextmanager
async def running_beside(kind: str, **names: str) -> AsyncIterator[Shape]:
    """The same for tests whose own event loop serves something that the shape needs at its start."""
    block = running(kind, **names)
    shape = await asyncio.to_thread(block.__enter__)
    try:
        yield shape
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)


def require_kafka() -> None:
    """Skips loudly where no Kafka can be had; in CI that is a failure."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or (shutil.which("java") and shutil.which("mvn")):
        return
    message = "NO KAFKA: neither Java and Maven nor KAFKA_BOOTSTRAP_SERVERS; the distributed shape is not tested"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def standalone() -> Iterator[Shape]:
    with running("standalone") as shape:
        yield shape


@pytest.fixture(scope="session")
def distributed() -> Iterator[Shape]:
    with running("distributed") as shape:
        yield shape


@pytest.fixture(scope="session", params=["standalone", "distributed"])
def shape(request: pytest.FixtureRequest) -> Shape:
    """Every test that asks for it runs in both shapes."""
    found: Shape = request.getfixturevalue(request.param)
    return found
