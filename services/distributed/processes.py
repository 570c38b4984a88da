"""Which processes a distributed start has: their commands, environments and addresses.

Owns the table of processes and how they find each other. Does not start any; of the disk it looks for spools alone. Invariant: addresses are chosen once, so a
process that restarts is found where it was.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from libs.bus.left_behind import spools_left_behind
from libs.settings import TelemetrySettings
from services.launch.upstream import Upstream, UpstreamKind

SERVICES: Final = (
    "key_management",
    "router",
    "provider_adapter",
    "billing_ledger",
    "analytics",
    "broadcast",
    "edge_proxy",
)
SPOOLS: Final = "spool"
"""Where below the data folder each edge has its spool."""
_NEEDS_POSTGRES: Final = frozenset({"key_management", "billing_ledger", "analytics"})
_NEEDS_KAFKA: Final = frozenset({"router", "billing_ledger", "analytics", "broadcast", "edge_proxy"})
_MAX_REPLICAS: Final = 16
_FIRST_EDGE: Final = "edge_proxy-0"


class ReplicasError(ValueError):
    """REPLICAS is not understood; the message says how it should look."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of one service.

    Attributes:
        name: such as `router-0`; names the log file.
        environment: what it reads, beyond what we were started with.
    """

    service: str
    name: str
    rpc_port: int
    ops_port: int
    http_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts that are not ours are."""

    postgres_dsn: str
    kafka: str
    simulator: str | None
    upstream: Upstream
    telemetry: TelemetrySettings
    host: str = "127.0.0.1"


def read_replicas(text: str) -> dict[str, int]:
    """`edge_proxy=2 router=2`; services that are not named run once.

    Raises:
        ReplicasError: an unknown service, or a number out of bounds.
    """
    counts = dict.fromkeys(SERVICES, 1)
    for item in re.split(r"[\s,]+", text.strip()):
        if not item:
            continue
        service, _, number = item.partition("=")
        if service not in counts or not re.fullmatch("[0-9]{1,4}", number) or not 1 <= int(number) <= _MAX_REPLICAS:
            raise ReplicasError(
                f"REPLICAS: {item!r} is not <service>=<1 to {_MAX_REPLICAS}> with a service of {', '.join(SERVICES)}"
            )
        counts[service] = int(number)
    return counts


def plan_processes(
    replicas: Mapping[str, int], parts: Parts, data_dir: Path, *, http_port: int, free_port: Callable[[], int]
) -> list[ProcessSpec]:
    """Every process of ours, in no particular order of starting.

    The first edge gets `http_port`, and the spools that an earlier start with more edges left in `data_dir`.
    """
    ports = {service: [(free_port(), free_port()) for _ in range(replicas[service])] for service in SERVICES}
    targets = {service: ",".join(f"127.0.0.1:{rpc}" for rpc, _ in pairs) for service, pairs in ports.items()}
    specs: list[ProcessSpec] = []
    for service in SERVICES:
        for index, (rpc_port, ops_port) in enumerate(ports[service]):
            name = f"{service}-{index}"
            edge_port = (http_port if index == 0 and http_port else free_port()) if service == "edge_proxy" else 0
            values = {
                "SERVING__RPC_ADDRESS": f"127.0.0.1:{rpc_port}",
                "SERVING__OPS_PORT": str(ops_port),
                **_shared(service, parts),
                **_own(service, name, parts, targets, data_dir, edge_port),
            }
            if name == _FIRST_EDGE:
                values["SPOOL__LEFT_BEHIND"] = _left_behind(data_dir, replicas["edge_proxy"])
            environment = {f"SWITCHYARD_{service.upper()}_{key}": value for key, value in values.items()}
            specs.append(ProcessSpec(service, name, rpc_port, ops_port, edge_port, environment))
    return specs


def _shared(service: str, parts: Parts) -> dict[str, str]:
    values = {"TELEMETRY__LOG_LEVEL": parts.telemetry.log_level}
    if parts.telemetry.otlp_endpoint is not None:
        values["TELEMETRY__OTLP_ENDPOINT"] = parts.telemetry.otlp_endpoint
        values["TELEMETRY__SAMPLE_RATIO"] = str(parts.telemetry.sample_ratio)
    if service in _NEEDS_POSTGRES:
        values["POSTGRES__DSN"] = parts.postgres_dsn
    if service in _NEEDS_KAFKA:
        values["KAFKA__BOOTSTRAP_SERVERS"] = parts.kafka
    return values


def _own(
    service: str, name: str, parts: Parts, targets: Mapping[str, str], data_dir: Path, http_port: int
) -> dict[str, str]:
    if service == "edge_proxy":
        peers = ("key_management", "router", "billing_ledger", "provider_adapter", "analytics")
        return {
            "HTTP__HOST": parts.host,
            "HTTP__PORT": str(http_port),
            "SPOOL__FOLDER": str(data_dir / SPOOLS / name),
            **{f"PEERS__{peer.upper()}": targets[peer] for peer in peers},
        }
    if service == "provider_adapter" and parts.simulator is not None:
        return {"SIMULATOR_BASE_URL": parts.simulator}
    if service == "router":
        values = {"OFFER": parts.upstream.kind.value}
        if parts.upstream.kind is UpstreamKind.CREDENTIALS:
            values["PROVIDERS"] = ",".join(parts.upstream.providers)
        if parts.upstream.kind is UpstreamKind.OWN_SERVER:
            values["ADAPTER_TARGETS"] = targets["provider_adapter"]
        return values
    return {}


def _left_behind(data_dir: Path, edges: int) -> str:
    in_use = [data_dir / SPOOLS / f"edge_proxy-{index}" for index in range(edges)]
    return json.dumps([str(folder) for folder in spools_left_behind(data_dir / SPOOLS, in_use)])
