"""Settings of provider_adapter, read from `SWITCHYARD_PROVIDER_ADAPTER_…`.

Owns the fields and their bounds. Does not read the customary variables of hosts.json (`OPENAI_API_KEY`, …): access.py does.
"""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from libs.settings import ServiceSettings, ServingSettings, TelemetrySettings
from services.provider_adapter.addresses import checked_base_url
from services.provider_adapter.media.settings import MediaSettings

_PREFIX = "SWITCHYARD_PROVIDER_ADAPTER_"


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix=_PREFIX, populate_by_name=True)

    simulator_base_url: str | None = Field(
        default=None, description="stands in for every provider, as {this}/{slug}/v1"
    )
    upstream_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{_PREFIX}UPSTREAM_BASE_URL", "SWITCHYARD_UPSTREAM_BASE_URL"),
        description="an OpenAI-compatible server, with /v1, that stands in for providers without a credential",
    )
    upstream_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{_PREFIX}UPSTREAM_API_KEY", "SWITCHYARD_UPSTREAM_API_KEY"),
        description="bearer for the upstream",
    )
    credentials: dict[str, SecretStr] = Field(
        default_factory=dict, description="JSON object, provider slug to credential; goes before customary variables"
    )
    base_urls: dict[str, str] = Field(
        default_factory=dict, description="JSON object, provider slug to base URL, for proxies and private hosts"
    )
    protocols: dict[str, str] = Field(
        default_factory=dict, description="JSON object, provider slug to the wire format of its host"
    )
    overlay_dir: Path | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{_PREFIX}OVERLAY_DIR", "SWITCHYARD_ROUTER_OVERLAY_DIR"),
        description="folder of JSON files that say where providers are; customarily the router's",
    )
    overlay_interval_s: float = Field(default=2.0, gt=0, le=3600, description="seconds between looks at that folder")
    slots: dict[str, str] = Field(
        default_factory=dict, description="JSON object, values for addresses in hosts.json by name, as AWS_REGION"
    )
    max_connections: int = Field(
        default=4096, ge=1, le=65536, description="connections to providers at most, per process"
    )
    media: MediaSettings = Field(default_factory=MediaSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @field_validator("simulator_base_url", "upstream_base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        return None if value is None else checked_base_url(value)

    @field_validator("base_urls")
    @classmethod
    def _http_urls(cls, value: dict[str, str]) -> dict[str, str]:
        return {slug: checked_base_url(url) for slug, url in value.items()}
