"""A real Kafka for tests: the one at `KAFKA_BOOTSTRAP_SERVERS`, else one node per session from Maven's jars.

Owns the fixture `kafka_servers`; import it in a conftest. Invariant: where no Kafka can be had its tests are skipped
with one loud line, and fail with `CI=true`.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.bus.kafka_process import KafkaProcess, KafkaUnavailableError, ensure_jars, free_port

_ROOT = Path(__file__).resolve().parents[2]
_DEV = _ROOT / "deploy" / "dev" / "kafka"
_LIBS = _ROOT / "var" / "kafka" / "libs"
_STASH = pytest.StashKey[str]()

# Reads one line from us; if we die before we wrote it, ends the node that would outlive us.
_GUARD = 'read -r _ || { kill -9 "$0"; sleep 1; rm -rf "$1"; }'


@pytest.fixture(scope="session")
def kafka_servers(pytestconfig: pytest.Config) -> Iterator[str]:
    """Bootstrap servers of the session's Kafka. Tests that kill a node start their own."""
    known = pytestconfig.stash.get(_STASH, None) or os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if known:
        yield known
        return
    with running_kafka() as node:
        pytestconfig.stash[_STASH] = node.bootstrap_servers
        yield node.bootstrap_servers
        del pytestconfig.stash[_STASH]


@contextlib.contextmanager
def running_kafka() -> Iterator[KafkaProcess]:
    """A node of one's own on a folder of its own; skips the test where none can be had."""
    folder = Path(tempfile.mkdtemp(prefix="sy-kafka-"))
    node = KafkaProcess(port=free_port(), data_dir=folder / "data", libs_dir=_LIBS, template=_DEV / "server.properties")
    try:
        try:
            ensure_jars(_DEV / "pom.xml", _LIBS)
            node.start()
            with guarded(node, folder):
                asyncio.run(node.wait_ready())
                yield node
        except KafkaUnavailableError as error:
            _give_up(error)
    finally:
        node.stop()
        shutil.rmtree(folder)


@contextlib.contextmanager
def guarded(node: KafkaProcess, folder: Path) -> Iterator[None]:
    """Ends the node as it is now, should this process be killed."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, str(node.pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            guard.communicate(b"all is well\n")


def _give_up(error: KafkaUnavailableError) -> None:
    message = f"NO KAFKA, its tests do not run: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
