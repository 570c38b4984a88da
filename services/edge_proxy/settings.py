"""Settings of edge_proxy, read from `SWITCHYARD_EDGE_PROXY_…`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.settings import Group, KafkaSettings, Port, ServiceSettings, ServingSettings, TelemetrySettings

Targets = Annotated[str, Field(min_length=3, description="host:port list, separated by commas")]


class PeerSettings(Group):
    """Where the services behind the edge are."""

    key_management: Targets
    router: Targets
    billing_ledger: Targets
    provider_adapter: Targets
    analytics: Targets


class HttpSettings(Group):
    """The public door and its limits (DESIGN §11)."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=8080, description="port to listen on; 0 is a free one")
    head_limit_s: float = Field(default=10.0, gt=0, le=600, description="seconds that a request's head may take")
    body_idle_limit_s: float = Field(default=30.0, gt=0, le=600, description="seconds without a byte of the body")
    body_limit_s: float = Field(default=120.0, gt=0, le=3600, description="seconds that a body may take in all")
    body_max_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=1024**3, description="largest body, in bytes")
    keep_alive_comment_s: float = Field(
        default=5.0, gt=0, le=300, description="silence before a comment in a stream, seconds"
    )


class SpoolSettings(Group):
    """The local file that makes usage durable."""

    folder: Path = Field(description="folder of its own, on a durable disk")
    sync: bool = Field(default=True, description="survive the death of the machine, not only of the process")
    max_bytes: int = Field(
        default=10 * 1024**3, ge=1024**2, description="bound of what may wait for the event log, in bytes"
    )
    left_behind: tuple[Path, ...] = Field(
        default=(),
        description="JSON list of folders: spools of edges that will not come back, to be forwarded by this one",
    )


class DoorSettings(ServiceSettings):
    """The part that holds in every shape."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_EDGE_PROXY_")

    http: HttpSettings = Field(default_factory=HttpSettings)


class Settings(DoorSettings):
    """One process of this service."""

    peers: PeerSettings
    kafka: KafkaSettings
    spool: SpoolSettings
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
