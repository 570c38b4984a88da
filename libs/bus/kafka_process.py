"""A Kafka node as a child of ours, for development and tests: jars from Maven, one folder of data, loopback only.

Owns fetching, formatting, starting and stopping. Never used in a cluster. Invariant: the pid is that of the Java program
itself, and data survive its death: a start on the same folder and port goes on where it was.
"""

import asyncio
import random
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path
from string import Template

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from libs.retry import Backoff

_HEAP = "512m"
_FETCH_TIMEOUT_S = 600
_FORMAT_TIMEOUT_S = 120
_COMPLETE = "complete"
_PORTS = range(15_000, 32_000)


class KafkaUnavailableError(RuntimeError):
    """A Kafka node cannot be had on this machine; the message says what is missing."""


def ensure_jars(pom: Path, libs_dir: Path) -> None:
    """Resolves the broker's jars with Maven into a folder, once; blocks.

    Raises:
        KafkaUnavailableError: Maven is missing or fails.
    """
    marker = libs_dir / _COMPLETE
    if marker.exists() and marker.read_bytes() == pom.read_bytes():
        return
    maven = _program("mvn", "Maven")
    libs_dir.mkdir(parents=True, exist_ok=True)
    for old in libs_dir.glob("*.jar"):
        old.unlink()
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libs_dir.absolute()}", "-DincludeScope=runtime"]
    done = _run([maven, "-q", "-B", "-f", str(pom), *goal], _FETCH_TIMEOUT_S)
    if done.returncode != 0 or not any(libs_dir.glob("kafka_*.jar")):
        raise KafkaUnavailableError(f"Maven could not fetch Kafka: {_tail(done.stdout)}")
    marker.write_bytes(pom.read_bytes())


class KafkaProcess:
    """One node.

    Args:
        port: of the broker, on loopback.
        data_dir: the node's own folder, made at the first start.
        libs_dir: jars, see `ensure_jars`.
        template: `server.properties` with places for ports and folder.
    """

    def __init__(self, *, port: int, data_dir: Path, libs_dir: Path, template: Path, heap: str = _HEAP) -> None:
        self.port = port
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir / "server.log"
        self._libs_dir = libs_dir.absolute()
        self._template = template
        self._heap = heap
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def prepare(self) -> list[str]:
        """Writes the configuration, formats the folder at the first time, and gives the command that runs the node.

        Raises:
            KafkaUnavailableError: Java is missing, or refuses.
        """
        java = [_program("java", "Java 17 or newer"), "-cp", f"{self._libs_dir}/*"]
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        log_dir = self.data_dir / "log"
        properties = self.data_dir / "server.properties"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        places = {"port": self.port, "controller_port": free_port(), "log_dir": log_dir}
        properties.write_text(Template(self._template.read_text()).substitute(places))
        if not (log_dir / "meta.properties").exists():
            cluster_id = uuid.uuid4().hex[:22]
            tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
            done = _run([*java, *quick, *tool], _FORMAT_TIMEOUT_S)
            if done.returncode != 0:
                raise KafkaUnavailableError(f"Kafka could not format {log_dir}: {_tail(done.stdout)}")
        memory = [f"-Xmx{self._heap}", f"-Xms{self._heap}"]
        return [*java, *quick, *memory, "kafka.Kafka", str(properties)]

    def start(self) -> None:
        """Starts the node without waiting for it; its output goes to `server.log`."""
        if self.is_running():
            return
        command = self.prepare()
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 (our own command)
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data_dir, start_new_session=True
            )

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Returns when the node answers clients.

        Raises:
            KafkaUnavailableError: it ended, or did not answer in time; the message has the end of its log.
        """
        deadline_s = time.monotonic() + timeout_s
        for delay_s in Backoff(first_s=0.1, cap_s=0.3).delays():
            if not self.is_running() or time.monotonic() > deadline_s:
                raise KafkaUnavailableError(f"Kafka did not start: {_tail(self.log_path.read_bytes())}")
            if self._is_listening() and await answers(self.bootstrap_servers):
                return
            await asyncio.sleep(delay_s)

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Ends the node as a power cut would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Ends the node in good order, by force when it takes too long; blocks."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()


async def answers(bootstrap_servers: str) -> bool:
    """Whether a node is there that knows its cluster."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return bool(cluster["brokers"]) and cluster["controller_id"] >= 0


def free_port() -> int:
    """A port of loopback that nobody uses now, and that no outgoing connection will be given.

    Systems give those from 32768 upwards (Linux) or 49152 upwards; a port from there may be gone when a process that
    was killed wants it back.
    """
    for port in random.sample(_PORTS, k=100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 15000 and 32000")


def _program(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise KafkaUnavailableError(f"{what} is not installed: there is no `{name}` on the PATH")
    return path


def _run(command: list[str], timeout_s: float) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603 (our own command)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailableError(f"{command[0]} took more than {timeout_s} s") from error


def _tail(output: bytes) -> str:
    return output[-2000:].decode(errors="replace").strip() or "it said nothing"
