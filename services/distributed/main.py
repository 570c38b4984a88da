"""Composes the distributed shape on one machine: every service a process, real Kafka, real PostgreSQL.

Owns who gets what, and the output file. Decides nothing. Invariant: the output file names what lives now.
"""

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from libs.bus.kafka_process import KafkaProcess, KafkaUnavailableError, ensure_jars, free_port
from libs.errors import AppError
from libs.lifecycle import stop_requested
from libs.logs import facts, set_up_logs
from libs.pg.cluster import EmbeddedPostgresError
from libs.pg.embedded import EmbeddedPostgres
from libs.rpc.session_channel import SessionChannel
from libs.settings import SettingsError, load
from services.analytics.settings import Settings as AnalyticsSettings
from services.billing_ledger.settings import Settings as LedgerSettings
from services.broadcast.settings import Settings as BroadcastSettings
from services.distributed.parts import KafkaPart, ModulePart
from services.distributed.processes import Parts, ProcessSpec, ReplicasError, plan_processes, read_replicas
from services.edge_proxy.settings import Settings as EdgeSettings
from services.key_management.settings import Settings as KeySettings
from services.launch.bootstrap import ensure_bootstrap, offered_models
from services.launch.folder import held_folder
from services.launch.output_file import announcement, write_private
from services.launch.ports import LEFT_BEHIND_S, ensure_port_is_free
from services.launch.postgres import PostgresPart
from services.launch.settings import LaunchSettings
from services.launch.supervisor import Part, Supervisor
from services.launch.upstream import UpstreamKind, choose_upstream
from services.provider_adapter.access import find_access
from services.provider_adapter.settings import Settings as AdapterSettings
from services.provider_simulator.settings import ProviderSimulatorSettings
from services.router.settings import Settings as RouterSettings

NAME: Final = "distributed"
PARTS_SETTINGS: Final = (
    KeySettings, RouterSettings, AdapterSettings, LedgerSettings, AnalyticsSettings, BroadcastSettings, EdgeSettings,
    ProviderSimulatorSettings,
)  # fmt: skip
"""What the processes read, beside the launcher's own: a wrong name is told here, for there it would end a process again
and again."""
OUTPUT_FILE: Final = "distributed.json"
_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_KAFKA_FILES: Final = _CHECKOUT / "deploy" / "dev" / "kafka"
_KAFKA_JARS: Final = _CHECKOUT / "var" / "kafka" / "libs"
_READY_LIMIT_S: Final = 120.0
_STOP_RANKS: Final = {"edge_proxy": 0, "postgres": 2, "kafka": 2}
logger = logging.getLogger(__name__)


def main(settings: LaunchSettings) -> int:
    """Runs until SIGTERM or SIGINT; the exit status."""
    set_up_logs(NAME, settings.telemetry.log_level)
    try:
        asyncio.run(run(settings))
    except (
        ReplicasError, SettingsError, KafkaUnavailableError, EmbeddedPostgresError, AppError, OSError, TimeoutError
    ) as error:  # fmt: skip
        logger.error("cannot start", extra=facts(reason=str(error) or repr(error)))  # noqa: TRY400 (for the operator)
        return 1
    return 0


async def run(settings: LaunchSettings) -> None:
    stop = stop_requested()
    replicas = read_replicas(settings.replicas)
    async with held_folder(settings.data_dir) as data_dir:
        await _run_on(data_dir, settings, replicas, stop)


async def _run_on(data_dir: Path, settings: LaunchSettings, replicas: dict[str, int], stop: asyncio.Event) -> None:
    output = OutputFile(data_dir / OUTPUT_FILE)
    left_behind = output.path.exists()
    output.remove()
    await ensure_port_is_free(settings.host, settings.port, patience_s=LEFT_BEHIND_S if left_behind else 0.0)
    supervisor = Supervisor(lambda: output.update(supervisor.processes()))
    try:
        content = await _start(settings, replicas, data_dir, supervisor)
        if await _ready_or_stopped(content.readiness, stop):
            keys, model = await _first_keys(content, settings, data_dir)
            output.publish({**content.output, **keys, "pid": os.getpid()}, supervisor.processes())
            sys.stdout.write(announcement(output.content, model, output.path))
            sys.stdout.flush()
            await stop.wait()
    finally:
        output.remove()
        await supervisor.stop(stop_rank)


