"""Settings of provider_adapter, read from `SWITCHYARD_PROVIDER_ADAPTER_…`.

Owns where credentials come from: `credentials` here, or the customary variables of hosts.json (`OPENAI_API_KEY`, …).
"""

from collections.abc import Mapping

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from libs.settings import ServiceSettings, ServingSettings, TelemetrySettings
from services.provider_adapter.hosts import Host

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
    max_connections: int = Field(
        default=4096, ge=1, le=65536, description="connections to providers at most, per process"
    )
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @field_validator("simulator_base_url", "upstream_base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        return None if value is None else _checked(value)

    @field_validator("base_urls")
    @classmethod
    def _http_urls(cls, value: dict[str, str]) -> dict[str, str]:
        return {slug: _checked(url) for slug, url in value.items()}


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")) or "@" in url or "?" in url or "#" in url:
        raise ValueError("must be an http or https URL without user, query and fragment")
    return url.rstrip("/")


def customary_credentials(hosts: Mapping[str, Host], environ: Mapping[str, str]) -> dict[str, str]:
    """Credentials by provider slug, from the variables that users of these hosts already have."""
    names = {slug: environ.get(host.credential_name, "") for slug, host in hosts.items() if host.credential_name}
    return {slug: credential for slug, credential in names.items() if credential}
