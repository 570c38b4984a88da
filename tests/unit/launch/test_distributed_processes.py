"""Which processes a distributed start has, and how they find each other."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from libs.bus.segments import SegmentName
from libs.settings import ServiceSettings, TelemetrySettings, load
from services.analytics import settings as analytics
from services.billing_ledger import settings as billing_ledger
from services.broadcast import settings as broadcast
from services.distributed.processes import SERVICES, Parts, ProcessSpec, ReplicasError, plan_processes, read_replicas
from services.edge_proxy import settings as edge_proxy
from services.key_management import settings as key_management
from services.launch.upstream import Upstream, UpstreamKind
from services.provider_adapter import settings as provider_adapter
from services.router import settings as router

FOLDER = Path("/data")


def some_parts(upstream: Upstream, simulator: str | None = None, **telemetry: Any) -> Parts:
    return Parts("postgresql://x", "127.0.0.1:9092", simulator, upstream, TelemetrySettings(**telemetry))


SIMULATED = some_parts(Upstream(UpstreamKind.SIMULATOR), "http://127.0.0.1:7")


def ports() -> Callable[[], int]:
    numbers = count(20_000)
    return lambda: next(numbers)


def plan(replicas: str = "", parts: Parts = SIMULATED, http_port: int = 8080) -> list[ProcessSpec]:
    return plan_processes(read_replicas(replicas), parts, FOLDER, http_port=http_port, free_port=ports())


def of(specs: list[ProcessSpec], service: str) -> list[ProcessSpec]:
    return [spec for spec in specs if spec.service == service]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}), ("  ", {}), ("edge_proxy=2", {"edge_proxy": 2}), ("edge_proxy=2 router=3", {"edge_proxy": 2, "router": 3}),
        ("edge_proxy=2,router=3", {"edge_proxy": 2, "router": 3}), ("router=16", {"router": 16}), ("router=1 router=2", {"router": 2}),
    ],
)  # fmt: skip
def test_replicas_are_read_and_the_rest_run_once(text: str, expected: dict[str, int]) -> None:
    assert read_replicas(text) == {**dict.fromkeys(SERVICES, 1), **expected}


@pytest.mark.parametrize(
    "text", ["edge=2", "router", "router=", "router=0", "router=17", "router=-1", "router=x", "router=²", "=2"]
)
def test_replicas_that_make_no_sense_are_an_error_that_says_how(text: str) -> None:
    with pytest.raises(ReplicasError, match=r"REPLICAS: .* router"):
        read_replicas(text)


def test_every_service_runs_with_ports_of_its_own() -> None:
    specs = plan("edge_proxy=2 router=2")
    assert {spec.service for spec in specs} == set(SERVICES)
    used = [port for spec in specs for port in (spec.rpc_port, spec.ops_port, spec.http_port) if port]
    assert len(used) == len(set(used))
    assert len({spec.name for spec in specs}) == len(specs) == len(SERVICES) + 2


def test_first_edge_gets_the_port_that_was_asked_for() -> None:
    first, second = of(plan("edge_proxy=2"), "edge_proxy")
    assert first.http_port == 8080
    assert first.environment["SWITCHYARD_EDGE_PROXY_HTTP__PORT"] == "8080"
    assert second.http_port not in {0, 8080}
    assert of(plan(http_port=0), "edge_proxy")[0].http_port > 0


def test_edges_know_every_replica_of_their_peers_and_spool_apart() -> None:
    specs = plan("edge_proxy=2 router=2")
    targets = ",".join(f"127.0.0.1:{spec.rpc_port}" for spec in of(specs, "router"))
    edges = of(specs, "edge_proxy")
    for edge in edges:
        assert edge.environment["SWITCHYARD_EDGE_PROXY_PEERS__ROUTER"] == targets
        for peer in ("KEY_MANAGEMENT", "BILLING_LEDGER", "PROVIDER_ADAPTER", "ANALYTICS"):
            assert edge.environment[f"SWITCHYARD_EDGE_PROXY_PEERS__{peer}"].startswith("127.0.0.1:")
    assert len({edge.environment["SWITCHYARD_EDGE_PROXY_SPOOL__FOLDER"] for edge in edges}) == 2


def test_processes_listen_where_others_look_for_them() -> None:
    for spec in plan():
        prefix = f"SWITCHYARD_{spec.service.upper()}_"
        assert spec.environment[f"{prefix}SERVING__RPC_ADDRESS"] == f"127.0.0.1:{spec.rpc_port}"
        assert spec.environment[f"{prefix}SERVING__OPS_PORT"] == str(spec.ops_port)
        assert all(name.startswith(prefix) for name in spec.environment)


def test_adapter_is_told_of_the_simulator_and_the_router_what_to_offer() -> None:
    specs = plan()
    adapter, router = of(specs, "provider_adapter")[0], of(specs, "router")[0]
    assert adapter.environment["SWITCHYARD_PROVIDER_ADAPTER_SIMULATOR_BASE_URL"] == "http://127.0.0.1:7"
    assert router.environment["SWITCHYARD_ROUTER_OFFER"] == "simulator"


def test_providers_with_credentials_are_named_to_the_router() -> None:
    parts = some_parts(Upstream(UpstreamKind.CREDENTIALS, ("groq", "openai")))
    specs = plan(parts=parts)
    assert of(specs, "router")[0].environment["SWITCHYARD_ROUTER_PROVIDERS"] == "groq,openai"
    assert "SWITCHYARD_PROVIDER_ADAPTER_SIMULATOR_BASE_URL" not in of(specs, "provider_adapter")[0].environment


def test_own_upstream_makes_the_router_ask_the_adapters() -> None:
    specs = plan("provider_adapter=2", some_parts(Upstream(UpstreamKind.OWN_SERVER)))
    targets = ",".join(f"127.0.0.1:{spec.rpc_port}" for spec in of(specs, "provider_adapter"))
    assert of(specs, "router")[0].environment["SWITCHYARD_ROUTER_ADAPTER_TARGETS"] == targets


def test_telemetry_of_the_start_is_that_of_every_process() -> None:
    quiet = plan(parts=some_parts(Upstream(UpstreamKind.SIMULATOR), log_level="ERROR"))
    traced = plan(
        parts=some_parts(Upstream(UpstreamKind.SIMULATOR), otlp_endpoint="http://127.0.0.1:4318", sample_ratio=0.5)
    )
    for spec in quiet:
        prefix = f"SWITCHYARD_{spec.service.upper()}_TELEMETRY__"
        assert spec.environment[f"{prefix}LOG_LEVEL"] == "ERROR"
        assert f"{prefix}OTLP_ENDPOINT" not in spec.environment
    for spec in traced:
        prefix = f"SWITCHYARD_{spec.service.upper()}_TELEMETRY__"
        assert spec.environment[f"{prefix}OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
        assert spec.environment[f"{prefix}SAMPLE_RATIO"] == "0.5"


SETTINGS: dict[str, type[ServiceSettings]] = {
    "key_management": key_management.Settings,
    "router": router.Settings,
    "provider_adapter": provider_adapter.Settings,
    "billing_ledger": billing_ledger.Settings,
    "analytics": analytics.Settings,
    "broadcast": broadcast.Settings,
    "edge_proxy": edge_proxy.Settings,
}


@pytest.mark.parametrize("kind", list(UpstreamKind))
def test_every_process_can_read_what_it_is_given(kind: UpstreamKind, monkeypatch: pytest.MonkeyPatch) -> None:
    given = some_parts(Upstream(kind, ("openai",) if kind is UpstreamKind.CREDENTIALS else ()), "http://127.0.0.1:7")
    for spec in plan(parts=given):
        with monkeypatch.context() as environment:
            for name, value in spec.environment.items():
                environment.setenv(name, value)
            load(SETTINGS[spec.service])


def test_the_first_edge_forwards_what_more_edges_or_the_other_shape_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools = tmp_path / "spool"
    for folder in (spools, *(spools / f"edge_proxy-{number}" for number in range(4))):
        folder.mkdir(exist_ok=True)
        SegmentName(1, 0).in_folder(folder).touch()
    specs = plan_processes(read_replicas("edge_proxy=2"), SIMULATED, tmp_path, http_port=8080, free_port=ports())
    forwarded = []
    for spec in of(specs, "edge_proxy"):
        with monkeypatch.context() as environment:
            for name, value in spec.environment.items():
                environment.setenv(name, value)
            forwarded.append(set(load(edge_proxy.Settings).spool.left_behind))
    assert forwarded == [{spools, spools / "edge_proxy-2", spools / "edge_proxy-3"}, set()]
