"""What a person sets to start Switchyard on one machine, in either shape (DESIGN §7).

Owns these few names. Everything finer has a default or belongs to a service's own settings.
"""

import os
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from libs.money import NanoUsd, parse_usd
from libs.settings import Port, ServiceSettings, TelemetrySettings


class LaunchSettings(ServiceSettings):
    """`PORT` has no prefix because everybody expects it so."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_", extra="ignore")

    port: Port = Field(default=8080, validation_alias="PORT", description="port of the public API")
    host: str = Field(default="127.0.0.1", description="address of the public API")
    data_dir: Path = Field(default=Path("var"), description="folder of everything that lasts")
    bootstrap_credit_usd: str = Field(default="100", description="credit of the first account, USD")
    upstream_base_url: str | None = Field(default=None, description="an OpenAI-compatible server to use as upstream")
    upstream_api_key: SecretStr | None = Field(default=None, description="its key, if it wants one")
    postgres_dsn: SecretStr | None = Field(default=None, description="a PostgreSQL of your own; none: the embedded one")
    replicas: str = Field(
        default="", validation_alias="REPLICAS", description="distributed only, such as edge_proxy=2 router=2"
    )
    event_loop: str = Field(default="uvloop", pattern="^(uvloop|asyncio)$", description="standalone only")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @field_validator("upstream_base_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL")
        return value

    @field_validator("bootstrap_credit_usd")
    @classmethod
    def _is_an_amount(cls, value: str) -> str:
        if parse_usd(value) < 0:
            raise ValueError("must not be negative")
        return value

    @property
    def bootstrap_credit(self) -> NanoUsd:
        return parse_usd(self.bootstrap_credit_usd)


def environment() -> dict[str, str]:
    """The environment for child processes: ours, without names that only this process reads."""
    return {name: value for name, value in os.environ.items() if name not in {"PORT", "REPLICAS"}}