class OutputFile:
    """The output file once it may exist; before that, changes are only remembered by the supervisor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = {}

    def publish(self, content: dict[str, Any], processes: dict[str, list[int]]) -> None:
        self.content = {**content, "processes": processes}
        write_private(self.path, self.content)

    def update(self, processes: dict[str, list[int]]) -> None:
        if self.content:
            self.publish(self.content, processes)

    def remove(self) -> None:
        self.content = {}
        self.path.unlink(missing_ok=True)


class Started:
    """Addresses of what was started."""

    def __init__(self, specs: list[ProcessSpec], host: str, simulator: str | None) -> None:
        bases = [f"http://{host}:{spec.http_port}/api/v1" for spec in specs if spec.service == "edge_proxy"]
        self.specs = specs
        self.readiness = [f"http://127.0.0.1:{spec.ops_port}/readyz" for spec in specs]
        self.output: dict[str, Any] = {
            "api_base": bases[0],
            "api_bases": bases,
            "simulator_base": simulator,
            "metrics": [f"http://127.0.0.1:{spec.ops_port}/metrics" for spec in specs],
        }

    def target(self, service: str) -> str:
        return next(f"127.0.0.1:{spec.rpc_port}" for spec in self.specs if spec.service == service)


async def _start(settings: LaunchSettings, replicas: dict[str, int], data_dir: Path, supervisor: Supervisor) -> Started:
    """Puts everything under supervision, in no order."""
    access = find_access(load(AdapterSettings), os.environ)
    upstream = choose_upstream(settings, access.credentials, access.regions, access.shut)
    simulator: str | None = None
    if upstream.kind is UpstreamKind.SIMULATOR:
        port = free_port()
        simulator = f"http://127.0.0.1:{port}"
        values = {"SWITCHYARD_PROVIDER_SIMULATOR_PORT": str(port)}
        supervisor.keep_alive(
            ModulePart("provider_simulator", "provider_simulator", "services.provider_simulator", values, data_dir)
        )
    dsn = await _keep_postgres(settings, data_dir, supervisor)
    kafka = await _keep_kafka(data_dir, supervisor)
    parts = Parts(dsn, kafka, simulator, upstream, settings.telemetry, settings.host)
    specs = plan_processes(replicas, parts, data_dir, http_port=settings.port, free_port=free_port)
    for spec in specs:
        supervisor.keep_alive(
            ModulePart(spec.service, spec.name, f"services.{spec.service}", spec.environment, data_dir)
        )
    return Started(specs, settings.host, simulator)


async def _keep_postgres(settings: LaunchSettings, data_dir: Path, supervisor: Supervisor) -> str:
    if settings.postgres_dsn is not None:
        return settings.postgres_dsn.get_secret_value()
    server = EmbeddedPostgres(data_dir / "postgres")
    supervisor.keep_alive(PostgresPart(server))
    return server.dsn


async def _keep_kafka(data_dir: Path, supervisor: Supervisor) -> str:
    elsewhere = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if elsewhere:
        return elsewhere
    await asyncio.to_thread(ensure_jars, _KAFKA_FILES / "pom.xml", _KAFKA_JARS)
    node = KafkaProcess(
        port=free_port(),
        data_dir=data_dir / "kafka",
        libs_dir=_KAFKA_JARS,
        template=_KAFKA_FILES / "server.properties",
    )
    supervisor.keep_alive(KafkaPart(node))
    return node.bootstrap_servers


async def _ready_or_stopped(readiness: list[str], stop: asyncio.Event) -> bool:
    """True once every process says it is ready, False when told to stop first.

    Raises:
        TimeoutError: some never were; the log names them.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _READY_LIMIT_S
    waiting = set(readiness)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while waiting and not stop.is_set():
            waiting = {url for url in waiting if not await _answers(session, url)}
            if loop.time() > deadline_s:
                raise TimeoutError(f"not ready within {_READY_LIMIT_S:g} s: {sorted(waiting)}; see the logs folder")
            if waiting:
                await asyncio.sleep(0.1)
    return not stop.is_set()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _first_keys(started: Started, settings: LaunchSettings, data_dir: Path) -> tuple[dict[str, Any], str]:
    async with AsyncExitStack() as stack:
        channels = {}
        for service in ("key_management", "billing_ledger", "router"):
            channel = SessionChannel([started.target(service)], peer=service)
            channel.start()
            stack.push_async_callback(channel.close)
            channels[service] = channel
        models = await offered_models(channels["router"], _READY_LIMIT_S)
        keys = await ensure_bootstrap(
            channels["key_management"], channels["billing_ledger"], data_dir, settings.bootstrap_credit
        )
    return {"api_key": keys.api_key, "management_key": keys.management_key}, models[0]


def stop_rank(part: Part) -> int:
    """Edges first, so that nothing new comes in; stores last."""
    return _STOP_RANKS.get(part.kind, 1)
