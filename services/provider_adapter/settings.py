"""Settings of provider_adapter, read from `SWITCHYARD_PROVIDER_ADAPTER_…`.

Owns the fields and their bounds. Does not read the customary variables of hosts.json (`OPENAI_API_KEY`, …): access.py does.
"""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from libs.settings import ServiceSettings, ServingSettings, TelemetrySettings
from services.provider_adapter.addresses import checked_base_url
from services.provider_adapter.media.settings import MediaSettings
from services.provider_adapter.tls_sessions import resuming_context

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
    token_urls: dict[str, str] = Field(
        default_factory=dict,
        description="JSON object, provider slug to the server that exchanges its credential for tokens",
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of certificate authorities that are trusted beside the system's"
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
    max_calls_per_credential: int | None = Field(
        default=None, ge=1, le=65536, description="calls at a time with one credential, per process; none: no limit"
    )
    proxy: SecretStr | None = Field(
        default=None, description="http:// URL of a proxy on the way to providers' own hosts; may hold a password"
    )
    proxies: dict[str, SecretStr] = Field(
        default_factory=dict, description="JSON object, provider slug to its own proxy; empty text: none"
    )
    warm_up: list[str] = Field(
        default_factory=list, max_length=1000, description="JSON list, slugs of providers to connect to at the start"
    )
    media: MediaSettings = Field(default_factory=MediaSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @field_validator("simulator_base_url", "upstream_base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        return None if value is None else checked_base_url(value)

    @field_validator("base_urls", "token_urls")
    @classmethod
    def _http_urls(cls, value: dict[str, str]) -> dict[str, str]:
        return {slug: checked_base_url(url) for slug, url in value.items()}

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            resuming_context(value)
        return value

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else _checked_proxy(value)

    @field_validator("proxies")
    @classmethod
    def _proxy_urls(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return {slug: _checked_proxy(url) if url.get_secret_value() else url for slug, url in value.items()}


def _checked_proxy(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("must be an http or https URL")
    return url
